"""``branchline environment push``: bring an image to central."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.researcher import HOME, sending


@verb(None, "push", "branchline environment push ./my-train")
@click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False
)
@click.option("--image", metavar="DIGEST", help="An image, in place of a folder's lock.")
@HOME
def push(folder: Path | None, image: str | None, home: Path) -> Answer:
    """Bring the image that FOLDER's branchline.lock names to central.

    Stations fetch it from there. What central has is not sent again; 'depart' does all this by
    itself.
    """
    from branchline.cli.environment.chosen import chosen_image

    digest = chosen_image(folder, image)
    with sending(home, "asking central") as (researcher, progress):
        researcher.push_environment(digest, progress=progress)
    return Answer({"image": digest}, f"{digest} is at central")
