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

    With BRANCHLINE_TEST_STORE a folder is kept from run to run, for whoever runs a few tests often.
    """
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    store = Store(Path(os.environ.get("BRANCHLINE_TEST_STORE") or folder / "store"))
    try:
        locked = lock_environment(None, Options(), store)
        fetch(locked.lock, locked.pylock, store)
    except Unavailable as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    image = build_image(locked.lock, store)
    return Built(locked.lock.with_image(image.digest), locked, store, image)


def clone(store: Store, folder: Path, *, layers: bool = True) -> Store:
    """Make a store with the same packages, and layers if asked for.

    The files are the same ones: a test that damages a content must not use this.
    """
    made = Store(folder)
    for part in ("debs", "wheels", "texts", *(("objects", "layers") if layers else ())):
        shutil.copytree(
            store.folder / part, made.folder / part, copy_function=os.link, dirs_exist_ok=True
        )
    return made
