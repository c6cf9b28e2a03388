"""The steps of ``make bench-project``: what is done to files, and how long each keeper takes for it.

Each step begins in a new repository. Before each what is written goes to disk, for all alike; what a
keeper leaves unwritten is its affair. Every exit code counts: a step that fails ends the run.

What is done with is put away, and removed when all is measured. On some file systems (ext4 without a
journal) each new file costs more for minutes after many were removed: whoever came next would pay for
those before.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.keepers import DATA, GIT, Keeper, Words
from benchmarks.programs import Programs

PER_FOLDER = 100
OPENSSL = "OpenSSL SHA-256"
GIT_IN_OURS = "git, in Branchline's"
ASKED = 3
"""Status is asked so many times in each run: it takes next to no time."""
_PATIENCE = 900.0
_DONE = "done"


@dataclass
class Figures:
    """Seconds measured so far, by step and keeper.

    Args:
        console: Told each as it comes.
    """

    console: Console
    wall: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    cpu: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)

    def measure(self, step: str, name: str, work: Callable[[], object]) -> None:
        """Time one piece of work and what its processes took."""
        os.sync()
        self.load.append(machine.load())
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.put(step, name, seconds, used)

    def put(self, step: str, name: str, seconds: float, used: float = 0.0) -> None:
        """Take down one measurement."""
        self.wall.setdefault(step, {}).setdefault(name, []).append(seconds)
        self.cpu.setdefault(step, {}).setdefault(name, []).append(used)
        now = datetime.now(UTC).strftime("%H:%M:%S")
        self.console.print(f"[dim]{now}[/dim] {step}: {name} {seconds:.3f} s", highlight=False)


@dataclass(frozen=True)
class Bench:
    """Where steps are done, and by whom.

    Args:
        base: Folder for repositories.
        cache: Where programs and homes are kept between runs.
        keepers: Who takes part.
        runs: How often each step is done; once by whoever is slow.
        figures: Where measurements go.
    """

    base: Path
    cache: Path
    keepers: Sequence[Keeper]
    runs: int
    figures: Figures

    def in_turns(self, chosen: Sequence[Keeper]) -> list[tuple[int, Keeper]]:
        """Return who is to be measured when: all in turns, the slow ones in the first only."""
        return [(n, k) for n in range(self.runs) for k in chosen if n == 0 or not k.slow]

    def run(
        self,
        keeper: Keeper,
        commands: Sequence[Words],
        folder: Path,
        root: Path | None = None,
        to: Path | None = None,
    ) -> None:
        """Run a keeper's commands one after another; each must succeed, and nothing of it stays.

        Args:
            keeper: Whose.
            commands: The commands.
            folder: Where they are run.
            root: What they call ``{root}``; by default the folder.
            to: What they call ``{to}``.
        """
        with Programs(self.base / "logs", keeper.environment(self.cache)) as programs:
            for words in commands:
                line = [word.format(root=root or folder, to=to) for word in words]
                programs.run(keeper.name, line, folder=folder, seconds=_PATIENCE)

    def put_away(self, folder: Path) -> None:
        """Move what is done with out of the way."""
        place = self.base / _DONE
        place.mkdir(exist_ok=True)
        if folder.exists():
            folder.rename(place / f"{len(os.listdir(place))}")

    def clear(self) -> None:
        """Remove all that was made; git-annex's folders are not writable."""
        remove(self.base)

    def repository(self, keeper: Keeper, name: str = "repository") -> Path:
        """Make a new repository."""
        root = self.base / name
        (root / keeper.folder).mkdir(parents=True)
        self.run(keeper, keeper.begin, root)
        return root


def small(bench: Bench, count: int) -> None:
    """Add and save many small files, ask for the status, and clone."""
    measure = bench.figures.measure
    for number, keeper in bench.in_turns(bench.keepers):
        root, to = bench.repository(keeper), bench.base / "clone"
        make_files(root / keeper.folder, count, number)
        step = f"add and save {count} files of 1 KiB"
        measure(step, keeper.name, partial(bench.run, keeper, keeper.save, root))
        ask = partial(bench.run, keeper, [keeper.status], root)
        ask()
        measure(f"status of {count} files, just saved", keeper.name, ask)
        step = f"clone {count} files, without content"
        measure(step, keeper.name, partial(bench.run, keeper, [keeper.clone], root, to=to))
        bench.put_away(to)
        bench.put_away(root)


