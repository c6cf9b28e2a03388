"""One real environment for all tests that need one: locked, fetched and built once a session."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from branchline.environment.image.build import build_image
from branchline.environment.image.image import Image
from branchline.environment.image.store import Store
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.folder import read_locked, write_locked
from branchline.environment.lock.locking import Locked, lock_environment
from branchline.environment.lock.model import Lock
from branchline.environment.lock.wanted import Options
from branchline.foundation.errors import Unavailable


@dataclass(frozen=True)
class Built:
    """A small environment: Debian's base with Python, numpy and pyarrow. Not to be changed.

    Args:
        lock: Its lock, which names the image.
        locked: The lock as it was made, with the texts beside it.
        store: Where it is.
        image: The image.
    """

    lock: Lock
    locked: Locked
    store: Store
    image: Image


def build_once(folder: Path) -> Built:
    """Lock, fetch and build what every train environment has; skips where that cannot be done.

    All processes of a run name the same folder: one builds, the others wait and find it built. With
    BRANCHLINE_TEST_STORE a folder is kept from run to run, for whoever runs a few tests often.
    """
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    store = Store(Path(os.environ.get("BRANCHLINE_TEST_STORE") or folder / "store"))
    with store.making("test-environment"):
        locked = _lock_once(folder / "locked", store)
        image = build_image(locked.lock, store)
    return Built(locked.lock.with_image(image.digest), locked, store, image)


def _lock_once(folder: Path, store: Store) -> Locked:
    """Return what the first process of the run has locked, so that all have the same."""
    if folder.is_dir():
        return read_locked(folder)
    try:
        locked = lock_environment(None, Options(), store)
        fetch(locked.lock, locked.pylock, store)
    except Unavailable as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    # Renamed when it is complete: a process that is ended here leaves nothing that others read.
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    write_locked(locked, fresh)
    fresh.rename(folder)
    return locked


def clone(store: Store, folder: Path, *, layers: bool = True) -> Store:
    """Make a store with the same packages, and layers if asked for.

    The files are the same ones: a test that damages a content must not use this.
    """
    made = Store(folder)
    parts = ("debs", "wheels", "condas", "texts", *(("objects", "layers") if layers else ()))
    for part in [part for part in parts if (store.folder / part).is_dir()]:
        shutil.copytree(
            store.folder / part,
            made.folder / part,
            ignore=unfinished,
            copy_function=os.link,
            dirs_exist_ok=True,
        )
    return made


def unfinished(folder: str, names: list[str]) -> list[str]:
    """Name what may vanish while a store is copied: other processes of the run work in it."""
    if "trees" in Path(folder).parts:
        return []
    return [name for name in names if name in ("fetching", "temp") or name.endswith(".tmp")]
