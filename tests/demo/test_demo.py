"""The whole demo, as a person starts it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.docs.forked import forked_program
from tests.docs.pages import DOCS
from tests.docs.test_environments import follow
from tests.ledger.gotools import Missing, build_verifier

from branchline.demo.data import HOSPITALS, SMALLEST
from branchline.demo.pooled import TOLERANCE
from branchline.demo.run import TRAINS
from branchline.journey.verify import verify_result
from branchline.ledger.package_check import verify_package

DEMO = (sys.executable, "-m", "branchline", "demo")
PATIENCE = 340


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@dataclass(frozen=True)
class Shown:
    """What the demo left.

    Args:
        report: Its JSON object.
        folder: Everybody's folders.
    """

    report: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Run the demo once."""
    keep = tmp_path_factory.mktemp("demo") / "demo"
    done = subprocess.run(
        [*DEMO, "--json", "--keep", str(keep)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return Shown(json.loads(done.stdout), keep)


@pytest.mark.slow
def test_the_demo_keeps_its_promises(shown: Shown) -> None:
    """One JSON object: equal estimates, what was withheld, every step verified."""
    report, keep = shown.report, shown.folder
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
def test_everybody_verifies_his_own_part_as_the_page_says(shown: Shown, tmp_path: Path) -> None:
    """Requester, hospital, auditor with Python alone and with Go, and a witness of his own."""
    place = shown.folder.parent
    try:
        shutil.copy(build_verifier(tmp_path), place / "ledger-verify")
    except Missing as missing:
        pytest.skip(f"the page is not followed: {missing}")
    page = DOCS / "how-to" / "verify-your-own-part.md"
    with forked_program() as programs:
        said = follow(page, place, tmp_path / "store", programs)
    assert "Verified: all 14 steps hold." in said
    assert "all entries of dataset/ercp among the first" in said
    assert said.count("tell the same story") == 2
    assert "3 of 4 legal entities have to cosign" in said
    assert "Everything holds." in said
    assert "Verified: every check holds." in said
    lines = (place / "entries.txt").read_text().splitlines()
    opened = [json.loads(line)["fields"] for line in lines if line.startswith("{")]
    assert "study.site-approved" in {fields["act"] for fields in opened}
    assert all("by" not in fields for fields in opened)
    roots = re.findall(r"^demo\.localhost/branchline [0-9]+ \S+=$", said, re.MULTILINE)
    assert len(roots) == 2
    assert len(set(roots)) == 1
    assert "is no act that is kept" in said


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
