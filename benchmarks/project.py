"""What keeping a project costs beside git, git-annex, DataLad and DVC: ``make bench-project``.

In turns, in one run, each in a new repository: many small files, added and saved; one large file;
status where nothing changed; a clone. Branchline is measured twice, with the files as data (in
git-annex) and as code (in git). And how long one waits for the workbench's pages. Peers are installed in environments of their own. Before each step
what is written goes to disk, for all alike; what a peer leaves unwritten is its affair. Every exit
code counts: a step that fails ends the run. Prints ratios, writes ``results/project-*.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.figures import Spread
from benchmarks.pages import FEED, GOAL_MILLISECONDS, make_history, measure_pages
from benchmarks.peers import make_environment

RESULTS = Path(__file__).resolve().parent / "results"
CACHE = RESULTS / "cache"
PER_FOLDER = 100
GIT_ANNEX = "git-annex==10.20261026"
DATALAD = "datalad==1.7.1"
DVC = "dvc==3.67.1"
PAGES = "branchline pages"

Words = tuple[str, ...]


@dataclass(frozen=True)
class Contestant:
    """Something that keeps files.

    Args:
        name: What the table calls it.
        folder: Where in the repository the files go.
        begin: Commands that make a repository.
        save: Commands that add and save what is in it.
        status: The command that says whether anything changed.
        clone: The command that makes a copy without content, ``{root}`` and ``{to}`` standing for whence and
            where to.
        path: Folder of its programs; empty for the system's.
        data_apart: Whether large files stay out of git's own history.
    """

    name: str
    folder: str
    begin: Sequence[Words]
    save: Sequence[Words]
    status: Words
    clone: Words
    path: str = ""
    data_apart: bool = True


@dataclass
class Figures:
    """Seconds measured so far, by step and contestant."""

    wall: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    cpu: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)

    def measure(self, step: str, name: str, work: Callable[[], None]) -> None:
        """Time one piece of work and what its processes took."""
        os.sync()
        self.load.append(machine.load())
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.wall.setdefault(step, {}).setdefault(name, []).append(seconds)
        self.cpu.setdefault(step, {}).setdefault(name, []).append(used)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", type=int, default=10_000, help="files of 1 KiB")
    parser.add_argument("--large", type=int, default=2048, help="MiB of the one large file")
    parser.add_argument("--status", type=int, default=100_000, help="files in the status step")
    parser.add_argument("--history", type=int, default=50_000, help="records behind the pages")
    parser.add_argument("--only", default="", help="contestants by name, with commas")
    given = parser.parse_args()
    console, figures = Console(), Figures()
    known = contestants()
    chosen = [c for c in known if not given.only or c.name in given.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-project-", ignore_cleanup_errors=True) as name:
        base = Path(name)
        for number in range(given.runs):
            console.print(f"run {number + 1} of {given.runs}, load {machine.load()}")
            for contestant in chosen:
                small(base, contestant, given.small, number, figures)
            for contestant in [c for c in chosen if c.data_apart]:
                large(base, contestant, given.large, number, figures)
            hash_alone(base, given.large, number, figures)
        console.print(f"status on {given.status} files")
        statuses(base, chosen, given.status, given.runs, figures)
    with tempfile.TemporaryDirectory(prefix="bench-pages-", ignore_cleanup_errors=True) as name:
        console.print(f"pages of a project with {given.history} records")
        pages(Path(name), given.history, given.runs, figures)
    rows = rows_of(figures)
    show(rows, figures, console)
    write(rows, figures, vars(given), console)


def contestants() -> list[Contestant]:
    """Return everybody, their programs installed."""
    annex = str(make_environment(CACHE, "git-annex", [GIT_ANNEX]))
    datalad = str(make_environment(CACHE, "datalad", [DATALAD, GIT_ANNEX]))
    dvc = str(make_environment(CACHE, "dvc", [DVC]))
    ours = str(Path(sys.executable).parent)
    commit = ("git", "commit", "-q", "-m", "x")
    status, clone = ("git", "status", "--porcelain"), ("git", "clone", "-q", "{root}", "{to}")
    empty = (("git", "init", "-q"), ("git", "commit", "-q", "--allow-empty", "-m", "x"))
    begin: Sequence[Words] = (("branchline", "init", "."),)
    save: Sequence[Words] = (("branchline", "save"),)
    own = (("branchline", "status"), ("branchline", "clone", "{root}", "{to}"))
    return [
        Contestant("branchline data", "data", begin, save, *own, ours),
        Contestant("branchline code", "code", begin, save, *own, ours, data_apart=False),
        Contestant(
            "git", "data", empty, (("git", "add", "."), commit), status, clone, data_apart=False
        ),
        Contestant(
            "git-annex",
            "data",
            (*empty, ("git-annex", "init", "-q", "x")),
            (("git-annex", "add", "-q", "."), commit),
            status,
            clone,
            annex,
        ),
        Contestant(
            "DataLad",
            "data",
            (("datalad", "-l", "error", "create", "--force", "."),),
            (("datalad", "-l", "error", "save", "-m", "x"),),
            ("datalad", "status"),
            ("datalad", "-l", "error", "clone", "{root}", "{to}"),
            datalad,
        ),
        Contestant(
            "DVC",
            "data",
            (*empty, ("dvc", "init", "-q")),
            (("dvc", "add", "-q", "data"), ("git", "add", "."), commit),
            ("dvc", "status", "-q"),
            clone,
            dvc,
        ),
    ]


def small(base: Path, one: Contestant, count: int, seed: int, figures: Figures) -> None:
    """Add and save many small files, then clone."""
    root = repository(base, one)
    make_files(root / one.folder, count, seed)
    step = f"add and save {count} files of 1 KiB"
    figures.measure(step, one.name, lambda: run_all(one, one.save, root))
    to = base / "clone"
    words = tuple(word.format(root=root, to=to) for word in one.clone)
    figures.measure(
        f"clone {count} files, without content", one.name, lambda: run(one, words, root)
    )
    remove(to)
    remove(root)


def large(base: Path, one: Contestant, mebibytes: int, seed: int, figures: Figures) -> None:
    """Add and save one large file."""
    root = repository(base, one)
    make_large(root / one.folder / "large.bin", mebibytes, seed)
    step = f"add and save one file of {mebibytes} MiB"
    figures.measure(step, one.name, lambda: run_all(one, one.save, root))
    remove(root)


def hash_alone(base: Path, mebibytes: int, seed: int, figures: Figures) -> None:
    """Hash the large file with OpenSSL, nothing else."""
    file = base / "alone" / "large.bin"
    make_large(file, mebibytes, seed)
    words = ["openssl", "dgst", "-sha256", str(file)]
    step = f"add and save one file of {mebibytes} MiB"
    figures.measure(step, "OpenSSL SHA-256", lambda: _run(words, base, os.environ))
    shutil.rmtree(file.parent)


def statuses(
    base: Path, chosen: Sequence[Contestant], count: int, runs: int, figures: Figures
) -> None:
    """Ask for the status of many files of which none changed; files are in git throughout.

    Who takes most of a minute for ten thousand is spared a hundred thousand.
    """
    quick = [c for c in chosen if c.name in ("branchline code", "branchline data", "git", "DVC")]
    roots = {}
    for one in quick:
        roots[one.name] = repository(base, one, f"status-{len(roots)}")
        make_files(roots[one.name] / one.folder, count, 0)
        run_all(one, one.save, roots[one.name])
        run(one, one.status, roots[one.name])
    for _ in range(runs):
        for one in quick:
            root = roots[one.name]
            step = f"status of {count} files"
            figures.measure(step, one.name, lambda one=one, root=root: run(one, one.status, root))  # type: ignore[misc]


def pages(base: Path, count: int, runs: int, figures: Figures) -> None:
    """Ask for the workbench's pages of a project with a long history."""
    make_history(base / "project", count)
    figures.load.append(machine.load())
    for page in measure_pages(base / "project", base / "home", runs):
        seconds = [each / 1000 for each in page.milliseconds]
        figures.wall.setdefault(page.name, {})[PAGES] = seconds
        figures.cpu.setdefault(page.name, {})[PAGES] = [0.0] * len(seconds)


