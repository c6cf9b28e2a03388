"""What keeping a project costs beside git, git-annex, DataLad and DVC: ``make bench-project``.

In turns, in one run, each in a new repository: many small files, added and saved; one large file;
status where nothing changed; a clone; contents brought and removed. Branchline is measured twice, with
the files as data (in git-annex) and as code (in git). And how long one waits for the workbench's pages,
and for a search in a long history. Peers are installed in environments of their own; those that take
more than a minute are run once, and the table says so. Prints ratios, writes ``results/project-*.json``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console

from benchmarks import machine
from benchmarks.keepers import keepers
from benchmarks.keeping import Bench, Figures, contents, large, small, statuses
from benchmarks.pages import History, measure_pages
from benchmarks.project_table import FIND, PAGES, rows_of, show, write

RESULTS = Path(__file__).resolve().parent / "results"
CACHE = RESULTS / "cache"
PARTS = ("small", "large", "status", "contents", "pages")


def main() -> int:
    """Measure, print and write; return 1 if a goal was missed, for scripts that care."""
    given = _parsed()
    signal.signal(signal.SIGTERM, _end)
    # What people install has its bytecode beside it.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    console = Console(width=150, highlight=False)
    figures, began = Figures(console), time.monotonic()
    console.print("peers are installed where they are not yet")
    chosen = keepers(CACHE, _names(given.who))
    parts = _names(given.only) or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="bench-project-", ignore_cleanup_errors=True) as name:
        bench = Bench(Path(name), CACHE, chosen, given.runs, figures)
        try:
            if "small" in parts:
                small(bench, given.small)
            if "large" in parts:
                large(bench, given.large)
            if "status" in parts:
                for count in map(int, _names(given.status)):
                    statuses(bench, count)
            if "contents" in parts:
                contents(bench, given.contents)
            if "pages" in parts:
                pages(Path(name) / "pages", given.history, given.records, given.runs, figures)
        finally:
            bench.clear()
    rows = rows_of(figures)
    show(rows, figures, console)
    console.print(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    console.print(str(write(RESULTS, rows, figures, vars(given))))
    return 0 if all(row.met in (None, True) for row in rows) else 1


def pages(base: Path, count: int, records: int, runs: int, figures: Figures) -> None:
    """Ask for the workbench's pages of a project with a long history, and search a longer one."""
    figures.console.print(f"a history of {count} records is written")
    history = History(base / "project")
    history.grow(count)
    figures.load.append(machine.load())
    for page in measure_pages(history.root, base / "home", runs):
        for each in page.milliseconds:
            figures.put(page.name, PAGES, each / 1000)
    figures.console.print(f"it grows to {records} records")
    history.grow(records)
    variables = {**os.environ, "BRANCHLINE_HOME": str(base / "home")}
    for number in range(runs + 1):
        # Of seven records four ran a cell that speaks of teeth.
        wanted = (records - 1) // 7 * 7 - 7 * number
        words = [sys.executable, "-m", "branchline", "find", "teeth", str(wanted)]
        step = f"find in {records} records" + ("" if number else ", the first time")
        figures.measure(step, FIND, partial(_found, words, history.root, variables))


def _found(words: Sequence[str], folder: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, check=True)
    assert b"teeth" in done.stdout, done.stdout


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What keeping a project costs.")
    parser.add_argument("--runs", type=int, default=3, help="of who is not slow")
    parser.add_argument("--small", type=int, default=10_000, help="files of 1 KiB")
    parser.add_argument("--large", type=int, default=2048, help="MiB of the one large file")
    parser.add_argument("--status", default="20000,100000", help="files in the status step")
    parser.add_argument("--contents", type=int, default=500, help="files brought and removed")
    parser.add_argument("--history", type=int, default=50_000, help="records behind the pages")
    parser.add_argument("--records", type=int, default=100_000, help="records that are searched")
    parser.add_argument("--only", default="", help=f"parts with commas, of {', '.join(PARTS)}")
    parser.add_argument("--who", default="", help="parts of names with commas, say git,branchline")
    given = parser.parse_args()
    if wrong := [part for part in _names(given.only) if part not in PARTS]:
        parser.error(f"there is no part {wrong[0]!r}; there are {', '.join(PARTS)}")
    return given


def _names(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _end(number: int, frame: FrameType | None) -> None:
    """End as if somebody had pressed Ctrl-C: what was started ends, what was made goes."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
