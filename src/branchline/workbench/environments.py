"""A researcher's environments: locked, built, and brought to central."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from branchline.environment.image.image import Image
from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store, default_store_folder
from branchline.environment.lock.model import Lock
from branchline.environment.service import Progress
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound
from branchline.workbench.core import Core


def lock_folder(
    folder: Path,
    store: Store,
    progress: Progress,
    upgrade: Sequence[str] | None,
    offline: bool,
    lab: bool | None = None,
) -> Lock:
    """Lock what a folder's spec files ask for, and write the lock there; see ``lock_environment``.

    Args:
        folder: A project's or train's folder.
        store: Where packages are kept.
        progress: Told what is done.
        upgrade: Packages that may move; None for all of them.
        offline: Ask nobody: take the package lists at hand.
        lab: Whether a Jupyter server is added; None where it stays as the earlier lock has it.
    """
    from branchline.environment.lock.folder import read_locked, refuse_foreign, write_locked
    from branchline.environment.lock.locking import lock_environment
    from branchline.environment.lock.model import LOCK_NAME
    from branchline.environment.lock.wanted import Options
    from branchline.environment.spec import detect, read_tree

    refuse_foreign(folder)
    before = read_locked(folder) if (folder / LOCK_NAME).exists() else None
    names = None if upgrade is None else tuple(upgrade)
    options = Options(upgrade=names, offline=offline, lab=lab)
    detected = detect(read_tree(folder))
    locked = lock_environment(detected, options, store, before=before, progress=progress)
    write_locked(locked, folder)
    return locked.lock


def build_folder(folder: Path, store: Store, progress: Progress, offline: bool) -> Image:
    """Build the image of a folder's lock, and write its digest there; see ``build_image``."""
    from branchline.environment.image.build import build_image
    from branchline.environment.lock.fetch import fetch
    from branchline.environment.lock.folder import read_locked, write_locked

    locked = read_locked(folder)
    fetch(locked.lock, locked.pylock, store, offline=offline, progress=progress)
    image = build_image(locked.lock, store, progress=progress)
    write_locked(replace(locked, lock=locked.lock.with_image(image.digest)), folder)
    return image


async def bring(core: Core, image: Digest, progress: Progress, folder: Path | None = None) -> bool:
    """Bring an image to central unless it is there; return whether it is there now.

    An image that is not on this machine either cannot be brought: stations may have it all the
    same, from a registry or a file.

    Args:
        core: Speaks with central.
        image: The image.
        progress: Told what is sent.
        folder: The store; this person's own by default.

    Raises:
        Corrupt: The image on this machine is damaged.
        Refused: Central does not take it.
    """
    if await core.images.has(image):
        return True
    store = Store(folder or default_store_folder())
    try:
        open_image(store, image)
    except NotFound:
        return False
    await core.images.push(image, store, progress)
    return True