def repository(base: Path, one: Contestant, name: str = "repository") -> Path:
    """Make a new repository."""
    root = base / name
    (root / one.folder).mkdir(parents=True)
    run_all(one, one.begin, root)
    return root


def make_files(folder: Path, count: int, seed: int) -> None:
    """Write files of 1 KiB, a hundred to a folder; the same seed writes the same."""
    rng = random.Random(seed)
    for number in range(count):
        place = folder / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06d}.txt").write_bytes(rng.randbytes(1024))


def make_large(file: Path, mebibytes: int, seed: int) -> None:
    """Write one large file of noise."""
    rng = random.Random(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        for _ in range(mebibytes):
            out.write(rng.randbytes(1 << 20))


def run_all(one: Contestant, commands: Sequence[Words], root: Path) -> None:
    """Run commands one after another."""
    for words in commands:
        run(one, words, root)


def run(one: Contestant, words: Sequence[str], root: Path) -> None:
    """Run a contestant's command, which must succeed."""
    names = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "b"), ("EMAIL", "b@b"))
    }
    path = os.pathsep.join(part for part in (one.path, os.environ["PATH"]) if part)
    more = {"PATH": path, "DVC_NO_ANALYTICS": "1", "BRANCHLINE_HOME": str(CACHE / "home")}
    _run(words, root, {**os.environ, **names, **more})


