"""Set up what is measured: central, three sandboxed stations and two people, all on loopback."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks.limits import LENIENT, ROOMY
from benchmarks.programs import Programs
from branchline.station.settings import StationHome
from branchline.workbench.client import Client

STATIONS = ("north", "south", "west")
STUDY, DATASET = "bench", "trial"
ROWS = 100
"""Records at each station."""
RESEARCHER, OFFICER = "researcher", "officer"

_BRANCHLINE = (sys.executable, "-m", "branchline")
_DRAFT = """\
id = "bench"
title = "Benchmark"
purpose = "Find out how long a round takes"
protocol = "None"
duo = ["GRU"]
valid_from = {start:%Y-%m-%dT%H:%M:%SZ}
valid_until = {end:%Y-%m-%dT%H:%M:%SZ}
proposer = "researcher"
approver = "officer"
minimum_stations = 3

[[people]]
name = "researcher"
role = "researcher"

[[people]]
name = "officer"
role = "ethics-officer"
"""
_STATION = '\n[[stations]]\nname = "{name}"\ndatasets = ["trial"]\n'


class Parties:
    """Central, its stations and a researcher, ready for journeys.

    Args:
        folder: Everybody's folders are made in here.
        programs: Runs them.
    """

    def __init__(self, folder: Path, programs: Programs) -> None:
        self._folder, self._programs = folder, programs
        self.researcher = Client(folder / RESEARCHER)

    def open(self) -> None:
        """Start everything; the study is approved by everybody afterwards."""
        home = self._folder / "central"
        self._branchline("init", "central", "init", "bench.localhost/branchline", home=home)
        command = (sys.executable, "-m", "benchmarks.central", str(home))
        self._programs.serve("central", command, ready=r"listening at (\S+)\n")
        invitations = {name: self._invite(name, "station") for name in STATIONS}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._make_station, STATIONS, invitations.values()))
        for name in STATIONS:
            _be_lenient(StationHome(self._home(name)))
        with Client(self._folder / OFFICER) as officer:
            self.researcher.enroll(self._invite(RESEARCHER, "person"))
            officer.enroll(self._invite(OFFICER, "person"))
            now = datetime.now(UTC)
            draft = _DRAFT.format(start=now - timedelta(days=1), end=now + timedelta(days=1))
            draft += "".join(_STATION.format(name=name) for name in STATIONS)
            state = self.researcher.propose_study(draft)
            officer.approve_study(STUDY, digest=state.digest)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._approve, STATIONS))
        for name in STATIONS:
            station = (*_BRANCHLINE, "station", "serve", "--home", str(self._home(name)))
            self._programs.serve(name, station, ready="station is listening to .*\n")

    def close(self) -> None:
        """Close the researcher's connections; the programs are ended by who started them."""
        self.researcher.close()

    def _make_station(self, name: str, invitation: str) -> None:
        home = self._home(name)
        self._branchline(f"{name}-enroll", "station", "enroll", invitation, home=home)
        source = self._folder / f"{name}.csv"
        number = STATIONS.index(name) + 1
        source.write_text("step\n" + f"{number}\n" * ROWS)
        options = ["--source", f"patients={source}", "--use-terms", "GRU", "--yes"]
        command = ["station", "dataset", "add", DATASET, *options, "--confidentiality", "internal"]
        self._branchline(f"{name}-dataset", *command, home=home)

    def _approve(self, name: str) -> None:
        command = ("station", "study", "approve", STUDY, "--by", "benchmark", "--yes")
        self._branchline(f"{name}-approve", *command, home=self._home(name))

    def _invite(self, name: str, kind: str) -> str:
        home = self._folder / "central"
        said = self._branchline(
            f"{name}-invite", "central", "invite", name, "--kind", kind, home=home
        )
        found = re.search(r"bl1\.\S+", said)
        assert found is not None, "an invitation is printed on a line of its own"
        return found[0]

    def _branchline(self, log: str, *command: str, home: Path) -> str:
        return self._programs.run(log, _with_home(command, home))

    def _home(self, name: str) -> Path:
        return self._folder / name


def _be_lenient(home: StationHome) -> None:
    settings = msgspec.structs.replace(home.settings(), limits=ROOMY, thresholds=LENIENT)
    home.write_settings(settings)


def _with_home(command: Sequence[str], home: Path) -> list[str]:
    return [*_BRANCHLINE, *command, "--home", str(home)]
