"""The demo from beginning to end: two trains visit four hospitals, and their results are verified."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from branchline.demo.check import check_together, tamper
from branchline.demo.data import HOSPITALS, MIN_GROUP, load_trial
from branchline.demo.environment import DemoEnvironment, prepared, with_lock
from branchline.demo.parties import OFFICER, RESEARCHER, STUDY, Parties, weaker
from branchline.demo.pooled import Cell, Estimate, Pooled, pooled_fit, pooled_table, whole_tables
from branchline.demo.printed import print_report
from branchline.demo.programs import Programs
from branchline.demo.progress import Progress
from branchline.demo.report import DemoReport, Federated, Kept, Verified
from branchline.disclosure.findings import SafeReason
from branchline.foundation.clock import SystemClock
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Refused
from branchline.journey import acts
from branchline.journey.machine import StopPhase
from branchline.journey.messages import JourneyStatus
from branchline.journey.verify import verify_result
from branchline.workbench.client import Client, Journey
from branchline.workbench.core import Core
from branchline.workbench.results import Result

if TYPE_CHECKING:
    import pandas as pd

TABLE_TRAIN, MODEL_TRAIN = "outcome-table", "logistic"
TRAINS = {
    TABLE_TRAIN: Path(__file__).parent / "trains" / "outcome_table",
    MODEL_TRAIN: Path(__file__).parent / "trains" / "logistic",
}
"""The two trains: name and folder."""

_QUORUM = 2


def demo(*, keep: Path | None = None, as_json: bool = False, host: bool = False) -> DemoReport:
    """Run the whole demo and print what it found.

    Args:
        keep: A new or empty folder in which everybody's folders stay afterwards.
        as_json: Print one JSON object in place of the tables.
        host: Let the trains run on this machine's own Python, which nobody can build again.

    Raises:
        DemoFailed: Federated and pooled differ, or another promise is not kept.
        ProgramFailed: One of the programs ended; its last lines are quoted.
        Refused: ``keep`` is not empty.
    """
    with _folder(keep) as folder, Progress(Console(stderr=True), tuple(TRAINS)) as progress:
        environment = None if host else prepare(progress)
        try:
            report = asyncio.run(_run(folder, progress, environment))
        except asyncio.CancelledError:  # SIGTERM means the same as Ctrl-C
            raise KeyboardInterrupt from None
    if as_json:
        report.require()  # first: an error is one object, too, and carries the report
        print(json.dumps(report.as_json(), indent=2))
        return report
    console = Console(highlight=False, soft_wrap=True)
    print_report(report, console)
    if keep is not None:
        console.print(f"\nEverybody's folders are in {keep}")
    report.require()
    return report


def prepare(progress: Progress) -> DemoEnvironment:
    """Make the trains' environment ready; the first time it is locked and built."""
    with progress.phase("environment: locked and built, the first time"):
        return prepared(progress.note)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="branchline-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise Refused(f"{keep} is not an empty folder", advice="Give a new one with --keep")
    yield make_folder(keep.absolute())


async def _run(folder: Path, progress: Progress, environment: DemoEnvironment | None) -> DemoReport:
    task = asyncio.current_task()
    assert task is not None, "asyncio.run made it"
    if threading.current_thread() is threading.main_thread():  # elsewhere there are no signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    programs = Programs(folder / "logs")
    try:
        report = await programs.during(_Demo(folder, programs, progress, environment).run())
    finally:
        with progress.phase("end of all programs"):
            await programs.close()
    return msgspec.structs.replace(report, seconds=progress.seconds)


