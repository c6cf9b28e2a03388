"""What locked environments cost beside venv and pip: ``make bench-environment``.

In turns, in one run: locking and building a Python environment on a whole Debian, and ``python -m
venv`` with ``pip install`` of the same packages. Packages are fetched once before anything is
timed, ours into the store, theirs into pip's cache; both sides ask their index each time, and ours
asks Debian's mirrors, too. Then: one package more; a command in an environment that is there; the
disk that ten environments need. Prints ratios and writes ``results/environment-*.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.figures import Spread
from branchline.environment.image.build import build_image
from branchline.environment.image.image import Image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import check_trees, materialise
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.locking import Locked, lock_environment
from branchline.environment.lock.wanted import Options

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "pandas", "scikit-learn", "statsmodels")
MORE = "matplotlib"
SMALL = ("tabulate", "tqdm", "humanize", "toolz", "attrs", "idna", "click", "pluggy", "zipp")
_POOLS = ("debs", "wheels", "texts")
_START = """
import os, sys, time
from pathlib import Path
from branchline.environment.image.store import Store
from branchline.environment.mount import mount_image
from branchline.sandbox.personal import become
from branchline.sandbox.walls import PersonalJob

folder, image, inside = sys.argv[1:]
print(time.monotonic(), flush=True)
if inside == "True":
    store = Store(Path(folder))
    become(PersonalJob(mount_image(store, image), ["/usr/bin/true"]), store.filters)
os.execv("/usr/bin/true", ["true"])
"""
"""What `environment run` does, once what it needs is imported; or the bare command."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: What was measured.
        ours: Seconds.
        theirs: Seconds of what it is compared with, if anything.
        goal_ratio: Theirs must take at least so many times as long as ours.
        goal_seconds: Ours may take at most so long.
    """

    what: str
    ours: Spread
    theirs: Spread | None = None
    goal_ratio: float | None = None
    goal_seconds: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times as long the other one takes."""
        return None if self.theirs is None else self.theirs.median / self.ours.median

    @property
    def met(self) -> bool | None:
        """Whether the goals are met; None where there is none."""
        said = []
        if self.goal_seconds is not None:
            said.append(self.ours.median <= self.goal_seconds)
        if self.goal_ratio is not None and self.ratio is not None:
            said.append(self.ratio >= self.goal_ratio)
        return all(said) if said else None


@dataclass
class Figures:
    """Seconds measured so far, by what was measured."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)
    phases: list[dict[str, float]] = field(default_factory=list)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Measure what is done meanwhile."""
        self.load.append(machine.load())
        began = time.perf_counter()
        yield
        self.seconds.setdefault(what, []).append(time.perf_counter() - began)

    def spread(self, what: str) -> Spread:
        """Sum up what was measured."""
        return Spread.of(self.seconds[what])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of the cold builds")
    parser.add_argument("--starts", type=int, default=30, help="of a command")
    given = parser.parse_args()
    console = Console()
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="bench-environment-") as name:
        folder = Path(name)
        console.print("fetching the packages of both sides once")
        warm = warm_up(folder)
        for run in range(given.runs):
            console.print(f"building, run {run + 1} of {given.runs}")
            one_run(folder / f"run-{run}", warm, folder / "pip", figures)
        console.print("starting commands")
        image = starts(warm, given.starts, figures)
        console.print("ten environments")
        disk = ten_environments(folder / "ten", warm)
        files = sum(1 for tree in materialise(image, warm).all for path in tree.rglob("*"))
    rows = rows_of(figures)
    show(rows, disk, files, console)
    write(rows, disk, files, figures, console)


def warm_up(folder: Path) -> Store:
    """Fill a store's pools and pip's cache with everything that will be asked for."""
    store = Store(folder / "warm")
    for packages in (PACKAGES, (*PACKAGES, MORE), (*PACKAGES, *SMALL)):
        locked = lock_environment(None, Options(with_python=packages), store)
        fetch(locked.lock, locked.pylock, store)
    theirs(folder / "venv", folder / "pip", (*PACKAGES, MORE))
    return store


def one_run(folder: Path, warm: Store, cache: Path, figures: Figures) -> None:
    """Time a cold build of each side, and one package more.

    Nothing is deleted before the end: where many files have just been deleted, ext4 makes new ones
    slowly for minutes, and whoever comes first would pay for it.
    """
    store = with_pools(folder / "store", warm)
    with figures.timed("ours, cold"):
        with figures.timed("ours, cold: lock"):
            locked = lock_environment(None, Options(with_python=PACKAGES), store)
        with figures.timed("ours, cold: build"):
            image = ours(locked, store)
    figures.phases.append(dict(image.seconds))
    venv = folder / "venv"
    with figures.timed("theirs, cold"):
        theirs(venv, cache, PACKAGES)
    with figures.timed("ours, one more"):
        options = Options(with_python=(*PACKAGES, MORE))
        ours(lock_environment(None, options, store, before=locked), store)
    with figures.timed("theirs, one more"):
        pip(venv, cache, (MORE,))


def ours(locked: Locked, store: Store) -> Image:
    """Bring what is missing, and build."""
    fetch(locked.lock, locked.pylock, store)
    return build_image(locked.lock, store)


