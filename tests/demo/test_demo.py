"""The whole demo, as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from branchline.demo.data import HOSPITALS, SMALLEST
from branchline.demo.pooled import TOLERANCE
from branchline.demo.run import TRAINS
from branchline.journey.verify import verify_result
from branchline.ledger.package_check import verify_package

DEMO = (sys.executable, "-m", "branchline", "demo")
PATIENCE = 170


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.slow
def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    """One JSON object: equal estimates, what was withheld, every step verified."""
    keep = tmp_path / "kept"
    done = subprocess.run(
        [*DEMO, "--json", "--keep", str(keep)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["largest_relative_difference"] <= TOLERANCE
    assert [e["term"] for e in report["estimates"]] == [e["term"] for e in report["pooled"]]
    assert len(report["estimates"]) == 7
    assert (report["n"], report["table"]) == (599, report["pooled_table"])
    assert report["hospitals"] == [each.name for each in HOSPITALS if each.name != SMALLEST]
    assert {(k["train"], k["hospital"]) for k in report["withheld"]} == {
        (train, SMALLEST) for train in TRAINS
    }
    assert [(k["train"], k["hospital"]) for k in report["suppressed"]] == [
        ("outcome-table", "kentucky")
    ]
    assert report["environment"]["reproducible"] is True
    assert report["environment"]["image"].startswith("sha256:")
    found = {
        station["reproducible"]
        for verified in report["verification"]
        for step in verified["steps"]
        if step["name"] == "environment"
        for station in step["found"].values()
    }
    assert found == {True}
    assert all(seconds >= 0 for seconds in report["seconds"].values())
    for verified in report["verification"]:
        assert {step["outcome"] for step in verified["steps"]} == {"passed"}
        assert verify_result(keep / "results" / verified["train"]).verified
    checks = {check["party"]: check for check in report["checks"]}
    assert list(checks) == ["researcher", HOSPITALS[0].name, HOSPITALS[1].name, "auditor"]
    assert all(check["holds"] for check in checks.values())
    assert "are all there ever were upon its data" in checks[HOSPITALS[1].name]["says"]
    assert verify_package(keep / "auditor" / "case.zip").verified
    assert report["tampering"]["done"].startswith("the start of a train at ")
    assert any("is no act that is kept" in said for said in report["tampering"]["named"])
    for hospital in HOSPITALS:
        assert (keep / "stations" / hospital.name / "station.toml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["start", "journeys"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, phase: str) -> None:
    """Interrupted in any phase, the demo ends its programs and removes its folder."""
    with subprocess.Popen(
        DEMO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as demo:
        assert demo.stderr is not None
        said = next(line for line in demo.stderr if line.startswith(phase))
        started = children(demo.pid)
        demo.send_signal(signal.SIGINT)
        rest = demo.stderr.read()
        assert demo.wait(PATIENCE) == 130, said + rest
    assert "Traceback" not in rest
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    """What somebody keeps in a folder is not mixed with a demo's files."""
    (tmp_path / "mine").write_text("mine")
    done = subprocess.run(
        [*DEMO, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "not an empty folder" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
