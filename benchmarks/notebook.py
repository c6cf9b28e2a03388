"""What recording notebooks costs: the same notebook under nbclient, with and without a recorder.

The notebook works on numbers as notebooks do, about a fifth of a second a cell, prints, draws
pictures, and fails once. Counted is processor time, user and system, of everybody: whoever runs the
notebook, the kernel, and the recorder with all programs that it calls. Each recorded run stands
between two plain ones and is compared with their mean, so that a machine that becomes slower or faster
does not count; of the differences the median counts.

Two runs of that notebook differ by more than being listened to costs it. What it costs depends on what
a notebook says, not on its numbers: so it is measured with the same cells without their numbers, where
chance is small, and held against the whole notebook. What the whole one shows is printed, too.
Prints a table and writes ``results/notebook-*.json``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console

from benchmarks import machine
from benchmarks.figures import Spread
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import read_all
from branchline.project.beginning import begin
from branchline.project.notebook.recording import Recording
from branchline.project.place import Project

RESULTS = Path(__file__).resolve().parent / "results"
GOAL = 2.0
CELL = """
import base64, time
import numpy as np
from IPython.display import Image, display
drawn = np.random.default_rng({number})
table = drawn.normal(size=({size}, {size}))
for turn in range({turns}):
    table = np.linalg.qr(table)[0] + turn
print("cell {number}", table.mean())
display(Image(data=drawn.bytes(40_000), format="png"))
table[:3, :3]
"""
RUN = """
import json, os, sys, uuid
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
file = f"{sys.argv[1]}/kernel-{uuid.uuid4()}.json"
kernel = KernelManager(transport="ipc", connection_file=file, kernel_name="python3")
notebook = new_notebook(cells=[new_code_cell(cell) for cell in json.load(sys.stdin)])
kernel.start_kernel()
NotebookClient(notebook, km=kernel, allow_errors=True, timeout=600).execute()
kernel.shutdown_kernel()
os._exit(0)
"""


def used(who: int) -> float:
    """Return the processor time used so far, in seconds."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def run(kernels: Path, cells: list[str]) -> float:
    """Run the notebook; return the processor time of the client and the kernel."""
    before = used(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(kernels)],
        input=json.dumps(cells).encode(),
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    return used(resource.RUSAGE_CHILDREN) - before


def _record(
    root: Path, identity: Identity, kernels: Path, ready: Event, end: Event, tell: Any
) -> None:
    before = used(resource.RUSAGE_SELF) + used(resource.RUSAGE_CHILDREN)
    with Recording(root, identity, kernels):
        ready.set()
        end.wait()
    tell.send(used(resource.RUSAGE_SELF) + used(resource.RUSAGE_CHILDREN) - before)


def recorded(
    root: Path, identity: Identity, kernels: Path, cells: list[str]
) -> tuple[float, float]:
    """Run the notebook with a recorder; return the processor time of the notebook, and of it."""
    context = multiprocessing.get_context("fork")
    ready, end = context.Event(), context.Event()
    here, there = context.Pipe(duplex=False)
    recorder = context.Process(target=_record, args=(root, identity, kernels, ready, end, there))
    recorder.start()
    ready.wait()
    notebook = run(kernels, cells)
    end.set()
    told: float = here.recv()
    recorder.join()
    # The recorder's own time is among this process's children's only from here on.
    return notebook, told


@dataclass
class Taken:
    """Seconds of processor time: plain runs, the recorded ones between them, the recorder's own."""

    plain: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    @property
    def differences(self) -> list[float]:
        """What each recorded notebook took beyond the mean of its two neighbours."""
        means = [(one + other) / 2 for one, other in pairwise(self.plain)]
        return [notebook - mean for notebook, mean in zip(self.beside, means, strict=False)]

    @property
    def alone(self) -> float:
        """What the recorder takes, in percent of a plain notebook."""
        return 100 * median(self.own) / median(self.plain)

    @property
    def beyond(self) -> float:
        """What the notebook itself takes beyond a plain one, in percent."""
        return 100 * median(self.differences) / median(self.plain)

    @property
    def chance(self) -> float:
        """How far two plain notebooks that follow each other lie apart, in percent."""
        return 100 * median(abs(b - a) for a, b in pairwise(self.plain)) / median(self.plain)


