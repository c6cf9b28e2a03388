"""Turn measured seconds into figures, a table for people and a file for programs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Spread:
    """Seconds of repeated measurements."""

    count: int
    median: float
    minimum: float
    maximum: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Sum up at least one measurement; p95 is the nearest rank."""
        ordered = sorted(seconds)
        rank = max(0, math.ceil(0.95 * len(ordered)) - 1)
        median = statistics.median(ordered)
        return cls(len(ordered), median, ordered[0], ordered[-1], ordered[rank])


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: What was measured.
        ours: Branchline's seconds.
        theirs: Flower's seconds, if it does the same.
        goal_seconds: At most so many, by the median.
        goal_ratio: At least so many times faster, by the medians.
        load: Load averages of the machine before each measurement.
    """

    what: str
    ours: Spread
    theirs: Spread | None = None
    goal_seconds: float | None = None
    goal_ratio: float | None = None
    load: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """How many times as long Flower takes."""
        return None if self.theirs is None else self.theirs.median / self.ours.median

    @property
    def met(self) -> bool | None:
        """Whether every goal that was measured is met; None if none was."""
        said = []
        if self.goal_seconds is not None:
            said.append(self.ours.median <= self.goal_seconds)
        if self.goal_ratio is not None and self.ratio is not None:
            said.append(self.ratio >= self.goal_ratio)
        return all(said) if said else None


@dataclass
class Report:
    """Everything one run of the benchmark found."""

    date: str
    machine: dict[str, object]
    rows: list[Row] = field(default_factory=list)
    memory: dict[str, dict[str, object]] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write ``round-<date>.json`` and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in self.rows]
        plain = {"date": self.date, "machine": self.machine, "rounds": rows, "memory": self.memory}
        file = folder / f"round-{self.date.replace(':', '')}.json"
        file.write_text(json.dumps(plain, indent=2) + "\n")
        return file


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Print the table: medians with their spread, and how many times faster."""
    table = Table(title="Seconds: median (minimum to maximum; 95 % below), number of measurements")
    for heading in ("", "Branchline", "Flower", "times faster", "goal", "load"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
        theirs = "" if row.theirs is None else _text(row.theirs)
        load = f"{min(row.load):.1f}-{max(row.load):.1f}" if row.load else ""
        table.add_row(row.what, _text(row.ours), theirs, ratio, _goal(row), load)
    console.print(table)


def _text(spread: Spread) -> str:
    low, high, p95 = (f"{s:.3f}" for s in (spread.minimum, spread.maximum, spread.p95))
    return f"{spread.median:.3f} ({low} to {high}; {p95}) {spread.count}"


def _goal(row: Row) -> str:
    goals = []
    if row.goal_seconds is not None:
        goals.append(f"≤ {row.goal_seconds:g} s")
    if row.goal_ratio is not None:
        goals.append(f"≥ {row.goal_ratio:g}x")
    verdict = {True: " met", False: " MISSED", None: ""}[row.met]
    return ", ".join(goals) + verdict
