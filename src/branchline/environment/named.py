"""Which image is meant: by its digest, or by a folder whose lock names it."""

from __future__ import annotations

from pathlib import Path

from branchline.environment.lock.model import LOCK_NAME, parse_lock
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.errors import NotFound, Refused


def image_named(environment: str | Path) -> Digest:
    """Return the image that is meant.

    Args:
        environment: The image's digest, or a folder with a lock.

    Raises:
        NotFound: The folder has no lock.
        Refused: The lock names no image.
    """
    text = str(environment)
    if text.startswith("sha256:"):
        return parse_digest(text)
    file = Path(environment) / LOCK_NAME
    try:
        # Not by ``lock.folder``, which brings all of locking along: this is for quick starts.
        lock = parse_lock(file.read_bytes())
    except FileNotFoundError:
        raise NotFound(
            f"{file.parent.absolute()} has no {LOCK_NAME}",
            advice="Make one with 'branchline environment lock'",
        ) from None
    if lock.image is None:
        raise Refused(
            f"{LOCK_NAME} names no image", advice="Build it with 'branchline environment build'"
        )
    return lock.image
