"""A researcher's environments, brought to central."""

from __future__ import annotations

from pathlib import Path

from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store, default_store_folder
from branchline.environment.service import Progress
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound
from branchline.workbench.core import Core


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
