"""``branchline central images``: the environments' images that parties brought."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from branchline.cli.frame import Answer, home_option, table, verb

_HOME = home_option("BRANCHLINE_CENTRAL", ".branchline-central")
_DATABASE = click.option(
    "--database", metavar="URL", help="The SQL server the service uses, in place of SQLite."
)


@click.group(no_args_is_help=True)
def images() -> None:
    """Keep the images that parties brought: list, remove."""


@verb(images, "list", "branchline central images list")
@_DATABASE
@_HOME
def list_(database: str | None, home: Path) -> Answer:
    """List the images parties brought, how large they are, and which journeys in course need them."""
    from branchline.central.founding import origin_of
    from branchline.central.kept_images import held_images, store_of
    from branchline.foundation.clock import SystemClock

    origin_of(home)
    found = held_images(home, SystemClock(), store_of(home, database))
    rows = [
        (
            each.digest,
            f"{each.size / 1e6:.0f} MB",
            each.party,
            each.at[:10],
            f"{each.missing} blobs missing" if each.missing else "whole",
            ", ".join(each.journeys) or "none",
        )
        for each in found
    ]
    heads = ("image", "size", "brought by", "on", "state", "journeys in course")
    data = {"images": [asdict(each) for each in found]}
    return Answer(data, table(heads, rows, "No image was brought yet."))


@verb(images, "remove", "branchline central images remove sha256:59d9…")
@click.argument("image", metavar="DIGEST", nargs=-1, required=True)
@_DATABASE
@_HOME
def remove(image: tuple[str, ...], database: str | None, home: Path) -> Answer:
    """Remove images; refused for one that a journey in course names.

    Whoever has the image can bring it again with 'branchline environment push'. Works while the
    service runs.
    """
    from branchline.central.founding import origin_of
    from branchline.central.kept_images import remove_image, store_of
    from branchline.foundation.clock import SystemClock
    from branchline.foundation.digest import parse_digest

    origin_of(home)
    digests = [parse_digest(text) for text in image]
    store = store_of(home, database)
    size = sum(remove_image(home, SystemClock(), store, digest) for digest in digests)
    text = f"{len(digests)} removed, {size / 1e6:.0f} MB expanded"
    return Answer({"removed": digests, "bytes": size}, text)
