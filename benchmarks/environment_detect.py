"""How long detection takes, beside repo2docker's: ``python benchmarks/environment_detect.py``.

Both look at the same invented repositories on disk, in turns, in one process. Two of theirs are
timed: ``detect()``, which asks which pack wins and reads next to nothing, and the whole plan
(``render()``), without which they know no version and no package. Ours reads and checks every file
that counts. Nothing is remembered from one repository to the next, and each is looked at once a
run. Prints a table and writes ``results/environment-detect-*.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.figures import Spread
from benchmarks.spec_files import trees
from branchline.environment.spec import SpecRefused, detect, read_tree

RESULTS = Path(__file__).resolve().parent / "results"
_PLANNED = 60


def ours(folder: Path) -> None:
    """Detect a folder."""
    try:
        detect(read_tree(folder))
    except SpecRefused:
        pass


class Theirs:
    """repo2docker, in this process."""

    def __init__(self) -> None:
        from repo2docker.app import Repo2Docker
        from repo2docker.buildpacks.r import RBuildPack

        logging.disable(logging.CRITICAL)
        RBuildPack.get_rspm_snapshot_url = lambda *_: "snapshot"  # the network is not timed
        self._app: Any = Repo2Docker()

    def detect(self, folder: Path) -> Any:
        """Ask its packs, in their order, as its own main program does."""
        os.chdir(folder)
        packs = (kind(base_image=self._app.base_image) for kind in self._app.buildpacks)
        try:
            found = next((pack for pack in packs if pack.detect()), None)
        except (ValueError, RuntimeError):
            return None
        return found or self._app.default_buildpack(base_image=self._app.base_image)

    def plan(self, folder: Path) -> None:
        """Detect and render."""
        pack = self.detect(folder)
        if pack is not None:
            pack.platform = "linux/amd64"
            try:
                pack.render({})
            except Exception:  # noqa: BLE001 - it fails on faulty files with errors of every kind
                pass


def write(root: Path, number: int, seed: int) -> list[Path]:
    """Write invented repositories."""
    folders = []
    for index, files in enumerate(trees(number, seed)):
        folder = root / str(index)
        folder.mkdir()
        for path, text in {"README.md": "", "a.ipynb": "{}", **files}.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        folders.append(folder)
    return folders


def time_each(act: Callable[[Path], object], folders: Sequence[Path]) -> float:
    """Return the milliseconds a repository takes."""
    begun = time.perf_counter()
    for folder in folders:
        act(folder)
    return 1000 * (time.perf_counter() - begun) / len(folders)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repositories", type=int, default=400)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    theirs = Theirs()
    acts = {"ours": ours, "theirs: detect()": theirs.detect, "theirs: the plan": theirs.plan}
    times: dict[str, list[float]] = {name: [] for name in acts}
    loads = []
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as root:
        for run in range(given.runs + 1):
            folder = Path(root) / str(run)
            folder.mkdir()
            folders = write(folder, given.repositories, seed=run)
            loads.append(machine.load())
            for name, act in acts.items():
                some = folders[:_PLANNED] if act == theirs.plan else folders
                taken = time_each(act, some)
                if run:  # the first run loads what is loaded once
                    times[name].append(taken)
        os.chdir(here)
    show({name: Spread.of(taken) for name, taken in times.items()}, loads, given.repositories)


def show(spreads: dict[str, Spread], loads: list[float], repositories: int) -> None:
    """Print the table and write the file."""
    own = spreads["ours"].median
    table = Table(title=f"Milliseconds a repository ({repositories} a run)")
    for heading in ("", "median", "least", "most", "times ours"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, spread in spreads.items():
        numbers = (spread.median, spread.minimum, spread.maximum)
        table.add_row(name, *(f"{n:.3f}" for n in numbers), f"{spread.median / own:.2f}")
    Console().print(table)
    met = own <= spreads["theirs: detect()"].median
    print(f"Goal: not slower than detect(): {'met' if met else 'MISSED'}. Load {loads}")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    RESULTS.mkdir(parents=True, exist_ok=True)
    plain = {
        "date": now,
        "machine": machine.describe(),
        "load": loads,
        "repositories": repositories,
        "milliseconds": {name: asdict(spread) for name, spread in spreads.items()},
        "ratios": {name: spread.median / own for name, spread in spreads.items()},
        "met": met,
    }
    (RESULTS / f"environment-detect-{now}.json").write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
