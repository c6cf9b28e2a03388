"""``branchline clone``: a project from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.project.places import identity_of, remember
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.cloning import Cloned

_MOST = 20
_NOT_FOUND = 4
_NAME = re.compile(r"([^/:]+?)(\.git)?/*$")


@verb(None, "clone", "branchline clone https://example.org/wear.git\n"
      "branchline clone central.example.org/clara/wear")  # fmt: skip
@click.argument("source")
@click.argument(
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=False,
    metavar="[DIR]",
)
@click.option("--get", is_flag=True, help="Bring the data's content, too.")
@HOME
def clone(source: str, folder: Path | None, get: bool, home: Path) -> Answer:
    """Clone a project into a new folder, once it has been looked through.

    SOURCE is an https or ssh address, a folder, or CENTRAL/OWNER/NAME for a project that a central
    service hosts, by its address or origin.

    With --get the data's content comes, too, but for what a rule of the project keeps from this clone; what
    came from where goes on record, as with 'branchline get'. If some did not come, the exit code is 4.

    Names and links that other systems cannot hold, or that lead out of it, are refused before
    anything is laid out. Nothing of the project is run. Its activity is verified.
    """
    if folder is None:
        found = _NAME.search(source)
        if found is None or found[1] in (".", ".."):
            raise click.UsageError("Say into which DIR")
        folder = Path(found[1])
    with working("cloning") as progress:
        cloned = _fetched(source, folder, progress, home, get=get)
    remember(home, cloned.project)
    described = cloned.project.described
    data = {
        "project": described.id,
        "name": described.name,
        "root": str(cloned.project.root),
        "commit": cloned.project.git.head(),
        "submodules": list(cloned.modules),
        "records": cloned.records,
        "verified": not cloned.faults,
        "faults": [{"what": f.what, "sentence": f.sentence} for f in cloned.faults],
    }
    got = cloned.got
    if got is not None:
        data["arrived"] = [{"path": each.path, "from": each.remote} for each in got.arrived]
        data["failed"] = [{"path": each.path, "why": each.why} for each in got.failed]
    lost = got.failed if got else ()
    faults = f"Its activity has {len(cloned.faults)} faults: see 'branchline log --verify'"
    text = lines(
        f"Cloned {described.name} into {cloned.project.root}",
        faults if cloned.faults else f"{cloned.records} records are whole and signed",
        "Data come when they are asked for: 'branchline get PATH', or all with --get"
        if got is None
        else f"Brought {len(got.arrived)} contents",
        *[each.why for each in lost[:_MOST]],
        f"Left out: the submodules {', '.join(cloned.modules)}" if cloned.modules else "",
    )
    return Answer(data, text, _NOT_FOUND if lost else 0)


def _fetched(
    source: str, folder: Path, progress: Callable[[str], None], home: Path, *, get: bool
) -> Cloned:
    from branchline.project.cloning import clone as fetch
    from branchline.workbench.home import WorkbenchHome
    from branchline.workbench.hub.place import find_place

    hosted = find_place(source, WorkbenchHome(home).centrals())
    if hosted is None or Path(source).exists():
        bringing = identity_of(home) if get else None
        return fetch(source, folder, progress, bringing=bringing)
    from branchline.workbench.client import Client

    with Client(home, central=hosted.central) as client:
        return client.clone_project(hosted.short, folder, get=get, progress=progress)
