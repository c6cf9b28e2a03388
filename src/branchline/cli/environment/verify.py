"""``branchline environment verify``: read an image whole, and mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import image_meant, opened, store_option
from branchline.cli.frame import Answer, lines, verb, working

if TYPE_CHECKING:
    from branchline.environment.image.image import Image
    from branchline.environment.image.repair import Health
    from branchline.environment.image.store import Store

_DAMAGED = 6
_MOST_SHOWN = 20


@verb(None, "verify", "branchline environment verify ./my-project --repair")
@click.argument("what", default=".", metavar="[IMAGE|DIR|LOCK]")
@click.option("--repair", is_flag=True, help="Build again, from the lock, what is damaged.")
@click.option("--offline", is_flag=True, help="Repair from the packages at hand; fetch nothing.")
@store_option
def verify(what: str, repair: bool, offline: bool, folder: Path | None) -> Answer:
    """Read every file of an image and compare it with what the image's digest says.

    Environments are checked before each use; this reads everything once more. Exits with 6 if
    something is damaged and was not repaired.
    """
    from branchline.environment.image.repair import examine

    store = opened(folder)
    image = image_meant(store, what)
    with working("reading every file") as progress:
        health = examine(image, store)
        mended = repair and not health.sound
        if mended:
            progress("building again what is damaged")
            _repair(image, store, health, offline)
    data = {
        "image": image.digest,
        "sound": health.sound or mended,
        "files": health.files,
        "damaged": [f"/{path}" for path in (*health.damaged, *health.trees)],
        "layers": list(health.layers),
        "repaired": mended,
    }
    return Answer(data, _text(image, health, mended), 0 if data["sound"] else _DAMAGED)


def _repair(image: Image, store: Store, health: Health, offline: bool) -> None:
    from branchline.environment.image import repair
    from branchline.environment.image.images import lock_of
    from branchline.environment.lock.fetch import fetch

    lock = lock_of(store, image.digest)
    if lock is not None:
        fetch(lock, b"", store, offline=offline)
    repair.repair(image, store, health, progress=lambda sentence: None)


def _text(image: Image, health: Health, mended: bool) -> str:
    if health.sound:
        return f"{health.files} files are what was built\n{image.digest}"
    paths = [*health.damaged, *health.trees]
    more = f"and {len(paths) - _MOST_SHOWN} more" if len(paths) > _MOST_SHOWN else ""
    return lines(
        *(f"damaged   /{path}" for path in paths[:_MOST_SHOWN]),
        more,
        *(f"damaged   record of layer {digest}" for digest in health.layers),
        "Built again; the image is what it was" if mended else "",
        "" if mended else "Mend it with 'branchline environment verify --repair'",
    )