def cells_of(count: int, turns: int, size: int) -> list[str]:
    """Return the notebook's cells; of few turns and a small size, it says the same and computes nothing."""
    return [CELL.format(number=n, turns=turns, size=size) for n in range(count)] + ["1 / 0"]


def in_turns(
    root: Path, identity: Identity, kernels: Path, cells: list[str], rounds: int, console: Console
) -> Taken:
    """Run a notebook in turns, recorded and not."""
    taken = Taken([run(kernels, cells)])
    for turn in range(rounds):
        notebook, recorder = recorded(root, identity, kernels, cells)
        taken.beside.append(notebook)
        taken.own.append(recorder)
        taken.plain.append(run(kernels, cells))
        console.print(
            f"[dim]{datetime.now(UTC):%H:%M:%S}[/dim] {turn + 1} of {rounds}: recorder "
            f"{recorder:.3f} s, notebook {taken.differences[-1]:+.3f} s of {notebook:.2f} s"
        )
    return taken


def show(console: Console, whole: Taken, listened: float, overhead: float, load: float) -> None:
    """Print what was found."""
    console.print(f"Seconds of processor time, median of {len(whole.own)}")
    named = (("plain", whole.plain), ("recorded", whole.beside), ("recorder", whole.own))
    for name, values in named:
        spread = Spread.of(values)
        console.print(
            f"  {name:<9} {spread.median:8.3f} ({spread.minimum:.3f} to {spread.maximum:.3f})"
        )
    console.print(
        f"Recording costs {overhead:.2f} % (goal {GOAL} %, {'met' if overhead <= GOAL else 'MISSED'}; "
        f"load {load:.1f}): the recorder {whole.alone:.2f} %, being listened to {listened:+.2f} %"
    )
    console.print(
        f"The whole notebook differed by {whole.beyond:+.2f} %; two plain ones by {whole.chance:.2f} %"
    )


def main() -> int:
    """Run the benchmark; return 1 if the goal was missed, for scripts that care."""
    parser = argparse.ArgumentParser(description="What recording notebooks costs.")
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--turns", type=int, default=2, help="how much work a cell has")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    console = Console(width=120, highlight=False)
    cells, silent = cells_of(given.cells, given.turns, 1200), cells_of(given.cells, 0, 3)
    load = machine.load()
    with (
        tempfile.TemporaryDirectory(prefix="branchline-bench-") as place,
        tempfile.TemporaryDirectory(prefix="k-", dir="/tmp") as kernels,
    ):
        root, identity = Path(place) / "project", Identity.create()
        os.environ |= {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name",
                       "GIT_CONFIG_VALUE_0": "bench", "GIT_CONFIG_KEY_1": "user.email",
                       "GIT_CONFIG_VALUE_1": "bench@example.org"}  # fmt: skip
        begin(root, identity, lambda said: None)
        run(Path(kernels), cells[:2])
        place_of_kernels = Path(kernels)
        whole = in_turns(root, identity, place_of_kernels, cells, given.rounds, console)
        console.print("the same without its numbers")
        light = in_turns(root, identity, place_of_kernels, silent, 2 * given.rounds, console)
        records = sum(s.record.type == "execution" for s in read_all(Project.open(root)))
    expected = 3 * given.rounds * (len(cells) + 1)
    assert records == expected, f"{records} records of {expected}"
    listened = 100 * median(light.differences) / median(whole.plain)
    # That a notebook is faster for being listened to is chance.
    overhead = whole.alone + max(0.0, listened)
    show(console, whole, listened, overhead, load)
    RESULTS.mkdir(exist_ok=True)
    date = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    said = {"date": date, "machine": machine.describe(), "overhead_percent": overhead,
            "recorder_percent": whole.alone, "listened_percent": listened,
            "chance_percent": whole.chance, "whole": asdict(whole), "light": asdict(light),
            "load": load}  # fmt: skip
    (RESULTS / f"notebook-{date}.json").write_text(json.dumps(said, indent=1))
    return 0 if overhead <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
