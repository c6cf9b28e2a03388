"""``branchline drop``: data leave this clone, with a receipt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.places import changing, identity_of, project_option, relative
from branchline.cli.researcher import HOME
from branchline.foundation.errors import Conflict, Corrupt

if TYPE_CHECKING:
    from branchline.project.data.receipts import Dropped

_MOST = 20


@verb(None, "drop", "branchline drop data/scans --reason 'Back at the hospital'")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("--reason", default="", help="Why, for the receipt.")
@project_option
@HOME
def drop(paths: tuple[Path, ...], reason: str, where: Path, home: Path) -> Answer:
    """Remove data from this clone once copies elsewhere are proved, and keep a receipt.

    Each content goes only while another copy is locked at a repository that was asked; what
    git-annex's branch says of copies is not enough. The receipt holds the proof, and says what it
    does not cover. It exits with 5 if something was kept.
    """
    from branchline.project.data.dropping import drop as remove

    with changing(where, "dropping") as (project, progress):
        found = remove(project, identity_of(home), relative(project, paths), reason, progress)
    return told(found, "There is nothing of it in this clone")


def told(found: Dropped, nothing: str) -> Answer:
    """Say what was removed, what was kept, and what a receipt does not cover."""
    from branchline.project.data.receipts import NOT_COVERED

    data: dict[str, Any] = {
        "removed": [each.as_json() for each in found.gone],
        "kept": found.kept,
        "alarms": found.alarms,
        "record": found.record.digest if found.record else None,
        "does_not_cover": list(NOT_COVERED),
    }
    code = Corrupt.exit_code if found.alarms else Conflict.exit_code if found.kept else 0
    if not found.gone and not found.kept:
        return Answer(data, nothing)
    receipt = f"Receipt {found.record.digest[7:19]}. It does not cover:" if found.record else ""
    kept = [f"  kept     {path}: {why}" for path, why in found.kept.items()]
    text = lines(
        f"Removed {len(found.gone)} from this clone, kept {len(found.kept)}",
        *(f"  removed  {each.paths[0]}" for each in found.gone[:_MOST]),
        f"  … and {len(found.gone) - _MOST} more" if len(found.gone) > _MOST else "",
        *kept[:_MOST],
        *(f"  ALARM    {key} went without a proof that holds" for key in found.alarms[:_MOST]),
        receipt,
        *(f"  - {each}" for each in NOT_COVERED if found.record),
    )
    return Answer(data, text, code)
