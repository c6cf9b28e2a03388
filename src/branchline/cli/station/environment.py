"""``branchline station environment``: the images that trains run in here."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, table, verb, working
from branchline.cli.station.home import HOME, opened, station_store


@click.group(no_args_is_help=True)
def environment() -> None:
    """Keep the images that trains run in: list, import, repair, remove."""


@verb(environment, "list", "branchline station environment list")
@HOME
def list_(home: Path) -> Answer:
    """List the images the station has; others are fetched when a train names them."""
    from branchline.environment.image.images import all_images, open_image
    from branchline.environment.image.store import Store

    store = Store(opened(home).images)
    found = [open_image(store, digest) for digest in all_images(store)]
    images = [
        {
            "image": image.digest,
            "lock": image.lock_digest,
            "bytes": image.size,
            "reproducible": image.reproducible,
            "created": f"{image.created:%Y-%m-%dT%H:%M:%SZ}",
        }
        for image in found
    ]
    rows = [
        (
            i.digest,
            f"{i.size / 1e6:.0f} MB",
            f"{i.created:%Y-%m-%d}",
            "yes" if i.reproducible else "no",
        )
        for i in found
    ]
    text = table(("image", "size", "date", "reproducible"), rows, "There is no image yet.")
    return Answer({"store": str(store.folder), "images": images}, text)


@verb(environment, "import", "branchline station environment import /media/stick/analysis.image")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--image", metavar="DIGEST", help="The image it must hold, as the train names it.")
@HOME
def import_(file: Path, image: str | None, home: Path) -> Answer:
    """Take an image in from a file that 'branchline environment export' wrote.

    Every byte is checked against the image's digest. Which image a train runs in is the train's
    word alone: an image that no train names is never used.
    """
    from branchline.environment.image.store import Store
    from branchline.environment.image.transfer import import_image
    from branchline.foundation.digest import parse_digest

    wanted = None if image is None else parse_digest(image)
    store = Store(opened(home).images)
    with working(f"reading {file.name}") as progress:
        taken = import_image(store, file, digest=wanted, progress=progress)
    data = {"image": taken.digest, "lock": taken.lock_digest, "bytes": taken.size}
    return Answer(data, f"{taken.digest} is here, {taken.size / 1e6:.0f} MB")


@verb(environment, "repair", "branchline station environment repair sha256:59d9…")
@click.argument("image", metavar="DIGEST")
@HOME
def repair(image: str, home: Path) -> Answer:
    """Read an image whole, and fetch anew what is damaged of it, from central or the registry."""
    import asyncio

    from branchline.foundation.digest import parse_digest
    from branchline.station.environments import repair as mend

    digest = parse_digest(image)
    with working("reading the image") as progress:
        damaged = asyncio.run(mend(opened(home), digest, progress))
    text = f"{damaged} files were damaged and are right again" if damaged else "Nothing is damaged"
    return Answer({"image": digest, "repaired": damaged}, text)


@verb(environment, "gc", "branchline station environment gc --forget sha256:59d9…")
@click.option("--forget", multiple=True, metavar="DIGEST", help="Remove this image, too.")
@HOME
def gc(forget: tuple[str, ...], home: Path) -> Answer:
    """Remove what no image needs, and images by request; a train's is fetched again when it comes.

    An image that a stop under way runs in is refused, and so is one in which a journey in course
    is combined here.
    """
    import asyncio

    import msgspec

    from branchline.environment.image.gc import collect
    from branchline.environment.image.store import Store
    from branchline.foundation.digest import parse_digest
    from branchline.station.environments import (
        check_unused,
        images_of_hosting,
        images_of_stops,
        in_course,
    )

    station, digests = opened(home), [parse_digest(digest) for digest in forget]
    store, keys = station_store(station), station.identity.public
    check_unused(digests, images_of_stops(store, keys))
    hosted = images_of_hosting(store, keys)
    for digest in [digest for digest in digests if digest in hosted]:
        check_unused([digest], {digest: asyncio.run(in_course(station, hosted[digest]))})
    done = collect(Store(station.images), forget=digests)
    text = lines(
        f"{done.size / 1e6:.1f} MB freed",
        f"{done.images} images, {done.layers} layers, {done.objects} files" if done.size else "",
    )
    return Answer(msgspec.to_builtins(done), text)
