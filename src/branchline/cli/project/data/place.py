"""``branchline data place``: name a place that can hold copies."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, verb
from branchline.cli.project.places import changing, identity_of, project_option
from branchline.cli.researcher import HOME


@verb(
    None,
    "place",
    "branchline data place my-laptop\nbranchline data place hub --remote origin",
)
@click.argument("name")
@click.option("--remote", default="", help="A remote of git; by default the place is this clone.")
@click.option("--about", default="", help="One line on it.")
@project_option
@HOME
def place(name: str, remote: str, about: str, where: Path, home: Path) -> Answer:
    """Name a place that can hold copies, so that rules can speak of it.

    What git and git-annex call it is written into branchline.toml, and saved.
    """
    from branchline.project.data.places import describe

    with changing(where, "writing") as (project, progress):
        made = describe(project, identity_of(home), name, remote, about, progress)
    data = {"place": name, "address": made.address, "annex": list(made.annex)}
    return Answer(data, f"{name} is {made.address or 'this clone'}; rules can name it now")
