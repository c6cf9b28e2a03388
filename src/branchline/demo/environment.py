"""What the demo's trains run in: locked and built once on this machine, then at hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from branchline.environment.image.build import build_image
from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store, default_store_folder
from branchline.environment.lock.fetch import fetch
from branchline.environment.lock.folder import read_lock, write_locked
from branchline.environment.lock.locking import lock_environment
from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME
from branchline.environment.lock.wanted import Options
from branchline.foundation.digest import Digest
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Refused
from branchline.train.manifest import MANIFEST

Says = Callable[[str], None]

_NEEDS = ("numpy", "pyarrow")
_SECTION = "[environment]\n"


@dataclass(frozen=True)
class DemoEnvironment:
    """The image that the demo's trains run in.

    Args:
        image: Its digest.
        lock: The folder with the lock that names it.
        store: The store it is in, which all programs of the demo share.
    """

    image: Digest
    lock: Path
    store: Path


def prepared(says: Says) -> DemoEnvironment:
    """Return the demo's environment; lock and build it if it is not at hand.

    Args:
        says: Told what is done, in a few words.

    Raises:
        Refused: It cannot be built on this machine; says why, and what can be done instead.
    """
    store = Store(default_store_folder())
    folder = make_folder(store.folder / "demo")
    image = _at_hand(store, folder)
    if image is None:
        try:
            image = _built(store, folder, says)
        except BranchlineError as error:
            raise Refused(
                f"The demo's environment cannot be built here: {error.refused}",
                advice="Say 'branchline demo --environment host': the trains then run on this "
                "machine's own Python, which nobody can build again",
            ) from error
    return DemoEnvironment(image, folder, store.folder)


def with_lock(train: Path, environment: DemoEnvironment, folder: Path) -> Path:
    """Copy a train into a folder, with the lock of what it runs in; returns the copy."""
    made = folder / train.name
    shutil.copytree(train, made, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (LOCK_NAME, PYLOCK_NAME):
        shutil.copyfile(environment.lock / name, made / name)
    text = (made / MANIFEST).read_text("utf-8")
    named = text.replace(_SECTION, f'{_SECTION}lock = "{LOCK_NAME}"\n', 1)
    assert named != text, "the demo's trains have a section on their environment"
    (made / MANIFEST).write_text(named, "utf-8")
    return made


def _at_hand(store: Store, folder: Path) -> Digest | None:
    try:
        lock = read_lock(folder)
        return None if lock.image is None else open_image(store, lock.image).digest
    except (NotFound, Corrupt):
        return None


def _built(store: Store, folder: Path, says: Says) -> Digest:
    locked = lock_environment(None, Options(with_python=_NEEDS), store, progress=says)
    fetch(locked.lock, locked.pylock, store, progress=says)
    image = build_image(locked.lock, store, progress=says)
    write_locked(replace(locked, lock=locked.lock.with_image(image.digest)), folder)
    return image.digest
