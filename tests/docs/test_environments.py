"""The pages on environments are followed as a reader would: files laid down, blocks run in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, blocks_of, files_of
from tests.environment.built import Built, clone

PATIENCE_SECONDS = 170


def follow(page: Path, folder: Path, store: Path) -> str:
    """Run a page's shell blocks in one shell, in a folder with its files; return what it printed."""
    for name, text in files_of(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    steps = [
        block
        for block in blocks_of(page)
        if block.kind == "bash" and not block.note.startswith(("not run: ", "file: "))
    ]
    script = "set -euo pipefail\n" + "".join(f"echo '--- {s}'\n{s.text}" for s in steps)
    environment = {name: value for name, value in os.environ.items() if "BRANCHLINE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["BRANCHLINE_STORE"] = str(store)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"the last block shown failed:\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.mark.slow
def test_a_binder_repository_becomes_a_running_train(
    tmp_path: Path, built_environment: Built
) -> None:
    """From its spec files to a trial of the train in its own image, and on to a change."""
    # What the tests' own environment needed is at hand; all else is fetched and built here.
    store = clone(built_environment.store, tmp_path / "store")
    said = follow(DOCS / "how-to" / "from-binder-to-a-train.md", tmp_path, store.folder)
    assert "medicine 2" in " ".join(said.split())
    assert "medicine,6.5" in said
    images = [line.split()[-1] for line in said.splitlines() if line.startswith("sha256:")]
    assert len(set(images)) >= 2, "an added package makes another image"
    assert "can be built again from its lock" in said


@pytest.mark.slow
def test_an_image_goes_on_a_stick(tmp_path: Path, built_environment: Built) -> None:
    """The file is written, and shown is the digest to hand over."""
    train = tmp_path / "my-train"
    train.mkdir()
    (train / "branchline.lock").write_text(built_environment.lock.text)
    page = DOCS / "how-to" / "stations-without-internet.md"
    said = follow(page, tmp_path, built_environment.store.folder)
    assert built_environment.image.digest in said
    assert (tmp_path / "analysis.branchline").stat().st_size > 1 << 20