def large(bench: Bench, mebibytes: int) -> None:
    """Add and save one large file; OpenSSL does nothing but hash it."""
    file = bench.base / "alone" / "large.bin"
    make_large(file, mebibytes, 0)
    step = f"add and save one file of {mebibytes} MiB"
    hashing = ("openssl", "dgst", "-sha256", str(file))
    apart = [keeper for keeper in bench.keepers if keeper.data_apart]
    for number in range(bench.runs):
        for keeper in [k for k in apart if number == 0 or not k.slow]:
            root = bench.repository(keeper)
            shutil.copyfile(file, root / keeper.folder / "large.bin")
            save = partial(bench.run, keeper, keeper.save, root)
            bench.figures.measure(step, keeper.name, save)
            remove(root)
        with Programs(bench.base / "logs") as programs:
            bench.figures.measure(step, OPENSSL, partial(programs.run, "openssl", hashing))
    remove(file.parent)


def statuses(bench: Bench, count: int) -> None:
    """Ask for the status of many files of which none changed.

    All have one content: status reads none, and so they are made quickly. Whoever is slow is spared
    them. Git is also asked in Branchline's repository, where it finds what Branchline left it.
    """
    quick = [keeper for keeper in bench.keepers if not keeper.slow]
    asked: list[tuple[str, Callable[[], None]]] = []
    for keeper in quick:
        root = bench.repository(keeper, f"status-{len(asked)}")
        make_files(root / keeper.folder, count, None)
        bench.run(keeper, keeper.save, root)
        asked.append((keeper.name, partial(bench.run, keeper, [keeper.status], root)))
        if keeper.name == DATA:
            there = root
        bench.figures.console.print(f"{keeper.name} has {count} files", highlight=False)
    for git in [k for k in quick if k.name == GIT and DATA in dict(asked)]:
        asked.append((GIT_IN_OURS, partial(bench.run, git, [git.status], there)))
    for ask in 2 * [ask for _, ask in asked]:
        ask()
    for _ in range(ASKED * bench.runs):
        for name, ask in asked:
            bench.figures.measure(f"status of {count} files", name, ask)
    for number in range(len(quick)):
        bench.put_away(bench.base / f"status-{number}")


def contents(bench: Bench, count: int) -> None:
    """Bring the content of small files into a clone, and remove it there; DVC has no word for that."""
    for number, keeper in bench.in_turns([k for k in bench.keepers if k.get]):
        root, to = bench.repository(keeper), bench.base / "clone"
        make_files(root / keeper.folder, count, number)
        bench.run(keeper, (*keeper.save, *keeper.send), root)
        bench.run(keeper, [keeper.clone], root, to=to)
        verbs = [("get", keeper.get), ("drop", keeper.drop)]
        for verb, commands in [each for each in verbs if each[1]]:
            work = partial(bench.run, keeper, commands, to, root=root)
            bench.figures.measure(f"{verb} {count} files of 1 KiB", keeper.name, work)
        for folder in (to, root, Path(f"{root}-remote")):
            bench.put_away(folder)


def make_files(folder: Path, count: int, seed: int | None) -> None:
    """Write small files, a hundred to a folder; 1 KiB of noise each, or all the same two bytes.

    Args:
        folder: Where.
        count: How many.
        seed: The same seed writes the same noise; None for no noise.
    """
    rng = random.Random(seed)
    for number in range(count):
        place = folder / f"{number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        content = b"x\n" if seed is None else rng.randbytes(1024)
        (place / f"{number:06d}.txt").write_bytes(content)


def make_large(file: Path, mebibytes: int, seed: int) -> None:
    """Write one large file of noise."""
    rng = random.Random(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        for _ in range(mebibytes):
            out.write(rng.randbytes(1 << 20))


def remove(folder: Path) -> None:
    """Remove a repository; git-annex's folders are not writable."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    # A git that tidies up in the background may still be at it.
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
