"""Try a train on invented data: the very same bundle, sandbox and checks as at a station."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.aggregation.aggregator import AggregationFailed, Aggregator
from branchline.datasets.extract import write_arrow
from branchline.datasets.synthetic import make_tables
from branchline.disclosure.policy import ReleasePolicy
from branchline.disclosure.rules import Thresholds
from branchline.environment.host import LABEL
from branchline.foundation.digest import Bytes, Digest
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, Refused
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal, unseal
from branchline.journey.environments import Environments
from branchline.journey.execution import Checked, House, TrainRun, findings_as_json
from branchline.sandbox.engine import Engine, Failed, RoundOutcome
from branchline.sandbox.limits import Limits
from branchline.train.bundle import OpenBundle, open_bundle, pack
from branchline.train.parameters import check_parameters
from branchline.workbench.results import open_result, readable
from branchline.workbench.witness import Witness

MOST_STATIONS = 50

Progress = Callable[[str], None]


class TrialFailed(BranchlineError):
    """A train did not come through its trial; the trace is in full, for its author's eyes."""

    code = "trial-failed"
    exit_code = 1

    def __init__(self, refused: str, *, advice: str = "", trace: str = "", logs: str = "") -> None:
        super().__init__(refused, advice=advice, detail={"trace": trace, "logs": logs})
        self.trace = trace
        self.logs = logs


@dataclass(frozen=True)
class TrialRound:
    """What one simulated station's round came to.

    Args:
        station: Which.
        round: Which.
        action: ``release``, ``hold`` (a person would look; the trial goes on) or ``withhold``.
        reason: The sentence the requester would see.
        findings: What the checks found, with the evidence that stays at a real station.
        logs: What the train printed there.
    """

    station: str
    round: int
    action: str
    reason: str
    findings: list[dict[str, Any]]
    logs: str


@dataclass(frozen=True)
class Trial:
    """How a trial went.

    Args:
        train: The bundle's digest.
        route: ``parallel`` or ``sequential``.
        stations: How many were simulated.
        rounds: Each station's rounds, in order.
        values: The result.
        enforced: Which limits and layers held, as read back from the sandbox.
        seconds: Where the time went.
        environment: The digest of what it ran in.
        reproducible: Whether that can be built again from the train alone.
    """

    train: Digest
    route: str
    stations: int
    rounds: list[TrialRound]
    values: Mapping[str, Any]
    enforced: Mapping[str, str]
    seconds: Mapping[str, float]
    environment: Digest
    reproducible: bool
    image: bool

    @property
    def mark(self) -> str:
        """What must be said of the environment."""
        if not self.image:
            return LABEL
        again = "can be built again from its lock" if self.reproducible else "cannot be built again"
        return f"ran in the image {self.environment}, which {again}"

    def as_json(self) -> dict[str, Any]:
        """Return the trial as plain JSON values."""
        return {
            "train": self.train,
            "route": self.route,
            "stations": self.stations,
            "rounds": [vars(each) for each in self.rounds],
            "result": readable(self.values),
            "enforced": dict(self.enforced),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "environment": self.environment,
            "reproducible": self.reproducible,
            "mark": self.mark,
        }


@dataclass
class _Stop:
    """One simulated station: its keys, its run, and what it last released."""

    name: str
    identity: Identity
    run: TrainRun
    out: str = ""
    released: Bytes = b""


@dataclass
class _Course:
    """A trial under way."""

    opened: OpenBundle
    parameters: dict[str, Any]
    stops: list[_Stop]
    quorum: int
    witness: Witness
    progress: Progress
    rounds: list[TrialRound] = field(default_factory=list)

    @property
    def present(self) -> list[_Stop]:
        """The stations that still contribute."""
        return [stop for stop in self.stops if not stop.out]


async def try_train(
    folder: Path,
    engine: Engine,
    *,
    stations: int = 3,
    rows: int = 200,
    seed: int = 1,
    parameters: Mapping[str, Any] | None = None,
    quorum: int | None = None,
    progress: Progress = lambda sentence: None,
) -> Trial:
    """Pack a train's folder and run the bundle over simulated stations.

    Each station gets invented tables that satisfy the contract, of ``rows`` rows or as many as
    the contract wants; equal seeds give equal tables.

    Raises:
        TrialFailed: The train failed, too little was released, or there is no result.
        Refused: The train, its parameters or the numbers given are not acceptable.
    """
    if not 1 <= stations <= MOST_STATIONS:
        raise Refused(f"{stations} stations cannot be simulated; give 1 to {MOST_STATIONS}")
    if rows < 1:
        raise Refused(f"{rows} rows cannot be invented; give 1 or more")
    started = time.perf_counter()
    progress("packing")
    bundle = pack(folder)
    opened = open_bundle(bundle.data, bundle.digest)
    checked = check_parameters(opened.manifest.parameters, parameters or {})
    least = min(opened.manifest.route.quorum, stations) if quorum is None else quorum
    with _room() as room:
        witness = Witness(engine)
        found = await _environments().ready(opened.environment, progress)
        house = House(witness, found.mount, Limits(), Thresholds(), ReleasePolicy())
        stops = _stops(house, opened, checked, stations, rows, seed, room)
        course = _Course(opened, checked, stops, least, witness, progress)
        prepared = time.perf_counter()
        try:
            progress(f"starting {stations} sandboxes")
            await asyncio.gather(*(stop.run.start() for stop in stops))
            ready = time.perf_counter()
            payload = await _travel(course, house, room)
            enforced: Mapping[str, str] = stops[0].run.record["enforced"]
        finally:
            await asyncio.gather(*(stop.run.close() for stop in stops))
    ended = time.perf_counter()
    order = {stop.name: number for number, stop in enumerate(stops)}
    seconds = {"prepare": prepared - started, "start": ready - prepared, "run": ended - ready}
    return Trial(
        bundle.digest,
        opened.manifest.route.kind,
        stations,
        sorted(course.rounds, key=lambda each: (each.round, order[each.station])),
        open_result(payload, opened.manifest),
        enforced,
        seconds | {"all": ended - started},
        found.digest,
        found.reproducible,
        opened.environment.image is not None,
    )


