"""The client's verbs on environments, in a folder as a person has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.environment.built import Built

from branchline.environment.image.store import Store
from branchline.environment.lock.model import parse_lock
from branchline.foundation.errors import NotFound
from branchline.workbench.client import Client


@pytest.mark.slow
def test_a_folder_is_locked_and_built(
    tmp_path: Path, built_environment: Built, cloned: Callable[..., Store]
) -> None:
    """What the spec files ask for is in the lock, and the lock names the image that was built."""
    store = cloned(built_environment.store).folder
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "requirements.txt").write_text("pyarrow\n")
    told: list[str] = []
    with Client(tmp_path / "home") as client:
        with pytest.raises(NotFound, match=r"has no branchline\.lock"):
            client.build_environment(folder, store=store)
        locked = client.lock_environment(folder, store=store, progress=told.append)
        image = client.build_environment(folder, store=store, progress=told.append)
        lock = parse_lock((folder / "branchline.lock").read_bytes())
        assert (lock.digest, lock.image) == (locked, image)
        assert lock.spec.python == ("pyarrow",)
        assert told
        assert client.lock_environment(folder, store=store, offline=True) == locked
        again = parse_lock((folder / "branchline.lock").read_bytes())
        assert again.image == image, "nothing changed, so the image is still the lock's"
