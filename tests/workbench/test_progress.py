"""A journey under way is shown in one place of a notebook, by a real kernel."""

from __future__ import annotations

import json
import subprocess
import sys

RUN = """
import json, os, sys
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
cell = new_code_cell(sys.stdin.read())
NotebookClient(new_notebook(cells=[cell]), kernel_name="python3", timeout=60).execute()
print(json.dumps(cell["outputs"]))
sys.stdout.flush()
os._exit(0)
"""
CELL = """
from branchline.journey.machine import Phase, StopPhase
from branchline.journey.messages import JourneyStatus, StopStatus
from branchline.workbench.progress import Watcher, in_notebook

def status(phase, stop):
    stops = (StopStatus("north", stop, 1, 1, "", "2026-11-21T10:00:00Z"),)
    digest = "sha256:" + 64 * "0"
    journey = "journey-" + 26 * "a"
    return JourneyStatus(journey, "trial", digest, phase, 1, 1, stops, "", None, None, "")

assert in_notebook()
with Watcher() as watcher:
    watcher.show(status(Phase.TRAVELLING, StopPhase.RUNNING))
    watcher.show(status(Phase.ARRIVED, StopPhase.RELEASED))
"""


def test_a_notebook_shows_the_newest_status_in_one_place() -> None:
    """One output, which the second status has replaced; and nothing on the streams."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN],
        input=CELL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (output,) = json.loads(done.stdout)
    assert output["output_type"] == "display_data"
    assert "released" in output["data"]["text/html"]
    assert "running" not in output["data"]["text/html"]
