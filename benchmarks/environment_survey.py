"""How many environments a second the survey examines: ``python benchmarks/environment_survey.py``.

A dataset with the published one's tables is invented from a seed (no two environments are meant to
be alike, which the real ones often are), and surveyed several times on one core. Prints a table
and writes ``results/environment-survey-*.json``.
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
    wall, cpu, loads = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "binder.sqlite"
        write_dataset(path, given.rows)
        for _ in range(given.runs):
            loads.append(machine.load())
            begun, used = time.perf_counter(), time.process_time()
            report = survey([path], _LAYERS)
            wall.append(given.rows / (time.perf_counter() - begun))
            cpu.append(given.rows / (time.process_time() - used))
    rates = {"a second": Spread.of(wall), "a second of one core's time": Spread.of(cpu)}
    for name, rate in rates.items():
        print(f"{rate.median:,.0f} rows {name} ({rate.minimum:,.0f} to {rate.maximum:,.0f})")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    met = rates["a second of one core's time"].median >= GOAL
    print(f"Goal: {GOAL:,} a core: {'met' if met else 'MISSED'}. Peak {peak:.0f} MiB. Load {loads}")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    RESULTS.mkdir(parents=True, exist_ok=True)
    plain = {
        "date": now,
        "machine": machine.describe(),
        "load": loads,
        "rows": report.environments,
        "packages": report.distinct,
        "rates": {name: asdict(rate) for name, rate in rates.items()},
        "peak_mib": peak,
        "met": met,
    }
    (RESULTS / f"environment-survey-{now}.json").write_text(json.dumps(plain, indent=2) + "\n")


if __name__ == "__main__":
    main()
