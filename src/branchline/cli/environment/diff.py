"""``branchline environment diff``: what differs between two locks."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.environment.locks import diff_as_json, diff_as_text, lock_at
from branchline.cli.frame import Answer, verb

_DIFFERENT = 1
_PLACE = click.Path(path_type=Path, exists=True)


@verb(None, "diff", "branchline environment diff ./last-year ./my-project")
@click.argument("before", type=_PLACE)
@click.argument("after", type=_PLACE)
def diff(before: Path, after: Path) -> Answer:
    """Show what differs between two locks: packages added, removed, changed; security updates.

    BEFORE and AFTER are folders with a lock, or lock files. The command exits with 1 where they
    differ.
    """
    from branchline.environment.lock.diff import compare

    old, new = lock_at(before), lock_at(after)
    found = compare(old, new)
    data = {"before": old.digest, "after": new.digest} | diff_as_json(found)
    text = diff_as_text(found) or "Both hold the same packages"
    return Answer(data, text, 0 if found.is_empty else _DIFFERENT)
