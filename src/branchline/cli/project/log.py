"""``branchline log`` and ``note``: what was done, and whether the records still say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.project.places import changing, identity_of, opened, project_option
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.activity.record import Signed
    from branchline.project.place import Project

_FAULTS = 6


@verb(None, "log", "branchline log -n 5\nbranchline log --verify\nbranchline log 3fa9c1d2")
@click.argument("which", default="", metavar="[RECORD]")
@click.option(
    "-n", "count", type=click.IntRange(1), default=20, help="At most so many, newest last."
)
@click.option("--type", "kind", default="", help="Only records of this type, such as data.")
@click.option("--all", "hidden", is_flag=True, help="Those that were hidden, too.")
@click.option("--verify", is_flag=True, help="Check every record, signature, chain and content.")
@click.option("--hide", "hide", is_flag=True, help="Leave RECORD out of the list from now on.")
@click.option("--show", "show", is_flag=True, help="Have a hidden RECORD in the list again.")
@project_option
@HOME
def log(
    which: str,
    count: int,
    kind: str,
    hidden: bool,
    verify: bool,
    hide: bool,
    show: bool,
    where: Path,
    home: Path,
) -> Answer:
    """Show what was done in the project, one record in full, or verify all of them.

    A hidden record stays where it is, and stays verified; --all shows it.
    """
    if (hide or show) and not which:
        raise click.UsageError("Say which RECORD to hide or show")
    if hide and show:
        raise click.UsageError("--hide and --show contradict each other")
    if verify:
        return verified_project(opened(where))
    if hide or show:
        return _marked(where, home, which, "hide" if hide else "show")
    if which:
        return _one(opened(where), which)
    from branchline.project.activity.feed import feed

    found = feed(opened(where), kind=kind, hidden=hidden, most=count)
    rows = [
        [each.digest[7:19], each.record.at[:19].replace("T", " "), *_said(each)] for each in found
    ]
    columns = ["record", "at (UTC)", "what", "outcome", "message"]
    empty = "There are no records yet"
    return Answer({"records": [as_json(each) for each in found]}, table(columns, rows, empty))


def _said(signed: Signed) -> list[str]:
    record = signed.record
    return [f"{record.type} {record.action}", record.outcome, record.message[:100]]


def as_json(signed: Signed) -> dict[str, Any]:
    """Return a record as plain JSON values, with its name."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(signed.record)
    return {"digest": signed.digest, "file": f"activity/{signed.name}"} | plain


def _one(project: Project, which: str) -> Answer:
    import json

    from branchline.project.activity.files import find_record

    _, signed = find_record(project, which)
    return Answer(as_json(signed), json.dumps(as_json(signed), ensure_ascii=False, indent=1))


def _marked(where: Path, home: Path, which: str, action: str) -> Answer:
    from branchline.project.activity.feed import mark

    with changing(where, "writing") as (project, _):
        about, made = mark(project, identity_of(home), which, action)
    done = "Hidden" if action == "hide" else "Shown again"
    data = {"record": made.digest, "about": about, "action": action}
    return Answer(data, f"{done}: {about[7:19]}; the record itself stays")


def verified_project(project: Project) -> Answer:
    """Check every record, signature, chain and content, and say what came of it."""
    from branchline.project.activity.verify import verify

    checked = verify(project)
    data = {
        "verified": not checked.faults,
        "records": checked.records,
        "clones": checked.clones,
        "keys": checked.keys,
        "missing_content": checked.absent,
        "faults": [{"what": f.what, "sentence": f.sentence} for f in checked.faults],
    }
    here = f"{checked.absent} of their contents are not in this clone" if checked.absent else ""
    good = f"{checked.records} records of {len(checked.clones)} clones are whole and signed"
    text = lines(*(f"{f.what:<10} {f.sentence}" for f in checked.faults), here)
    if not checked.faults:
        return Answer(data, lines(good, text))
    return Answer(data, lines(f"{len(checked.faults)} faults", text), _FAULTS)


@verb(None, "note", "branchline note 'Reviewer asks for a sensitivity analysis'")
@click.argument("text")
@click.option("--milestone", is_flag=True, help="Mark this state of the project as a milestone.")
@project_option
@HOME
def note(text: str, milestone: bool, where: Path, home: Path) -> Answer:
    """Put a note on record.

    It is committed at once, by itself; changed files stay as they are.
    """
    from branchline.project.activity.feed import write_note

    with changing(where, "writing") as (project, _):
        made = write_note(project, identity_of(home), text, milestone=milestone)
    return Answer({"record": made.digest}, f"Noted: {made.digest[7:19]}")
