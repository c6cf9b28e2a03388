"""``branchline environment push``: bring an image to central."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.environment.stores import image_meant, opened, store_option
from branchline.cli.frame import Answer, verb
from branchline.cli.researcher import HOME, sending


@verb(None, "push", "branchline environment push ./my-train")
@click.argument("what", default=".", metavar="[IMAGE|DIR|LOCK]")
@store_option
@HOME
def push(what: str, folder: Path | None, home: Path) -> Answer:
    """Bring an image to central: the one named, or the one that was built from a lock.

    Stations fetch it from there. What central has is not sent again; 'depart' does all this by
    itself.
    """
    store = opened(folder)
    digest = image_meant(store, what).digest
    with sending(home, "asking central") as (researcher, progress):
        researcher.push_environment(digest, store=store.folder, progress=progress)
    return Answer({"image": digest}, f"{digest} is at central")
