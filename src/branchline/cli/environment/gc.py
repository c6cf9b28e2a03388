"""``branchline environment gc``: remove what no image needs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from branchline.cli.environment.stores import opened, store_option
from branchline.cli.frame import Answer, verb, working


@verb(None, "gc", "branchline environment gc --forget sha256:…")
@click.option("--forget", multiple=True, metavar="IMAGE", help="Remove this image. Repeatable.")
@click.option(
    "--packages",
    is_flag=True,
    help="Remove packages and wheels, too, that no image here was built from, and package lists.",
)
@store_option
def gc(forget: tuple[str, ...], packages: bool, folder: Path | None) -> Answer:
    """Remove layers, files and trees that no image of the store needs, and what builds left behind.

    Images themselves stay unless they are named with --forget. What somebody uses just now stays.
    """
    from branchline.environment.image.gc import collect
    from branchline.foundation.digest import parse_digest

    with working("collecting garbage"):
        found = collect(
            opened(folder), forget=[parse_digest(text) for text in forget], pools=packages
        )
    counted = asdict(found)
    named = [f"{count} {what}" for what, count in counted.items() if count and what != "size"]
    text = (
        f"removed {', '.join(named)}; {found.size / 1e6:.1f} MB freed" if named else "nothing to do"
    )
    return Answer(
        {key: value for key, value in counted.items() if key != "size"} | {"bytes": found.size},
        text,
    )
