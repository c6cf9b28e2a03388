"""How many environments a second the survey examines: ``python benchmarks/environment_survey.py``.

Two datasets with the published one's tables are invented from a seed and surveyed several times on
one core: one in which no two environments are meant to be alike, and one in which four commits of
each repository have the same spec files, as real repositories' have. Prints both rates and writes
``results/environment-survey-*.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from benchmarks import machine
from benchmarks.figures import Spread
from benchmarks.spec_files import write_dataset
from branchline.environment.survey import Layer, survey

RESULTS = Path(__file__).resolve().parent / "results"
GOAL = 10_000
_LAYERS = (Layer("100", 100), Layer("1000", 1000))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    found = {
        "no two alike": measure(given.rows, given.runs, commits=1),
        "four commits of each repository": measure(given.rows, given.runs, commits=4),
    }
    for name, figures in found.items():
        for what in ("wall", "cpu"):
            rate: Spread = figures[what]
            low, high = rate.minimum, rate.maximum
            print(f"{name}: {rate.median:,.0f} rows a second, {what} ({low:,.0f} to {high:,.0f})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    met = {name: figures["cpu"].median >= GOAL for name, figures in found.items()}
    print(f"Goal: {GOAL:,} a second of one core's time: {met}. Peak {peak:.0f} MiB")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    RESULTS.mkdir(parents=True, exist_ok=True)
    plain = {
        "date": now,
        "machine": machine.describe(),
        "rows": given.rows,
        "rates": {
            name: {"wall": asdict(f["wall"]), "cpu": asdict(f["cpu"]), "load": f["load"]}
            for name, f in found.items()
        },
        "peak_mib": peak,
        "met": met,
    }
    (RESULTS / f"environment-survey-{now}.json").write_text(json.dumps(plain, indent=2) + "\n")


def measure(rows: int, runs: int, commits: int) -> dict[str, Any]:
    """Return rows a second by the clock and by the processor's time, and the loads."""
    wall, cpu, loads = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "binder.sqlite"
        write_dataset(path, rows, commits=commits)
        for _ in range(runs):
            loads.append(machine.load())
            begun, used = time.perf_counter(), time.process_time()
            survey([path], _LAYERS)
            wall.append(rows / (time.perf_counter() - begun))
            cpu.append(rows / (time.process_time() - used))
    return {"wall": Spread.of(wall), "cpu": Spread.of(cpu), "load": loads}


if __name__ == "__main__":
    main()
