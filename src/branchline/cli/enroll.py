"""``branchline enroll``: a researcher joins a central service."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.researcher import HOME, client


@verb(None, "enroll", "branchline enroll bl1.eyJ1cmwiOi…")
@click.argument("invitation")
@click.option("--ca-file", metavar="FILE", help="Certificates to trust in place of the system's.")
@HOME
def enroll(invitation: str, ca_file: str | None, home: Path) -> Answer:
    """Join a central service with an invitation.

    Your keys are made in your own folder and stay there. INVITATION is the line that begins
    with bl1.
    """
    with client(home) as researcher:
        ref = researcher.enroll(invitation, ca_file=ca_file)
        key = researcher.home.identity.id
    data = {"name": ref.name, "origin": ref.origin, "url": ref.url, "key": key}
    text = f"You are {ref.name} at {ref.origin}; your key is {key}, kept in {home}"
    return Answer(data, text)
