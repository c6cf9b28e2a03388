"""``branchline data guard``: what git's hook asks before a push."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.project.places import opened, project_option


@verb(None, "guard", "branchline data guard origin https://hub.example.org/wear.git")
@click.argument("remote")
@click.argument("address", default="")
@project_option
def guard(remote: str, address: str, where: Path) -> Answer:
    """Refuse a push that would send what the rules keep here; git's hook calls it.

    Reads on standard input what git tells a pre-push hook. It exits with 3 if something may not go
    there, and nothing is sent.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.project.data.places import check_lines

    text = "" if sys.stdin.isatty() else sys.stdin.read()
    day = SystemClock().now().date()
    count = check_lines(opened(where), remote, address, text, day)
    return Answer({"branches": count, "refused": []})
