"""``branchline data key``: the secret with which confidential contents are named."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.project.places import changing, identity_of, opened, project_option
from branchline.cli.researcher import HOME


@click.group(no_args_is_help=True)
def key() -> None:
    """Make, share and take in the key that names confidential contents."""


@verb(key, "new", "branchline data key new")
@project_option
@HOME
def new(where: Path, home: Path) -> Answer:
    """Make the project's data key; from now on confidential contents are named with it.

    Whoever has the repository, but not this key, cannot hold a guess of a file against its name.
    The key stays in this clone. Share it with those who may check the contents.
    """
    from branchline.project.data.keys import make

    with changing(where, "making a key") as (project, progress):
        made = make(project, identity_of(home), progress)
    return Answer({"key": made.id}, f"The data key {made.id} is in this clone, and nowhere else")


@verb(key, "mine", "branchline data key mine")
@HOME
def mine(home: Path) -> Answer:
    """Show the recipient that others share a data key with you by."""
    recipient = identity_of(home).public.seal
    return Answer({"recipient": recipient}, recipient)


@verb(key, "share", "branchline data key share age1… --output for-mira.key")
@click.argument("recipients", nargs=-1, required=True, metavar="RECIPIENT...")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where to."
)
@project_option
def share(recipients: tuple[str, ...], output: Path, where: Path) -> Answer:
    """Write the data key into a file that only RECIPIENTs can open."""
    from branchline.foundation.durable import write_once
    from branchline.foundation.errors import Conflict
    from branchline.project.data.keys import share as seal

    sealed = seal(opened(where), recipients)
    if not write_once(output, sealed, mode=0o600):
        raise Conflict(f"{output} is there already", advice="Give another name")
    told = (
        f"{output} opens for {len(recipients)} people: 'branchline data key accept {output.name}'"
    )
    return Answer({"file": str(output), "recipients": list(recipients)}, told)


@verb(key, "accept", "branchline data key accept for-mira.key")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@project_option
@HOME
def accept(file: Path, where: Path, home: Path) -> Answer:
    """Take in a data key that somebody shared with you."""
    from branchline.project.data.keys import accept as take

    with changing(where, "opening") as (project, _):
        taken = take(project, identity_of(home), file.read_bytes())
    return Answer({"key": taken.id}, f"The data key {taken.id} is in this clone")
