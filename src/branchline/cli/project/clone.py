"""``branchline clone``: a project from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb, working

_NAME = re.compile(r"([^/:]+?)(\.git)?/*$")


@verb(None, "clone", "branchline clone https://hub.example.org/wear.git")
@click.argument("source")
@click.argument(
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=False,
    metavar="[DIR]",
)
@click.option("--get", is_flag=True, help="Bring the data's content, too.")
def clone(source: str, folder: Path | None, get: bool) -> Answer:
    """Clone a project into a new folder, once it has been looked through.

    Names and links that other systems cannot hold, or that lead out of it, are refused before
    anything is laid out. Nothing of the project is run. Its activity is verified.
    """
    from branchline.project.cloning import clone as fetch

    if folder is None:
        found = _NAME.search(source)
        if found is None or found[1] in (".", ".."):
            raise click.UsageError("Say into which DIR")
        folder = Path(found[1])
    with working("cloning") as progress:
        cloned = fetch(source, folder, progress, get=get)
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
    faults = f"Its activity has {len(cloned.faults)} faults: see 'branchline log --verify'"
    text = lines(
        f"Cloned {described.name} into {cloned.project.root}",
        faults if cloned.faults else f"{cloned.records} records are whole and signed",
        "" if get else "Data come when they are asked for: 'git annex get PATH', or all with --get",
        f"Left out: the submodules {', '.join(cloned.modules)}" if cloned.modules else "",
    )
    return Answer(data, text)
