"""``branchline export`` and ``import``: a whole project in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.project.places import changing, identity_of, project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.carrying.form import Absent

_MOST = 20
_MIB = 1 << 20


@verb(
    None,
    "export",
    "branchline export ../wear.zip\nbranchline export ../wear-crate.zip --crate --to hub",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--crate", is_flag=True, help="Make it an RO-Crate, with the files as they are now.")
@click.option(
    "--to", metavar="PLACE", help="Where it goes: what the data's rules let go there is in it."
)
@click.option(
    "--all", "everything", is_flag=True, help="Put in what the data's rules would leave out, too."
)
@click.option("--complete", is_flag=True, help="Refuse if a content is not in this clone.")
@project_option
@HOME
def export(
    file: Path,
    crate: bool,
    to: str | None,
    everything: bool,
    complete: bool,
    where: Path,
    home: Path,
) -> Answer:
    """Write the whole project into one zip: history, data, activity.

    What is not saved yet is saved first. Contents that the data's rules keep from unknown places are
    left out, and named; so are those that are not in this clone. The export goes on record.
    """
    from branchline.project.carrying.export import export as write

    target = Path.cwd() / file
    with changing(where, "exporting") as (project, progress):
        done = write(
            project,
            identity_of(home),
            target,
            progress,
            crate=crate,
            to=to,
            everything=everything,
            complete=complete,
        )
    held = done.manifest
    data = {
        "file": str(done.file),
        "size": done.size,
        "saved": done.saved,
        "project": held.project,
        "head": held.head,
        "branches": sorted(held.refs),
        "records": held.records,
        "contents": len(held.contents),
        "missing": [_plain(each) for each in held.missing],
        "left_out": [_plain(each) for each in held.left_out],
    }
    text = lines(
        f"Exported {held.name} as {done.file} ({done.size / _MIB:.1f} MiB): "
        f"{held.records} records, {len(held.contents)} contents",
        *_named("Left out by the data's rules", held.left_out),
        *_named("Not in this clone", held.missing),
    )
    return Answer(data, text)


@verb(None, "import", "branchline import wear.zip\nbranchline import wear.zip wear-again")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR]"
)
def import_(file: Path, folder: Path | None) -> Answer:
    """Make a project of an export again, in a new folder.

    Every byte is held against what the export and the project's history say of it. What is not as
    it should be is refused by name, and leaves nothing behind.
    """
    from branchline.project.carrying.bring import bring

    with working("importing") as progress:
        done = bring(file, folder, progress)
    faults, held = done.checked.faults, done.manifest
    data = {
        "root": str(done.project.root),
        "project": held.project,
        "head": held.head,
        "records": done.checked.records,
        "contents": len(held.contents),
        "verified": not faults,
        "faults": [{"what": f.what, "sentence": f.sentence} for f in faults],
        "missing": [_plain(each) for each in held.missing],
        "left_out": [_plain(each) for each in held.left_out],
        "submodules": list(done.modules),
    }
    good = f"{done.checked.records} records are whole and signed"
    bad = f"Its activity has {len(faults)} faults: see 'branchline log --verify'"
    text = lines(
        f"Imported {held.name} into {done.project.root}: {len(held.contents)} contents",
        bad if faults else good,
        *_named("Left out when it was exported", held.left_out),
        *_named("Missing already when it was exported", held.missing),
    )
    return Answer(data, text)


def _named(what: str, absent: tuple[Absent, ...]) -> list[str]:
    if not absent:
        return []
    rows = [f"  {each.paths[0]}: {each.why}" for each in absent[:_MOST]]
    more = [f"  … and {len(absent) - _MOST} more"] if len(absent) > _MOST else []
    return [f"{what}: {len(absent)} contents", *rows, *more]


def _plain(absent: Absent) -> dict[str, Any]:
    from branchline.project.manifest import printable_path

    return {
        "key": absent.key,
        "paths": [printable_path(path) for path in absent.paths],
        "why": absent.why,
    }
