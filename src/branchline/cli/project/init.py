"""``branchline init``: a new project, or one in the repository that is there."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.project.places import identity_of, remember
from branchline.cli.researcher import HOME


@verb(None, "init", "branchline init my-project\nbranchline init .")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[DIR]"
)
@click.option("--name", default="", help="The project's name; by default the folder's.")
@click.option("--about", default="", help="One line on the project.")
@HOME
def init(folder: Path, name: str, about: str, home: Path) -> Answer:
    """Begin a project in a folder; a repository that is there is adopted as it is.

    Git, DataLad, git-annex and Binder repositories keep their files, settings and history; what a
    project needs beside them is added in one commit. Nothing that the repository names is run.
    """
    from branchline.project.beginning import begin

    with working("beginning") as progress:
        begun = begin(folder, identity_of(home), progress, name=name, about=about)
    remember(home, begun.project)
    described = begun.project.described
    data = {
        "project": described.id,
        "name": described.name,
        "root": str(begun.project.root),
        "adopted": begun.adopted,
        "found": list(begun.found),
        "files": list(begun.files),
        "not_saved": begun.kept,
        "commit": begun.project.git.head(),
    }
    there = "; ".join(begun.found)
    rest = f"{begun.kept} files that were there are not saved yet: 'branchline save'"
    text = lines(
        f"{'Adopted' if begun.adopted else 'Began'} {described.name} in {begun.project.root}",
        f"Found here: {there}" if there else "",
        f"Written: {', '.join(begun.files)}",
        rest if begun.kept else "",
    )
    return Answer(data, text)