class _Demo:
    def __init__(
        self,
        folder: Path,
        programs: Programs,
        progress: Progress,
        environment: DemoEnvironment | None,
    ) -> None:
        self._folder, self._progress, self._environment = folder, progress, environment
        store = None if environment is None else environment.store
        self._parties = Parties(folder, programs, progress, store)

    async def run(self) -> DemoReport:
        with (
            self._parties.person(RESEARCHER) as researcher,
            self._parties.person(OFFICER) as officer,
        ):
            trial = await self._set_up(researcher, officer)
            with self._progress.phase("study: proposed, approved, approved at each site"):
                self._parties.agree(researcher, officer)
                await self._parties.approve_sites()
            contributing = [each.name for each in HOSPITALS if _is_large(trial, each.name)]
            pooling = asyncio.create_task(asyncio.to_thread(pooled_fit, trial, contributing))
            journeys = await self._travel(researcher)
            results = self._fetch(journeys)
            with self._progress.phase("comparison with the pooled analysis"):
                pooled = await pooling
            with self._progress.phase("verification, offline"):
                key = researcher.home.central().log_vkey
                verification = tuple(
                    Verified(name, verify_result(result.folder, log_vkey=key).steps)
                    for name, result in results.items()
                )
            report = self._report(trial, journeys, results, pooled, verification)
            return await self._check(report, researcher, journeys, results)

    async def _check(
        self,
        report: DemoReport,
        researcher: Client,
        journeys: dict[str, Journey],
        results: dict[str, Result],
    ) -> DemoReport:
        with self._progress.phase("four parties check their own parts of one journey"):
            checks = await check_together(
                self._folder,
                researcher.home,
                (HOSPITALS[0].name, HOSPITALS[1].name),
                journeys[MODEL_TRAIN].id,
                results[MODEL_TRAIN].folder,
            )
        with self._progress.phase("central's disk tampered with, on a copy"):
            central, copy = self._folder / "central", self._folder / "tampered"
            tampering = await asyncio.to_thread(tamper, central, copy)
        return msgspec.structs.replace(report, checks=checks, tampering=tampering)

    async def _set_up(self, researcher: Client, officer: Client) -> pd.DataFrame:
        with self._progress.phase("start: central, four stations, two people"):
            trial, _ = await asyncio.gather(
                asyncio.to_thread(load_trial), self._parties.open_central()
            )
            await asyncio.gather(
                self._parties.enrol_person(researcher, RESEARCHER),
                self._parties.enrol_person(officer, OFFICER),
                *(self._parties.open_station(each, trial) for each in HOSPITALS),
            )
        return trial

    async def _travel(self, researcher: Client) -> dict[str, Journey]:
        with self._progress.phase("journeys: two trains, four hospitals"):
            journeys = {
                name: researcher.depart(STUDY, self._train(folder), quorum=_QUORUM)
                for name, folder in TRAINS.items()
            }
            core = Core(researcher.home, researcher.home.central(), SystemClock())
            try:
                await asyncio.gather(
                    *(self._watch(core, name, each.id) for name, each in journeys.items())
                )
            finally:
                await core.close()
        return journeys

    def _train(self, folder: Path) -> Path:
        if self._environment is None:
            return folder
        return with_lock(folder, self._environment, make_folder(self._folder / "trains"))

    async def _watch(self, core: Core, train: str, journey: str) -> None:
        async for status in core.watch(journey):
            self._progress.journey(train, status)

    def _fetch(self, journeys: dict[str, Journey]) -> dict[str, Result]:
        with self._progress.phase("results: opened and delivered"):
            return {
                name: journey.result(self._folder / "results" / name)
                for name, journey in journeys.items()
            }

    def _report(
        self,
        trial: pd.DataFrame,
        journeys: dict[str, Journey],
        results: dict[str, Result],
        pooled: Pooled,
        verification: tuple[Verified, ...],
    ) -> DemoReport:
        states = {name: journey.status() for name, journey in journeys.items()}
        released = _released(states[MODEL_TRAIN])
        whole = whole_tables(trial, _released(states[TABLE_TRAIN]), MIN_GROUP)
        return DemoReport(
            federated=_federated(results[TABLE_TRAIN], results[MODEL_TRAIN], released),
            pooled=pooled,
            pooled_table=pooled_table(trial, whole),
            withheld=tuple(
                kept for name, state in states.items() for kept in _withheld(name, state)
            ),
            suppressed=tuple(
                kept for name, each in journeys.items() for kept in _suppressed(name, each)
            ),
            seconds={},
            verification=verification,
            weaker=weaker(),
            image=None if self._environment is None else self._environment.image,
        )


def _is_large(trial: pd.DataFrame, hospital: str) -> bool:
    return int((trial["hospital"] == hospital).sum()) >= MIN_GROUP


def _federated(table: Result, model: Result, hospitals: tuple[str, ...]) -> Federated:
    counts: dict[str, Any] = dict(table.values)
    fit: dict[str, Any] = dict(model.values)
    rows = fit["estimates"].select(["term", "coefficient", "standard_error"]).to_pylist()
    return Federated(
        estimates=tuple(Estimate(**row) for row in rows),
        n=fit["n"],
        log_likelihood=fit["log_likelihood"],
        rounds=fit["rounds"],
        hospitals=hospitals,
        table=tuple(Cell(**row) for row in counts["table"].to_pylist()),
        table_hospitals=counts["hospitals"],
        table_left_out=counts["left_out"],
    )


def _released(state: JourneyStatus) -> tuple[str, ...]:
    return tuple(stop.station for stop in state.stops if stop.phase == StopPhase.RELEASED)


def _withheld(train: str, state: JourneyStatus) -> Iterator[Kept]:
    for stop in state.stops:
        if stop.phase == StopPhase.WITHHELD:
            yield Kept(train, stop.station, stop.reason)


def _suppressed(train: str, journey: Journey) -> Iterator[Kept]:
    for item in journey.evidence().items:
        act = acts.read_act(item.entry, item.keys)
        if isinstance(act, acts.StopReleased) and act.suppressed:
            outputs = ", ".join(act.suppressed)
            yield Kept(train, act.station, f"{SafeReason.SUPPRESSED}: {outputs}")
