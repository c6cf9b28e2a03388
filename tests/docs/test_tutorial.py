"""The tutorials are run as a newcomer would: block by block, in one shell, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, blocks_of
from tests.environment.built import Built, clone

from branchline.environment.image.build import build_image
from branchline.environment.image.images import all_images
from branchline.environment.image.store import Store
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.locking import lock_environment
from branchline.environment.lock.wanted import Options
from branchline.environment.mount import mount_image
from branchline.environment.spec import detect, read_tree
from branchline.foundation.errors import Unavailable
from branchline.workbench.lab.server import has_jupyter

PATIENCE_SECONDS = 340


def walk(page: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a tutorial from its first block to its last, each of which must exit with 0."""
    steps = [b for b in blocks_of(DOCS / "tutorial" / page) if not b.note.startswith("not run: ")]
    script = "set -euo pipefail\n" + "".join(f"echo '--- {s}'\n{s.text}" for s in steps)
    environment = {name: value for name, value in os.environ.items() if "BRANCHLINE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = folder / "log.txt"
    lab = folder / "lab"
    lab.mkdir()
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=lab,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(PATIENCE_SECONDS)
        finally:
            # Its servers are in its own process group; whatever is left of them ends here.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
    said = log.read_text("utf-8")
    assert code == 0, f"the tutorial ended with {code} in the last block shown:\n{said[-4000:]}"
    return said


@pytest.mark.slow
def test_a_first_analysis_works_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    """The last result equals the pooled one, as the page itself checks."""
    said = walk("first-analysis.md", tmp_path, {})
    assert "Verified: all 14 steps hold." in said


@pytest.fixture(scope="module")
def lab_store(tmp_path_factory: pytest.TempPathFactory, built_environment: Built) -> Store:
    """Give a store with all that the second tutorial's environment is made of, built already."""
    store = clone(built_environment.store, tmp_path_factory.mktemp("lab") / "store")
    folder = tmp_path_factory.mktemp("asked")
    (folder / "requirements.txt").write_text("matplotlib\n")
    try:
        locked = lock_environment(detect(read_tree(folder)), Options(lab=True), store)
        fetch(locked.lock, locked.pylock, store)
    except Unavailable as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    build_image(locked.lock, store)
    return store


@pytest.mark.slow
def test_what_the_second_tutorial_asks_for_can_be_built(lab_store: Store) -> None:
    """In a test of its own, so that each of the two has a time that tells when it hangs."""
    (image,) = all_images(lab_store)
    assert has_jupyter(mount_image(lab_store, image))


@pytest.mark.slow
def test_a_result_is_traced_back_to_the_cell(tmp_path: Path, lab_store: Store) -> None:
    """Through a notebook, a mistake, a way back, a colleague's conflict, and a journey."""
    store = clone(lab_store, tmp_path / "store")
    (tmp_path / "home").mkdir()
    variables = {"HOME": str(tmp_path / "home"), "BRANCHLINE_STORE": str(store.folder)}
    said = walk("from-a-notebook-to-a-result.md", tmp_path, variables)
    assert "\n3 data/readings.csv\n" in said, "the mistake"
    assert "\n41 data/readings.csv\n" in said, "the way back"
    assert "it stops, and says why: 5" in said
    assert said.count("Verified: all 14 steps hold.") == 3
    traced = re.findall(
        r"code/train/analysis\.py +cell (\w{12}) by Alice.*write\.ipynb, prompt 1", said
    )
    assert len(traced) == 3
    assert len(set(traced)) == 1
    assert f'"digest": "sha256:{traced[0]}' in said
    assert "records of 2 clones are whole and signed" in said