_WAYS = (
    "build it with 'branchline environment build', or bring it here with 'branchline environment "
    "import'"
)


@contextmanager
def _room() -> Iterator[Path]:
    """Give a folder for one trial; what trials that were killed left is removed first."""
    from branchline.environment.image.store import default_store_folder
    from branchline.environment.lock.leftovers import clear_fetching, held_folder

    beside = make_folder(default_store_folder() / "trials")
    clear_fetching(beside)
    with held_folder(beside) as folder:
        yield folder


def _environments() -> Environments:
    from branchline.environment.image.store import default_store_folder

    return Environments(default_store_folder(), (), _WAYS)


def _stops(
    house: House,
    opened: OpenBundle,
    parameters: dict[str, Any],
    stations: int,
    rows: int,
    seed: int,
    folder: Path,
) -> list[_Stop]:
    found = []
    for number in range(1, stations + 1):
        name = f"station-{number}"
        data = folder / name / "data"
        data.mkdir(parents=True)
        paths, counts = {}, {}
        # A seed of its own for each station: equal data would flatter the train.
        for table, values in make_tables(opened.manifest.needs, rows, seed * 1000 + number).items():
            paths[table], counts[table] = data / f"{table}.arrow", values.num_rows
            write_arrow(values, paths[table])
        run = TrainRun(house, opened, parameters, paths, counts, folder / name / "run")
        found.append(_Stop(name, Identity.create(), run))
    return found


async def _travel(course: _Course, house: House, folder: Path) -> Bytes:
    if course.opened.manifest.route.kind == "sequential":
        return await _one_after_another(course)
    aggregator = Aggregator(
        house.engine,
        house.mount,
        course.opened,
        course.parameters,
        X25519PrivateKey.generate(),
        folder / "aggregator",
        house.limits,
    )
    try:
        return await _all_at_once(course, aggregator)
    finally:
        await aggregator.close()


async def _all_at_once(course: _Course, aggregator: Aggregator) -> Bytes:
    requester = Identity.create()
    rounds = course.opened.manifest.route.rounds
    state: Bytes | None = None
    for number in range(1, rounds + 1):
        course.progress(f"round {number} of at most {rounds}")
        await asyncio.gather(*(_visit(course, stop, number, state) for stop in course.present))
        _require_quorum(course)
        present = course.present
        updates = [seal(stop.released, [aggregator.recipient]) for stop in present]
        recipients = [stop.identity.public.seal for stop in present]
        try:
            combined = await aggregator.combine(
                number, updates, state, recipients, requester.public.seal
            )
        except AggregationFailed as error:
            raise _failed(f"{error.refused}", course.witness.last) from error
        if combined.result is not None:
            return unseal(combined.result.data, requester.seal_private)
        state = combined.parcel.data
    raise TrialFailed(
        f"The train's aggregator gave no result in {rounds} rounds",
        advice="Return (state, result) in the last one, or allow more rounds in train.toml",
    )


async def _one_after_another(course: _Course) -> Bytes:
    state: Bytes | None = None
    last: Bytes | None = None
    for stop in course.stops:
        course.progress(f"at {stop.name}")
        await _visit(course, stop, 1, state)
        if not stop.out:
            last = stop.released
            following = course.stops[course.stops.index(stop) + 1 :]
            state = seal(last, [s.identity.public.seal for s in following]) if following else None
    _require_quorum(course)
    assert last is not None, "the quorum is at least one"
    return last


async def _visit(course: _Course, stop: _Stop, number: int, state: Bytes | None) -> None:
    before = None if state is None else unseal(state, stop.identity.seal_private)
    outcome = await stop.run.run(number, before)
    if isinstance(outcome, Failed):
        where = f"in round {number} " if course.opened.manifest.route.rounds > 1 else ""
        raise _failed(f"The train failed {where}at {stop.name}: {outcome.reason.value}", outcome)
    course.rounds.append(_told(stop.name, number, outcome))
    if outcome.decision.action == "withhold":
        stop.out = str(outcome.decision.reason)
        return
    stop.released = outcome.payload
    stop.run.account(outcome.findings.released_values)


def _told(station: str, number: int, outcome: Checked) -> TrialRound:
    return TrialRound(
        station,
        number,
        outcome.decision.action,
        str(outcome.decision.reason),
        findings_as_json(outcome.findings),
        outcome.logs.decode("utf-8", "replace"),
    )


def _require_quorum(course: _Course) -> None:
    present = course.present
    if len(present) >= max(course.quorum, 1):
        return
    reasons = {f"{stop.name}: {stop.out}" for stop in course.stops if stop.out}
    raise TrialFailed(
        f"{len(present)} stations would release; the quorum is {course.quorum}",
        advice="; ".join(sorted(reasons)),
    )


def _failed(refused: str, outcome: RoundOutcome | None) -> TrialFailed:
    if not isinstance(outcome, Failed):
        return TrialFailed(refused)
    return TrialFailed(refused, trace=outcome.trace, logs=outcome.logs.decode("utf-8", "replace"))
