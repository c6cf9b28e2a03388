"""Which image a command is about: the one named, or the one that a folder's lock names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from branchline.foundation.digest import Digest


def chosen_image(folder: Path | None, image: str | None) -> Digest:
    """Return the digest of the image that a command is about.

    Raises:
        NotFound: The folder has no lock.
        Refused: Its lock names no image.
    """
    from branchline.environment.named import image_named
    from branchline.foundation.digest import parse_digest

    if image is None:
        return image_named(folder or Path())
    if folder is not None:
        raise click.UsageError("Give a folder or --image, not both")
    return parse_digest(image)