def theirs(venv: Path, cache: Path, packages: Sequence[str]) -> None:
    """Make a virtual environment and install packages into it."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip(venv, cache, packages)


def pip(venv: Path, cache: Path, packages: Sequence[str]) -> None:
    """Install packages with pip, from its cache where it has them."""
    command = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    variables = os.environ | {"PIP_CACHE_DIR": str(cache)}
    subprocess.run([*command, *packages], env=variables, check=True, stdout=subprocess.DEVNULL)


def with_pools(folder: Path, warm: Store) -> Store:
    """Make a store that has packages and nothing else."""
    store = Store(folder)
    for pool in _POOLS:
        shutil.copytree(warm.folder / pool, folder / pool, copy_function=os.link)
    return store


def starts(store: Store, count: int, figures: Figures) -> Image:
    """Time a command in an environment that is there, and the same command bare."""
    locked = lock_environment(None, Options(with_python=PACKAGES), store)
    image = ours(locked, store)
    trees = materialise(image, store)

    for inside in (True, False):
        start(store, image, inside=inside)  # once, to load what is needed
    for _ in range(count):
        for what, inside in (("ours, start", True), ("theirs, start", False)):
            figures.seconds.setdefault(what, []).append(start(store, image, inside=inside))
        with figures.timed("ours, check"):
            check_trees(trees)
    return image


def start(store: Store, image: Image, *, inside: bool) -> float:
    """Run a command in a process of its own; return the seconds from its imports to its end."""
    words = [sys.executable, "-c", _START, str(store.folder), image.digest, str(inside)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        began = float(process.stdout.readline())
        code = process.wait()
        ended = time.monotonic()
    if code != 0:
        raise SystemExit(f"a command ended with {code}")
    return ended - began


def ten_environments(folder: Path, warm: Store) -> dict[str, Any]:
    """Build ten environments that differ by one package; say what the disk holds after each."""
    store, bytes_after = with_pools(folder, warm), []
    for package in ("", *SMALL):
        wanted = (*PACKAGES, package) if package else PACKAGES
        ours(lock_environment(None, Options(with_python=wanted), store), store)
        bytes_after.append(on_disk(store))
    return {"bytes_after": bytes_after, "ratio": bytes_after[-1] / bytes_after[0], "goal": 1.3}


def on_disk(store: Store) -> int:
    """Return what a store takes on the disk, packages left out; a file of many names counts once."""
    command = ["du", "--summarize", "--block-size=1", str(store.folder)]
    command += [f"--exclude={store.folder / pool}" for pool in (*_POOLS, "apt", "uv")]
    return int(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    )


def rows_of(figures: Figures) -> list[Row]:
    """Put measurements and goals side by side."""
    pip_cold = figures.spread("theirs, cold")
    return [
        Row("cold: lock and build; venv and pip", figures.spread("ours, cold"), pip_cold, 1.0),
        Row("  of it, locking", figures.spread("ours, cold: lock")),
        Row("  of it, building", figures.spread("ours, cold: build")),
        Row(
            f"and {MORE}; beside venv and pip of all",
            figures.spread("ours, one more"),
            pip_cold,
            5.0,
        ),
        Row(
            f"and {MORE}; beside pip into the same venv",
            figures.spread("ours, one more"),
            figures.spread("theirs, one more"),
        ),
        Row(
            "true in the environment; bare",
            figures.spread("ours, start"),
            figures.spread("theirs, start"),
            goal_seconds=0.050 + figures.spread("theirs, start").median,
        ),
        Row("  of it, checking every file", figures.spread("ours, check"), goal_seconds=0.050),
    ]


def show(rows: Sequence[Row], disk: dict[str, Any], files: int, console: Console) -> None:
    """Print the table."""
    table = Table(title="Seconds: median (minimum to maximum), number of measurements")
    for heading in ("", "Branchline", "theirs", "times faster", "goal"):
        table.add_column(heading, justify="left" if not heading else "right")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        theirs_text = "" if row.theirs is None else _text(row.theirs)
        table.add_row(row.what, _text(row.ours), theirs_text, ratio, _goal(row))
    console.print(table)
    megabytes = [round(size / 1e6) for size in (disk["bytes_after"][0], disk["bytes_after"][-1])]
    verdict = "met" if disk["ratio"] <= disk["goal"] else "MISSED"
    console.print(
        f"Disk: one environment {megabytes[0]} MB, ten {megabytes[1]} MB: {disk['ratio']:.2f} times"
        f" as much (goal 1.3, {verdict}). The environment started has {files} files and folders."
    )


def write(
    rows: Sequence[Row], disk: dict[str, Any], files: int, figures: Figures, console: Console
) -> None:
    """Write ``results/environment-<date>.json``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    plain = {
        "date": date,
        "machine": machine.describe(),
        "load": {"minimum": min(figures.load), "maximum": max(figures.load)},
        "rows": [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows],
        "phases": figures.phases,
        "disk": disk,
        "files": files,
    }
    file = RESULTS / f"environment-{date}.json"
    file.write_text(json.dumps(plain, indent=2) + "\n")
    console.print(str(file))


def _text(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.minimum:.3f} to {spread.maximum:.3f}) {spread.count}"


def _goal(row: Row) -> str:
    goals = []
    if row.goal_seconds is not None:
        goals.append(f"≤ {row.goal_seconds:.3f} s")
    if row.goal_ratio is not None:
        goals.append(f"≥ {row.goal_ratio:g}x")
    return ", ".join(goals) + {True: " met", False: " MISSED", None: ""}[row.met]


if __name__ == "__main__":
    main()
