"""``branchline branch`` and ``rollback``: another line of work, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.project.places import changing, identity_of, opened, project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.branching import Switched


@verb(None, "branch", "branchline branch\nbranchline branch without-outliers")
@click.argument("name", default="", metavar="[NAME]")
@project_option
@HOME
def branch(name: str, where: Path, home: Path) -> Answer:
    """List branches, or change to one; a new one begins with what is here.

    What is not saved yet is saved first. A branch that only another place has, as the last sync or
    clone saw it, begins here as it is there.
    """
    from branchline.project.branching import branches, elsewhere, switch

    if not name:
        project = opened(where)
        here, known = project.git.branch(), branches(project)
        others = {n: sorted(at) for n, at in sorted(elsewhere(project).items()) if n not in known}
        text = [f"{'*' if each == here else ' '} {each}" for each in known]
        text += [f"  {name} (at {', '.join(at)})" for name, at in others.items()]
        data = {"branch": here, "branches": known, "elsewhere": others}
        return Answer(data, "\n".join(text))
    with changing(where, "changing the branch") as (project, progress):
        done = switch(project, identity_of(home), name, progress)
    return _told(done, f"{'New branch' if done.made else 'On branch'} {name}")


@verb(None, "rollback", "branchline rollback 3fa9c1d2")
@click.argument("record")
@click.option("--branch", "name", default="", help="The new branch's name.")
@project_option
@HOME
def rollback(record: str, name: str, where: Path, home: Path) -> Answer:
    """Go back to what was saved with a record, on a new branch.

    Nothing is lost: what is not saved yet is saved first, all later work stays on its branch, and
    the activity goes on.
    """
    from branchline.project.branching import rollback as go_back

    with changing(where, "going back") as (project, progress):
        done = go_back(project, identity_of(home), record, progress, name=name)
    back = record.removeprefix("sha256:")[:12]
    return _told(done, f"Back at {back}, on the new branch {done.branch}")


def _told(done: Switched, sentence: str) -> Answer:
    data = {
        "branch": done.branch,
        "made": done.made,
        "saved": done.saved,
        "record": done.record.digest if done.record else None,
    }
    first = f"Saved first what was not saved, as {done.saved[:12]}" if done.saved else ""
    return Answer(data, lines(first, sentence))
