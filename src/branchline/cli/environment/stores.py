"""What the commands about images share: the store, and which image or lock is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from branchline.environment.image.image import Image
    from branchline.environment.image.store import Store
    from branchline.environment.lock.model import Lock
    from branchline.foundation.digest import Digest

F = TypeVar("F", bound=Callable[..., Any])


def store_option(function: F) -> F:
    """Add ``--store``, which a variable of the environment can give, too."""
    return click.option(
        "--store",
        "folder",
        type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
        envvar="BRANCHLINE_STORE",
        show_default="BRANCHLINE_STORE or ~/.cache/branchline/environments",
        help="The folder with packages, layers and images.",
    )(function)


def opened(folder: Path | None) -> Store:
    """Return the store a command works with."""
    from branchline.environment.image.store import Store, default_store_folder

    return Store(folder or default_store_folder())


def lock_file(place: Path) -> Path:
    """Return the lock's file: the one named, or the one in the folder named."""
    from branchline.environment.lock.model import LOCK_NAME

    return place / LOCK_NAME if place.is_dir() else place


def lock_in(place: Path) -> Lock:
    """Read the lock of a folder, or a lock file itself.

    Raises:
        NotFound: There is none.
        Corrupt: It was changed since it was written.
    """
    from branchline.environment.lock.model import parse_lock
    from branchline.foundation.errors import NotFound

    file = lock_file(place)
    try:
        return parse_lock(file.read_bytes())
    except FileNotFoundError:
        raise NotFound(
            f"There is no {file}", advice="Make one with 'branchline environment lock'"
        ) from None


def image_meant(store: Store, text: str) -> Image:
    """Return the image that is meant: by its digest, or as the one built from a lock.

    Raises:
        NotFound: It is not in the store.
    """
    from branchline.environment.image.images import image_of_lock, open_image
    from branchline.foundation.digest import parse_digest

    if text.startswith("sha256:"):
        return open_image(store, parse_digest(text))
    return image_of_lock(store, lock_in(Path(text)))


def digest_meant(store: Store, text: str) -> Digest:
    """Return the digest of the image that is meant; one that is named is not looked for.

    Raises:
        NotFound: It is not in the store.
    """
    from branchline.foundation.digest import parse_digest

    return parse_digest(text) if text.startswith("sha256:") else image_meant(store, text).digest


def image_as_json(image: Image) -> dict[str, Any]:
    """Return an image as plain JSON values."""
    return {
        "image": image.digest,
        "lock": image.lock_digest,
        "reproducible": image.reproducible,
        "created": image.created.isoformat(),
        "bytes": image.size,
        "layers": [
            {"digest": layer.digest, "bytes": layer.size, "title": layer.title}
            for layer in image.layers
        ],
    }
