"""``branchline get``: the content of files that this clone does not have."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.places import changing, identity_of, project_option, relative
from branchline.cli.researcher import HOME

_MOST = 20
_NOT_FOUND = 4


@verb(None, "get", "branchline get data/scans\nbranchline get data/wear.csv --from hub")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("--from", "remote", default="", metavar="REMOTE", help="Only from there.")
@project_option
@HOME
def get(paths: tuple[Path, ...], remote: str, where: Path, home: Path) -> Answer:
    """Bring the content of files that this clone does not have.

    What broke off goes on where it was. What came from where goes on record, and so does what did
    not come; the answer then names the places that have it, or once had it (exit code 4).
    """
    from branchline.project.syncing.getting import get as bring

    with changing(where, "bringing contents") as (project, progress):
        named = relative(project, paths)
        got = bring(project, identity_of(home), named, progress, remote=remote)
    data = {
        "arrived": [{"path": each.path, "from": each.remote} for each in got.arrived],
        "failed": [{"path": each.path, "why": each.why} for each in got.failed],
        "unchecked": list(got.unchecked),
        "here": got.here,
        "record": got.record.digest if got.record else None,
    }
    if got.record is None:
        return Answer(data, f"All {got.here} contents are here already")
    came = [
        f"  {each.path}" + (f" from {each.remote}" if each.remote else "") for each in got.arrived
    ]
    more = f"  … and {len(came) - _MOST} more" if len(came) > _MOST else ""
    lost = [each.why for each in got.failed[:_MOST]]
    unsure = (
        f"{len(got.unchecked)} of them could not be held against their names: this clone lacks the data "
        "key; once it has it, 'git annex fsck' can"
        if got.unchecked
        else ""
    )
    text = lines(f"Brought {len(came)} contents", *came[:_MOST], more, unsure, *lost)
    return Answer(data, text, _NOT_FOUND if got.failed else 0)
