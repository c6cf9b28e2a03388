"""The table of ``make bench-project``: measurements, goals, verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.figures import Spread
from benchmarks.keepers import CODE, DATA, DATALAD, DVC, GIT, GIT_ANNEX
from benchmarks.keeping import GIT_IN_OURS, OPENSSL, Figures
from benchmarks.pages import FEED, GOAL_MILLISECONDS

PAGES, FIND = "branchline pages", "branchline find"
_MANY = "100000"


@dataclass(frozen=True)
class Goal:
    """What is asked of Branchline beside a peer.

    Args:
        first: How the step's name begins.
        last: What is in it, too.
        peer: Beside whom.
        most: At most so many times the peer's seconds.
    """

    first: str
    last: str
    peer: str
    most: float


GOALS = (
    Goal("add and save", "files of 1 KiB", GIT, 2.0),
    Goal("add and save", "files of 1 KiB", "DataLad", 0.1),
    Goal("add and save", "MiB", OPENSSL, 1.2),
    Goal("status", _MANY, GIT, 1.5),
    Goal("status", _MANY, GIT_IN_OURS, 1.5),
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        step: What was measured.
        name: Whose.
        wall: Seconds.
        cpu: Seconds of processor, children included.
        ours: What Branchline takes, with the files as data and as code, in times of this.
        goal: What is asked, in words; empty where nothing is.
        met: Whether it is met.
    """

    step: str
    name: str
    wall: Spread
    cpu: Spread
    ours: dict[str, float]
    goal: str = ""
    met: bool | None = None


def rows_of(figures: Figures) -> list[Row]:
    """Put measurements and goals side by side."""
    rows = []
    for step, by_name in figures.wall.items():
        medians = {name: Spread.of(seconds).median for name, seconds in by_name.items()}
        for name, seconds in by_name.items():
            ours = {
                own.split()[1]: medians[own] / medians[name]
                for own in (DATA, CODE)
                if own in medians and name not in (DATA, CODE)
            }
            goal, met = _judged(step, name, medians[name], ours)
            cpu = Spread.of(figures.cpu[step][name])
            rows.append(Row(step, name, Spread.of(seconds), cpu, ours, goal, met))
    return rows


def _judged(step: str, name: str, median: float, ours: dict[str, float]) -> tuple[str, bool | None]:
    if name == PAGES and step.startswith(FEED):
        return f"≤ {GOAL_MILLISECONDS:g} ms", median <= GOAL_MILLISECONDS / 1000
    for goal in GOALS:
        if name == goal.peer and step.startswith(goal.first) and goal.last in step and ours:
            return f"ours ≤ {goal.most:g}x", all(each <= goal.most for each in ours.values())
    return "", None


def show(rows: Sequence[Row], figures: Figures, console: Console) -> None:
    """Print the table."""
    table = Table(title="Seconds: median (minimum to maximum, runs), and of the processor")
    for heading in ("", "", "wall", "CPU", "ours, data and code", "goal"):
        table.add_column(heading, justify="right" if heading else "left")
    step = ""
    for row in rows:
        ratio = ", ".join(f"{times:.2f}x" for times in row.ours.values())
        verdict = {True: " met", False: " MISSED", None: ""}[row.met]
        title = row.step if row.step != step else ""
        wall = _seconds(row.wall)
        table.add_row(title, row.name, wall, f"{row.cpu.median:.2f}", ratio, row.goal + verdict)
        step = row.step
    console.print(table)
    load = f"load {min(figures.load):.1f} to {max(figures.load):.1f}" if figures.load else ""
    console.print(f"{load}; DVC hashes with MD5. Processor time of pages is not counted")


def _seconds(spread: Spread) -> str:
    digits = 3 if spread.median < 1 else 2
    if spread.count == 1:
        return f"{spread.median:.{digits}f} (once)"
    low, high = f"{spread.minimum:.{digits}f}", f"{spread.maximum:.{digits}f}"
    return f"{spread.median:.{digits}f} ({low} to {high}, {spread.count})"


def write(folder: Path, rows: Sequence[Row], figures: Figures, given: dict[str, object]) -> Path:
    """Write ``project-<date>.json`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    load = {"minimum": min(figures.load), "maximum": max(figures.load)} if figures.load else {}
    plain = {
        "date": date,
        "machine": machine.describe(),
        "given": given,
        "peers": [GIT_ANNEX, DATALAD, DVC],
        "load": load,
        "rows": [asdict(row) for row in rows],
    }
    file = folder / f"project-{date}.json"
    file.write_text(json.dumps(plain, indent=2) + "\n")
    return file
