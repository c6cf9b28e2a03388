"""A full disk, whatever a person does with a project: one sentence, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.project.conftest import BIN
from tests.small_disk import in_small_file_system

CALL = f"{sys.executable} -m branchline"
SCRIPT = f"""
set -e
cd {{small}}
{CALL} init wear >&2
cd wear
echo 'print(1)' > code/a.py
head -c 300000 /dev/urandom > data/first.bin
{CALL} save -m first >&2
good=$({CALL} log -n 1 --json | {sys.executable} -c 'import json, sys; print(json.load(sys.stdin)["records"][0]["digest"][7:19])')
git init -q --bare --initial-branch=main ../between.git
{CALL} sync ../between.git >&2
head -c 700000 /dev/urandom > data/second.bin
echo 'print(2)' > code/a.py
sha256sum data/second.bin > ../sums
head -c 64M /dev/zero > ../filler 2>/dev/null || true
set +e
{CALL} {{command}} > {{told}} 2>&1
echo "=$?"
cat {{told}}
rm ../filler
set -e
cat code/a.py
sha256sum --check --quiet ../sums
{CALL} save -m again >&2
{CALL} sync >&2
{CALL} log --verify >&2
git status --porcelain
git fsck --strict --no-dangling >&2
git annex fsck --quiet >&2
echo whole
"""


@pytest.mark.parametrize(
    "command",
    [
        "save -m full",
        "sync",
        "run --output results/x -- sh -c 'echo 1 > results/x'",
        "note full",
        "rollback $good --branch back",
        "export ../wear.zip",
    ],
)
def test_a_full_disk_is_said_and_with_room_again_all_goes_on(tmp_path: Path, command: str) -> None:
    """What was not saved is still there; then it is saved, synced, and everything verifies."""
    small = tmp_path / "small"
    small.mkdir()
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    script = SCRIPT.format(small=small, command=command, told=tmp_path / "said")
    done = subprocess.run(
        [*in_small_file_system("9m", small), "sh", "-c", script],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    code, *said, last = done.stdout.splitlines()
    assert last == "whole"
    assert code == "=7", said
    assert "print(2)" in said
    (sentence,) = [line for line in said if line and line != "print(2)"][-1:]
    assert "full" in sentence or "space" in sentence
    assert "Traceback" not in done.stdout
