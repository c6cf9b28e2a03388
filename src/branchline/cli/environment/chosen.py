"""Which image a command is about: the one named, or the one that a folder's lock names."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.environment.lock.model import LOCK_NAME, Lock, parse_lock
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.errors import NotFound, Refused


def chosen_image(folder: Path | None, image: str | None) -> Digest:
    """Return the digest of the image that a command is about.

    Raises:
        NotFound: The folder has no lock.
        Refused: Its lock names no image.
    """
    if image is not None:
        if folder is not None:
            raise click.UsageError("Give a folder or --image, not both")
        return parse_digest(image)
    lock = read_lock(folder or Path())
    if lock.image is None:
        raise Refused(
            f"{LOCK_NAME} names no image", advice="Build it with 'branchline environment build'"
        )
    return lock.image


def read_lock(folder: Path) -> Lock:
    """Read a folder's lock.

    Raises:
        NotFound: It has none.
        Corrupt: It was changed since it was written.
    """
    try:
        return parse_lock((folder / LOCK_NAME).read_bytes())
    except FileNotFoundError as error:
        raise NotFound(
            f"{folder.absolute()} has no {LOCK_NAME}",
            advice="Make one with 'branchline environment lock', or name an image with --image",
        ) from error
