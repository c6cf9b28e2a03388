"""The tutorial is run as a newcomer would: block by block, in one shell, in an empty folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, blocks_of

PATIENCE_SECONDS = 340
TUTORIAL = DOCS / "tutorial" / "first-analysis.md"


@pytest.mark.slow
def test_the_tutorial_works_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    """Every block of the tutorial exits with 0, and the last result equals the pooled one."""
    steps = [block for block in blocks_of(TUTORIAL) if not block.note.startswith("not run: ")]
    script = "set -euo pipefail\n" + "".join(f"echo '--- {s}'\n{s.text}" for s in steps)
    environment = {name: value for name, value in os.environ.items() if "BRANCHLINE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = tmp_path / "log.txt"
    lab = tmp_path / "lab"
    lab.mkdir()
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=lab,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(PATIENCE_SECONDS)
        finally:
            # Its servers are in its own process group; whatever is left of them ends here.
            try:
                os.killpg(shell.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
    said = log.read_text("utf-8")
    assert code == 0, f"the tutorial ended with {code} in the last block shown:\n{said[-4000:]}"
    assert "Verified: all 14 steps hold." in said
