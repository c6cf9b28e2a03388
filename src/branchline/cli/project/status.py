"""``branchline status``: what is not saved yet."""

from __future__ import annotations

from pathlib import Path

from branchline.cli.frame import Answer, verb
from branchline.cli.project.places import project_option
from branchline.cli.project.standing import as_json, as_text


@verb(None, "status", "branchline status")
@project_option
def status(where: Path) -> Answer:
    """Show what differs from the last save."""
    from branchline.project.standing import standing_of

    standing = standing_of(str(where))
    return Answer(as_json(standing), as_text(standing))
