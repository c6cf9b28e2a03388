"""``branchline data rules``: what holds for which path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.project.places import opened, project_option, relative

if TYPE_CHECKING:
    from branchline.project.data.rules import Handling

_MOST = 200


@verb(None, "rules", "branchline data rules\nbranchline data rules data/patients --to hub")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--to", "place", default="", help="Say of each whether it may go to this place.")
@project_option
def rules(paths: tuple[Path, ...], place: str, where: Path) -> Answer:
    """Show which rules hold for paths, and what may go to a place.

    Without PATH: for all that is saved and has a rule. With --to it exits with 3 if something may
    not go there.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.project.data.judging import why_not

    project = opened(where)
    known = project.rules
    named = relative(project, paths)
    day = SystemClock().now().date()
    found = []
    for path in project.git.lines("ls-files", "-z", "--", *named):
        handling = known.rule_for(path)
        if handling.rules or named:
            reason = why_not(handling, place, day) if place else None
            found.append(_as_json(path, handling) | {"refused": reason})
    barred = [each for each in found if each["refused"]]
    rows = [
        [each["path"], each["class"] or "no rule", each["expires"] or "", each["refused"] or ""]
        for each in found[:_MOST]
    ]
    more = f"… and {len(found) - _MOST} more" if len(found) > _MOST else ""
    text = table(["path", "class", "until", "refused"], rows, "No rule holds for anything here")
    data: dict[str, Any] = {"rules": len(known.rules), "places": sorted(known.places)}
    return Answer(data | {"paths": found}, lines(text, more), 3 if barred else 0)


def _as_json(path: str, handling: Handling) -> dict[str, Any]:
    return {
        "path": path.encode("utf-8", "backslashreplace").decode(),
        "class": handling.confidentiality,
        "purposes": list(handling.purposes),
        "required": list(handling.required),
        "expires": handling.expires.isoformat() if handling.expires else None,
    }
