"""``branchline environment show``: what an image or a lock is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.environment.stores import image_as_json, lock_in, opened, store_option
from branchline.cli.frame import Answer, lines, table, verb

if TYPE_CHECKING:
    from branchline.environment.image.image import Image
    from branchline.environment.image.store import Store
    from branchline.environment.lock.model import Lock


@verb(
    None, "show", "branchline environment show ./my-project\nbranchline environment show sha256:…"
)
@click.argument("what", default=".", metavar="[IMAGE|DIR|LOCK]")
@store_option
def show(what: str, folder: Path | None) -> Answer:
    """Show what an image was made from, when, by whom it is signed, and how large its layers are.

    IMAGE is a digest. For a folder or lock file, the lock is shown, and the image built from it
    if there is one.
    """
    from branchline.environment.image.images import image_of_lock, lock_of, open_image
    from branchline.foundation.digest import parse_digest
    from branchline.foundation.errors import NotFound

    began, store = time.monotonic(), opened(folder)
    image: Image | None
    lock: Lock | None
    if what.startswith("sha256:"):
        image = open_image(store, parse_digest(what))
        lock = lock_of(store, image.digest)
    else:
        lock = lock_in(Path(what))
        try:
            image = image_of_lock(store, lock)
        except NotFound:
            image = None
    data = (_lock_as_json(lock) if lock is not None else {}) | _image_as_json(image, store)
    data |= {"seconds": round(time.monotonic() - began, 3)}
    return Answer(data, lines(_lock_as_text(lock), _image_as_text(image, store)))


def _lock_as_json(lock: Lock) -> dict[str, Any]:
    wheels = lock.python.wheels if lock.python else ()
    return {
        "lock": lock.digest,
        "recipe": lock.recipe,
        "suite": lock.debian.suite,
        "architecture": lock.debian.architecture,
        "python": lock.python.version if lock.python else None,
        "made_from": lock.spec.winner,
        "differences": list(lock.spec.differences),
        "debian": len(lock.debian.packages),
        "conda": len(lock.conda.packages) if lock.conda else 0,
        "channels": list(lock.spec.channels or ()),
        "wheels": len(wheels),
        "packages_bytes": lock.packages_bytes,
        "requested": _requested(lock),
    }


def _image_as_json(image: Image | None, store: Store) -> dict[str, Any]:
    if image is None:
        return {"image": None}
    from branchline.environment.image.images import signer

    return image_as_json(image) | {"signed_by": signer(store, image)}


def _requested(lock: Lock) -> list[str]:
    found = [f"{p.name} {p.version}" for p in lock.debian.packages if p.requested]
    condas = lock.conda.packages if lock.conda else ()
    found += [f"{p.name} {p.version} (conda)" for p in condas if p.requested]
    wheels = lock.python.wheels if lock.python else ()
    return found + [f"{w.name} {w.version} (Python)" for w in wheels if w.requested]


def _lock_as_text(lock: Lock | None) -> str:
    if lock is None:
        return "Built from a Dockerfile: not reproducible"
    wheels = len(lock.python.wheels) if lock.python else 0
    python = f", Python {lock.python.version} with {wheels} packages" if lock.python else ""
    if lock.conda is not None:
        channels = ", ".join(lock.spec.channels or ())
        python = f", {len(lock.conda.packages)} of conda's ({channels}){python}"
    requested = _requested(lock)
    return lines(
        f"lock        {lock.digest}",
        f"made from   {lock.spec.winner}",
        f"holds       {len(lock.debian.packages)} Debian packages of {lock.debian.suite}{python}",
        f"asked for   {', '.join(requested)}" if requested else "",
        *(f"difference  {sentence}" for sentence in lock.spec.differences),
    )


def _image_as_text(image: Image | None, store: Store) -> str:
    if image is None:
        return "image       none in this store; 'branchline environment build' makes it"
    from branchline.environment.image.images import signer

    rows = [
        [layer.digest[7:19], f"{layer.size / 1e6:.1f} MB", layer.title] for layer in image.layers
    ]
    return lines(
        f"image       {image.digest}",
        f"date        {image.created:%Y-%m-%d %H:%M:%S} UTC",
        f"size        {image.size / 1e6:.1f} MB",
        f"signed by   {signer(store, image) or 'nobody'}",
        "",
        table(["layer", "size", "holds"], rows, ""),
    )
