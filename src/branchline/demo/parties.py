"""Everybody who takes part in the demo: central, four stations, two people; each with a folder."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from branchline.demo.data import (
    DATASET,
    HOSPITALS,
    MIN_GROUP,
    SCHEMA,
    TABLE,
    Hospital,
    write_source,
)
from branchline.demo.programs import BRANCHLINE, Programs
from branchline.demo.progress import Progress
from branchline.foundation.clock import SystemClock
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.station.settings import EnvironmentSettings, StationHome
from branchline.workbench.client import Client

if TYPE_CHECKING:
    import pandas as pd

STUDY = "ercp"
ORIGIN = "demo.localhost/branchline"
RESEARCHER, OFFICER = "researcher", "ethics-officer"

_DRAFT = """\
id = "{study}"
title = "Indomethacin against pancreatitis after ERCP"
purpose = "Find out how treatment and risk factors bear on pancreatitis after ERCP"
protocol = "Elmunzer et al., N Engl J Med 2012;366:1414-22, analysed without moving any patient"
duo = ["HMB"]
valid_from = {start:%Y-%m-%dT%H:%M:%SZ}
valid_until = {end:%Y-%m-%dT%H:%M:%SZ}
proposer = "{researcher}"
approver = "{officer}"
minimum_group = {minimum}
minimum_stations = 2
allow_not_reproducible = {host}

[ethics_vote]
body = "Ethics committee of the demonstration"
number = "1"
valid_until = {end:%Y-%m-%dT%H:%M:%SZ}

[[people]]
name = "{researcher}"
role = "researcher"

[[people]]
name = "{officer}"
role = "ethics-officer"
"""
_STATION = """
[[stations]]
name = "{name}"
datasets = ["{dataset}"]
"""


def _share(home: Path, store: Path) -> None:
    """Let a station take images from a store that others on this machine use, too."""
    station = StationHome(home)
    environments = EnvironmentSettings(store=str(store))
    station.write_settings(msgspec.structs.replace(station.settings(), environments=environments))


def weaker() -> tuple[str, ...]:
    """Return the weaker limits that have to be accepted on this machine, by this user.

    The trial's patients are public, so the demo accepts them, and says so. A station is refused
    without them until its administrator names them.
    """
    return tuple(sorted(Bubblewrap().capabilities().weaker))


class Parties:
    """The demo's parties.

    Args:
        folder: Everybody's folders are made in here.
        programs: Runs them.
        progress: Is told what they do.
        store: The store of images that central and all stations share; None if trains run on
            this machine's own Python, which the study then permits.
    """

    def __init__(
        self, folder: Path, programs: Programs, progress: Progress, store: Path | None = None
    ) -> None:
        self._store = store
        self._programs, self._progress = programs, progress
        self._central = folder / "central"
        self._hospitals = folder / "hospitals"
        self._stations = folder / "stations"
        self._people = folder / "people"
        self._address = ""
        self._weaker = [word for name in weaker() for word in ("--accept-weaker", name)]

    async def open_central(self) -> None:
        """Make central's folder and start its service."""
        home = str(self._central)
        await self._run("central-init", "central", "init", ORIGIN, "--home", home)
        self._address = await self._programs.serve(
            "central",
            *(*BRANCHLINE, "central", "serve", "--home", home, "--listen", "127.0.0.1:0"),
            *self._weaker,
            *(() if self._store is None else ("--environments", str(self._store))),
            ready=r"(https?://127\.0\.0\.1:\d+)",
        )

    def person(self, name: str) -> Client:
        """Return a person's client, for his own folder."""
        return Client(self._people / name)

    async def enrol_person(self, client: Client, name: str) -> None:
        """Invite a person, who joins."""
        client.enroll(await self._invite(name, "person"))

    async def open_station(self, hospital: Hospital, trial: pd.DataFrame) -> None:
        """Make a hospital's station: enrolled, with its dataset, listening to central."""
        name, home = hospital.name, self._home(hospital)
        self._progress.station(name, "enrolling")
        invitation = await self._invite(name, "station")
        await self._run(
            f"{name}-enroll", "station", "enroll", invitation, "--home", home, *self._weaker
        )
        if self._store is not None:
            _share(Path(home), self._store)
        self._progress.station(name, "adding its dataset")
        source = write_source(trial, name, self._hospitals / name)
        await self._run(
            f"{name}-dataset",
            *("station", "dataset", "add", DATASET, "--home", home),
            *("--source", f"{TABLE}={source}", "--schema", str(SCHEMA)),
            *(
                "--use-terms",
                "HMB",
                "--use-terms",
                "IRB",
                "--confidentiality",
                "confidential",
                "--yes",
            ),
        )
        self._progress.station(name, "starting")
        await self._programs.serve(
            name, *(*BRANCHLINE, "station", "serve", "--home", home), ready=r"^station is "
        )
        self._progress.station(name, "listening")

    def agree(self, researcher: Client, officer: Client) -> None:
        """Put the study forward and approve it, by two people."""
        now = SystemClock().now()
        draft = _DRAFT.format(
            study=STUDY,
            start=now - timedelta(days=1),
            end=now + timedelta(days=365),
            researcher=RESEARCHER,
            officer=OFFICER,
            minimum=MIN_GROUP,
            host=str(self._store is None).lower(),
        )
        draft += "".join(_STATION.format(name=each.name, dataset=DATASET) for each in HOSPITALS)
        proposed = researcher.propose_study(draft)
        officer.approve_study(STUDY, digest=proposed.digest)

    async def approve_sites(self) -> None:
        """Let every station approve the study for its own dataset."""
        await asyncio.gather(*(self._approve_site(each) for each in HOSPITALS))

    async def _approve_site(self, hospital: Hospital) -> None:
        self._progress.station(hospital.name, "approving the study")
        await self._run(
            f"{hospital.name}-approve",
            *("station", "study", "approve", STUDY, "--home", self._home(hospital)),
            *("--by", f"Steward of {hospital.title}", "--yes"),
        )
        self._progress.station(hospital.name, "open for the study")

    async def _invite(self, name: str, kind: str) -> str:
        command = ("central", "invite", name, "--kind", kind, "--home", str(self._central))
        printed = await self._run(f"{name}-invite", *command)
        return printed.strip().splitlines()[-1]

    async def _run(self, name: str, *command: str) -> str:
        return await self._programs.run(name, *BRANCHLINE, *command)

    def _home(self, hospital: Hospital) -> str:
        return str(self._stations / hospital.name)
