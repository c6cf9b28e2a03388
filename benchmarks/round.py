"""How long a federated round takes, beside Flower's: ``make bench-round``.

Central, three sandboxed stations and Flower's SuperLink with three SuperNodes run as processes on
loopback; ours and theirs are timed in turns. Prints a table and writes ``results/round-*.json``.

**The work** is the same on both sides (``trains.py``, ``flower_app.py``): every station multiplies
each number of the model by a factor of its own, and the average weighted by records is the next
model. The model is noise from the first round on, drawn before anything is timed. So no two
stations send the same bytes, no two pieces of one array are alike, and nothing can be compressed.
This matters: Flower stores and sends the pieces of an array by their digests; an array filled with
one number is one piece many times over, and a round of it takes Flower about half as long.
One thing is left out of the noise that would cost ours alone: a negative zero. A station spells
such an output anew before it leaves (a zero has one spelling), one more copy of the model.

**The time** of a round runs from the end of the round before to its own end, on both sides: it
holds handing the model to all three, their work, bringing it back, and averaging. The first round
is left out on both sides: programs are loaded and the model is drawn in it. A round of Flower's
ends where its strategy has the average in memory. A round of ours ends a little later, where the
requester's program hears that the average is durable, recorded in the ledger, and sent on. Ours
also checks, seals and signs; theirs runs as it comes on loopback, without TLS or accounts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console

from benchmarks import flower, machine
from benchmarks.figures import Report, Row, Spread, print_rows
from benchmarks.journeys import time_nothing, time_rounds
from benchmarks.memory import memory_of
from benchmarks.parties import STATIONS, Parties
from benchmarks.programs import ProgramFailed, Programs
from benchmarks.trains import write_model_train, write_nothing_train

HERE = Path(__file__).resolve().parent
CACHE, RESULTS = HERE / "results" / "cache", HERE / "results"


@dataclass(frozen=True)
class Size:
    """One size of model, and how often it goes round.

    Args:
        name: As in ``--sizes``.
        parameters: float32 parameters.
        ours: Rounds of each of our two journeys, the first of which is not counted.
        theirs: Rounds of Flower's run between them, the first of which is not counted.
        goal_seconds: For our median.
        goal_ratio: For Flower's median over ours.
        patience: Seconds Flower's run may take.
    """

    name: str
    parameters: int
    ours: int
    theirs: int
    goal_seconds: float | None
    goal_ratio: float
    patience: float


SIZES = {
    "4kb": Size("4 KB", 1_000, 51, 7, 0.050, 100, 180),
    "10mb": Size("10 MB", 2_500_000, 5, 4, None, 10, 120),
    "100mb": Size("100 MB", 25_000_000, 4, 5, None, 10, 180),
}
QUICK = {"4kb": (11, 3), "10mb": (3, 2), "100mb": (3, 3)}
"""Rounds of ours and theirs with ``--quick``."""


class Bench:
    """One run of the benchmark.

    Args:
        parties: Our side.
        ours: Our programs.
        theirs: Flower; None to leave it out.
        trains: A folder for trains.
        console: Told what is under way.
    """

    def __init__(
        self,
        parties: Parties,
        ours: Programs,
        theirs: flower.Flower | None,
        trains: Path,
        console: Console,
    ) -> None:
        self._parties, self._programs, self._flower = parties, ours, theirs
        self._trains, self._console = trains, console
        self._model = write_model_train(trains / "model")

    def rounds(self, size: Size, *, quick: bool) -> Row:
        """Time the rounds of one size: ours, theirs, ours again."""
        ours, theirs, loads = list[float](), list[float](), list[float]()
        count = (size.ours, size.theirs)
        our_rounds, their_rounds = QUICK[size.name.replace(" ", "").lower()] if quick else count
        for turn in range(2):
            self._say(f"{size.name}: {our_rounds} rounds of ours")
            loads.append(machine.load())
            client = self._parties.researcher
            ours += time_rounds(client, self._model, our_rounds, size.parameters)
            if turn == 0 and self._flower is not None:
                self._say(f"{size.name}: {their_rounds} rounds of Flower's")
                loads.append(machine.load())
                theirs += self._flower.time_rounds(their_rounds, size.parameters, size.patience)
        return Row(
            f"round, {size.name}",
            Spread.of(ours),
            Spread.of(theirs) if theirs else None,
            size.goal_seconds,
            size.goal_ratio,
            tuple(loads),
        )

    def nothing(self, frame: str, times: int) -> Iterator[Row]:
        """Time a no-op train from its departure on, every journey with cold sandboxes."""
        self._say(f"no-op train, {frame}: {times} journeys")
        train = write_nothing_train(self._trains / frame, frame)
        loads = (machine.load(),)
        legs = [time_nothing(self._parties.researcher, train) for _ in range(times)]
        arrived = Spread.of([leg.arrived for leg in legs])
        in_hand = Spread.of([leg.in_hand for leg in legs])
        yield Row(f"no-op train ({frame}), to released result", arrived, None, 2.0, None, loads)
        yield Row(f"no-op train ({frame}), to result on disk", in_hand, None, None, None, loads)

    def memory(self, when: str) -> dict[str, object]:
        """Measure what central and the stations keep in memory."""
        names = ("central", *STATIONS)
        found = {name: memory_of(self._programs.pid(name)) for name in names}
        for name, memory in found.items():
            self._console.print(
                f"memory {when}: {name} {memory.resident:.0f} MiB resident, "
                f"{memory.proportional:.0f} MiB proportional"
            )
        return {name: asdict(memory) for name, memory in found.items()}

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{datetime.now(UTC):%H:%M:%S} {text}[/dim]")


@contextmanager
def prepared(folder: Path, console: Console, *, with_flower: bool) -> Iterator[Bench]:
    """Start everybody; at the end no program is left."""
    with ExitStack() as stack:
        ours = stack.enter_context(Programs(folder / "logs", {"PYTHONPATH": _python_path()}))
        theirs = None
        if with_flower:
            console.print("[dim]making Flower's environment, once[/dim]")
            binaries = flower.make_environment(CACHE)
            place = folder / "flower"
            variables = flower.environment(binaries, place)
            programs = stack.enter_context(Programs(place / "logs", variables))
            theirs = flower.Flower(place, programs, binaries)
        parties = Parties(folder, ours)
        stack.callback(parties.close)
        console.print("[dim]starting central and three stations[/dim]")
        parties.open()
        if theirs is not None:
            theirs.open()
        bench = Bench(parties, ours, theirs, folder / "trains", console)
        yield bench


def _python_path() -> str:
    """Return where central's program finds the package benchmarks; what was set stays."""
    return os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a goal was missed, for scripts that care."""
    given = _parse(arguments)
    console = Console(width=160, highlight=False)
    date = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    report = Report(date, machine.describe() | {"flower": "" if given.skip_flower else _FLOWER})
    with tempfile.TemporaryDirectory(prefix="branchline-bench-") as place:
        try:
            with prepared(Path(place), console, with_flower=not given.skip_flower) as bench:
                _measure(bench, report, given)
        except ProgramFailed as error:
            console.print(str(error), markup=False)
            return 1
    print_rows(report.rows, console)
    console.print(f"written to {report.write(RESULTS)}")
    return 0 if all(row.met is not False for row in report.rows) else 1


_FLOWER = " ".join(flower.REQUIREMENTS)


def _measure(bench: Bench, report: Report, given: argparse.Namespace) -> None:
    report.memory["idle"] = bench.memory("idle")
    for frame in ("arrow", "pandas"):
        report.rows += bench.nothing(frame, 2 if given.quick else 5)
    report.memory["after journeys"] = bench.memory("after journeys")
    for name in given.sizes:
        report.rows.append(bench.rounds(SIZES[name], quick=given.quick))
    report.memory["at the end"] = bench.memory("at the end")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How long a federated round takes.")
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work?")
    parser.add_argument("--skip-flower", action="store_true", help="our side only")
    parser.add_argument(
        "--sizes", nargs="*", choices=list(SIZES), default=list(SIZES), help="which models"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
