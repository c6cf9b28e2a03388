"""``branchline environment build``: the image of a lock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import (
    image_as_json,
    lock_file,
    lock_in,
    opened,
    store_option,
)
from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from collections.abc import Callable

    from branchline.environment.image.image import Image
    from branchline.environment.image.store import Store


@verb(
    None,
    "build",
    "branchline environment build ./my-project\nbranchline environment build --offline --oci ./image",
)
@click.argument(
    "place",
    type=click.Path(path_type=Path, exists=True),
    default=".",
    metavar="[DIR|LOCK]",
)
@click.option("--offline", is_flag=True, help="Use the packages at hand; fetch nothing.")
@click.option(
    "--oci",
    type=click.Path(path_type=Path),
    help="Write the image as an OCI image layout into this new folder, too.",
)
@click.option(
    "--dockerfile",
    is_flag=True,
    help="Build DIR's Dockerfile with buildah instead of a lock; not reproducible.",
)
@click.option("--sign", is_flag=True, help="Sign the image's digest with the keys of --home.")
@store_option
@HOME
def build(
    place: Path,
    offline: bool,
    oci: Path | None,
    dockerfile: bool,
    sign: bool,
    folder: Path | None,
    home: Path,
) -> Answer:
    """Build the root filesystem image of a lock, and write its digest into the lock.

    Packages that the store lacks are fetched first, by their hashes. The same lock gives the same
    digest anywhere: if the lock names an image already, that very one must come out. Layers
    built before are used again. With --dockerfile there is no lock, and no such promise.
    """
    from branchline.environment.image.dockerfile import build_dockerfile
    from branchline.environment.image.images import sign_image
    from branchline.environment.image.oci import write_layout
    from branchline.workbench.home import WorkbenchHome

    began, store = time.monotonic(), opened(folder)
    with working("building") as progress:
        if dockerfile:
            image = build_dockerfile(place, store, progress=progress)
        else:
            image = _from_lock(place, store, offline, progress)
        if sign:
            sign_image(store, image, WorkbenchHome(home).identity)
        if oci is not None:
            progress("writing the OCI image layout")
            write_layout(store, image, oci)
    seconds = {**image.seconds, "total": round(time.monotonic() - began, 3)}
    data = image_as_json(image) | {"seconds": seconds, "store": str(store.folder)}
    data |= {"oci": str(oci) if oci is not None else None, "signed": sign}
    return Answer(data, _text(image, seconds["total"]))


def _from_lock(place: Path, store: Store, offline: bool, progress: Callable[[str], None]) -> Image:
    from branchline.environment.image.build import build_image
    from branchline.environment.image.images import with_seconds
    from branchline.environment.lock.fetch import fetch
    from branchline.environment.lock.model import PYLOCK_NAME
    from branchline.foundation.durable import write_durably

    began = time.monotonic()
    lock, file = lock_in(place), lock_file(place)
    pylock = file.with_name(PYLOCK_NAME)
    text = pylock.read_bytes() if pylock.exists() and lock.python is not None else b""
    fetch(lock, text, store, offline=offline, progress=progress)
    fetched = round(time.monotonic() - began, 3)
    image = build_image(lock, store, progress=progress)
    if lock.image is None:
        write_durably(file, lock.with_image(image.digest).text.encode())
    return with_seconds(image, {"fetch": fetched, **image.seconds})


def _text(image: Image, seconds: float) -> str:
    counted = f"{len(image.layers)} layers, {image.size / 1e6:.1f} MB, {seconds:.1f} s"
    return lines(counted, "" if image.reproducible else "not reproducible", image.digest)