def _run(words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]!r}")


def remove(folder: Path) -> None:
    """Remove a repository; git-annex's folders are not writable."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    # A git that tidies up in the background may still be at it.
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        step: What was measured.
        name: Whose.
        wall: Seconds.
        cpu: Seconds of processor, children included.
        ours: How many times as long as Branchline with the files as data.
        goal: What is asked of it, in words; empty where nothing is.
        met: Whether it is met.
    """

    step: str
    name: str
    wall: Spread
    cpu: Spread
    ours: float | None
    goal: str = ""
    met: bool | None = None


GOALS = (
    ("add and save", "files of 1 KiB", "git", 2.0),
    ("add and save", "files of 1 KiB", "DataLad", 0.1),
    ("add and save", "MiB", "OpenSSL SHA-256", 1.2),
    ("status", "files", "git", 1.5),
)
"""At most so many times as long as a peer takes: both words are in the step's name."""


def rows_of(figures: Figures) -> list[Row]:
    """Put measurements and goals side by side."""
    rows = []
    for step, by_name in figures.wall.items():
        own = by_name.get("branchline data")
        for name, seconds in by_name.items():
            wall, goal, met = Spread.of(seconds), "", None
            for first, second, peer, most in GOALS:
                if own and name == peer and step.startswith(first) and second in step:
                    goal, met = f"ours ≤ {most:g}x", Spread.of(own).median <= most * wall.median
            if name == PAGES and step.startswith(FEED):
                goal, met = f"≤ {GOAL_MILLISECONDS:g} ms", wall.median <= GOAL_MILLISECONDS / 1000
            ratio = wall.median / Spread.of(own).median if own else None
            rows.append(Row(step, name, wall, Spread.of(figures.cpu[step][name]), ratio, goal, met))
    return rows


def show(rows: Sequence[Row], figures: Figures, console: Console) -> None:
    """Print the table."""
    table = Table(title="Seconds: median (minimum to maximum), and of the processor")
    for heading in ("", "", "wall", "CPU", "of ours", "goal"):
        table.add_column(heading, justify="right" if heading else "left")
    step = ""
    for row in rows:
        digits = 3 if row.name == PAGES else 2
        spread = (row.wall.median, row.wall.minimum, row.wall.maximum)
        wall = "{} ({} to {})".format(*(f"{each:.{digits}f}" for each in spread))
        ratio = "" if row.ours is None else f"{row.ours:.2f}"
        verdict = {True: " met", False: " MISSED", None: ""}[row.met]
        title = row.step if row.step != step else ""
        table.add_row(title, row.name, wall, f"{row.cpu.median:.2f}", ratio, row.goal + verdict)
        step = row.step
    console.print(table)
    console.print(f"load {min(figures.load):.1f} to {max(figures.load):.1f}; DVC hashes with MD5")


def write(
    rows: Sequence[Row], figures: Figures, given: dict[str, object], console: Console
) -> None:
    """Write ``results/project-<date>.json``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    plain = {
        "date": date,
        "machine": machine.describe(),
        "given": given,
        "peers": [GIT_ANNEX, DATALAD, DVC],
        "load": {"minimum": min(figures.load), "maximum": max(figures.load)},
        "rows": [asdict(row) for row in rows],
    }
    file = RESULTS / f"project-{date}.json"
    file.write_text(json.dumps(plain, indent=2) + "\n")
    console.print(str(file))


if __name__ == "__main__":
    main()
