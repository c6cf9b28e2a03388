"""``branchline data expire``: what may be kept no longer."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.project.drop import told
from branchline.cli.project.places import changing, identity_of, opened, project_option
from branchline.cli.researcher import HOME

_MOST = 200


@verb(None, "expire", "branchline data expire\nbranchline data expire --drop")
@click.option(
    "--drop", "remove", is_flag=True, help="Remove it from this clone, the last copy too."
)
@click.option(
    "--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="As of this day; by default today."
)
@project_option
@HOME
def expire(remove: bool, day: datetime | None, where: Path, home: Path) -> Answer:
    """List what may be kept no longer by its rule, and remove it from this clone.

    Earlier versions count, and every path at which a content ever stood. Without --drop nothing is
    removed. Other clones remove their own.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.project.data.expiry import drop_expired, expired

    today = SystemClock().now().date()
    if day is not None and remove and day.date() > today:
        raise click.UsageError("--on with a day to come only lists")
    chosen = today if day is None else day.date()
    if remove:
        with changing(where, "removing") as (project, progress):
            found = expired(project, chosen)
            return told(
                drop_expired(project, identity_of(home), found, progress),
                "Nothing here has expired",
            )
    listed = expired(opened(where), chosen)
    rows = [
        [e.paths[0], e.since.isoformat(), "here" if e.present else "not here", e.key[:60]]
        for e in listed[:_MOST]
    ]
    data = {
        "expired": [
            {"content": e.key, "paths": list(e.paths), "since": e.since.isoformat()}
            | {"present": e.present}
            for e in listed
        ]
    }
    more = f"… and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    text = table(["path", "until", "", "content"], rows, "Nothing has expired")
    return Answer(data, lines(text, more))
