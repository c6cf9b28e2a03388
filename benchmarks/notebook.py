"""What recording notebooks costs: the same notebook under nbclient, with and without a recorder.

In turns, in one run. The notebook works on numbers as notebooks do, about a fifth of a second a cell,
prints, draws pictures, and fails once. Counted is processor time, user and system, of everybody:
whoever runs the notebook, the kernel, and the recorder with all programs that it calls.
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
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
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
table = drawn.normal(size=(1200, 1200))
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
    with Recording(root, identity, kernels):
        before = used(resource.RUSAGE_SELF) + used(resource.RUSAGE_CHILDREN)
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


def main() -> int:
    """Run the benchmark; return 1 if the goal was missed, for scripts that care."""
    parser = argparse.ArgumentParser(description="What recording notebooks costs.")
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--turns", type=int, default=2, help="how much work a cell has")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    console = Console(width=120, highlight=False)
    cells = [CELL.format(number=n, turns=given.turns) for n in range(given.cells)] + ["1 / 0"]
    plain, beside, own = list[float](), list[float](), list[float]()
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
        for turn in range(given.rounds):
            console.print(f"[dim]{datetime.now(UTC):%H:%M:%S} turn {turn + 1}[/dim]")
            plain.append(run(Path(kernels), cells))
            notebook, recorder = recorded(root, identity, Path(kernels), cells)
            beside.append(notebook)
            own.append(recorder)
        records = sum(s.record.type == "execution" for s in read_all(Project.open(root)))
    expected = given.rounds * (len(cells) + 1)
    assert records == expected, f"{records} records of {expected}"
    rows = {name: Spread.of(values) for name, values in
            (("plain", plain), ("recorded", beside), ("recorder", own))}  # fmt: skip
    alone = 100 * rows["recorder"].median / rows["plain"].median
    beyond = 100 * (rows["recorded"].median / rows["plain"].median - 1)
    # Two runs of a notebook differ by more than listening costs the kernel: a faster one is chance.
    overhead = alone + max(0.0, beyond)
    console.print(f"Seconds of processor time of {len(cells)} cells, median of {given.rounds}")
    for name, spread in rows.items():
        console.print(
            f"  {name:<9} {spread.median:8.3f} ({spread.minimum:.3f} to {spread.maximum:.3f})"
        )
    met = overhead <= GOAL
    console.print(
        f"Recording costs {overhead:.2f} % (goal {GOAL} %, {'met' if met else 'MISSED'}; "
        f"load {load:.1f}): the recorder {alone:.2f} %, the notebook itself {beyond:+.2f} %"
    )
    RESULTS.mkdir(exist_ok=True)
    date = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    said = {"date": date, "machine": machine.describe(), "overhead_percent": overhead,
            "plain": plain, "recorded": beside, "recorder": own, "load": load}  # fmt: skip
    (RESULTS / f"notebook-{date}.json").write_text(json.dumps(said, indent=1))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
