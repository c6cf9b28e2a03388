"""``branchline merge``: another line of work comes into this one, file by file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.frame import Answer, lines, verb, wants_json
from branchline.cli.project.places import changing, identity_of, project_option, relative
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.foundation.keys import Identity
    from branchline.project.merging.explaining import Explained, Side
    from branchline.project.merging.merge import Merged
    from branchline.project.merging.pending import How
    from branchline.project.place import Project
    from branchline.project.runs.places import Place
    from branchline.workbench.merging import MergeJudge

F = TypeVar("F", bound=Callable[..., Any])

CONFLICTS = 5
"""The exit code while conflicts wait for an answer."""

_WAYS: tuple[How, ...] = ("mine", "theirs", "both", "hand")
_MOST = 50


def choices(function: F) -> F:
    """Add the options by which a person says what becomes of a file in conflict."""
    said = {
        "mine": "Keep this side's version of PATH (a file, a folder, or . for all).",
        "theirs": "Take the other side's version of PATH.",
        "both": "Keep both: the other side's version gets a name of its own beside it.",
        "hand": "Lay PATH out with both versions in it, to be edited; then --done.",
    }
    for way in reversed(_WAYS):
        function = click.option(f"--{way}", way, multiple=True, metavar="PATH", help=said[way])(
            function
        )
    return function


def wanted(
    mine: Sequence[str], theirs: Sequence[str], both: Sequence[str], hand: Sequence[str]
) -> dict[str, How]:
    """Return what is wanted, by path."""
    found: dict[str, How] = {}
    for way, paths in zip(_WAYS, (mine, theirs, both, hand), strict=True):
        for path in paths:
            if found.setdefault(path, way) != way:
                raise click.UsageError(f"{path} is to become two things at once")
    return found


def named(project: Project, ways: dict[str, How]) -> dict[str, How]:
    """Return what is wanted by the paths that the project has for them."""
    return {relative(project, [Path(path)], new=True)[0]: way for path, way in ways.items()}


@verb(
    None,
    "merge",
    "branchline merge without-outliers\n"
    "branchline merge --mine code/fit.py --both data/wear.csv\n"
    "branchline merge --hand code/plot.py\n"
    "branchline merge --done\n"
    "branchline merge --abandon",
)
@click.argument("branch", default="", metavar="[BRANCH]")
@choices
@click.option("--done", is_flag=True, help="Files that are merged by hand are finished.")
@click.option("--abandon", is_flag=True, help="Leave the merge that waits; nothing is lost.")
@click.option("--check", is_flag=True, help="Measure models, too: run the commands of checks.toml.")
@project_option
@HOME
def merge(
    branch: str,
    mine: tuple[str, ...],
    theirs: tuple[str, ...],
    both: tuple[str, ...],
    hand: tuple[str, ...],
    done: bool,
    abandon: bool,
    check: bool,
    where: Path,
    home: Path,
) -> Answer:
    """Merge another branch into this one; where the two contradict each other, you choose.

    What is not saved yet is saved first. Notebooks are merged by cell. Conflicts are listed: who
    changed what and when, and where it differs. Until each has an answer, files and branches stay
    as they are (exit code 5). Files by hand hold both versions until --done.

    Required checks must hold of what the merge makes, or nothing is merged, and the reason is said
    (exit code 5). Data are checked at once, and what came of it goes on record; the commands that
    measure models run with --check alone, on a copy of the merged files.
    """
    from branchline.project.merging.merge import abandon as leave
    from branchline.project.merging.merge import merge as bring_in
    from branchline.project.merging.merge import resume

    ways = wanted(mine, theirs, both, hand)
    if abandon:
        if branch or ways or done:
            raise click.UsageError("--abandon stands alone")
        with changing(where, "leaving the merge") as (project, _):
            return told(leave(project))
    if branch and done:
        raise click.UsageError("--done needs no BRANCH")
    identity = identity_of(home)
    with changing(where, "merging") as (project, progress):
        ways = named(project, ways)
        with judging(project, branch, identity, progress, commands=check) as judge:
            if branch:
                merged = bring_in(project, identity, branch, ways, progress, judge=judge)
            else:
                merged = resume(project, identity, ways, progress, done=done, judge=judge)
    while asked := ask(merged):
        with (
            changing(where, "merging") as (project, progress),
            judging(project, merged.name, identity, progress, commands=check) as judge,
        ):
            merged = resume(project, identity, asked, progress, judge=judge)
    return told(merged)


@contextmanager
def judging(
    project: Project,
    name: str,
    identity: Identity,
    progress: Callable[[str], None],
    *,
    commands: bool,
    syncing: bool = False,
) -> Iterator[MergeJudge]:
    """Give who holds a merge against its required checks; see `branchline.workbench.merging`."""
    from branchline.project.runs.places import place_of
    from branchline.workbench.merging import judging as given

    def place(work: Path) -> Place:
        return place_of(work, opened_store(None))

    where = place if commands else None
    with given(project, name or "this", identity, progress, where, syncing=syncing) as judge:
        yield judge


def ask(merged: Merged) -> dict[str, How]:
    """Ask the person at a terminal what is to become of each conflict; nothing elsewhere."""
    if (
        merged.state != "waiting"
        or wants_json()
        or not (sys.stdin.isatty() and sys.stderr.isatty())
    ):
        return {}
    found: dict[str, Any] = {}
    for each in merged.conflicts:
        click.echo("\n".join(_explained(each)), err=True)
        answer = click.prompt(
            "Keep", type=click.Choice([*each.ways, "later"]), default="later", err=True
        )
        if answer != "later":
            found[each.path] = answer
    return found


def told(merged: Merged) -> Answer:
    """Say what came of a merge."""
    conflicts, by_hand = merged.conflicts, _by_hand(merged)
    data = {
        "state": merged.state,
        "branch": merged.name,
        "commit": merged.commit,
        "saved": merged.saved,
        "record": merged.record.digest if merged.record else None,
        "conflicts": [each.as_json() for each in conflicts],
        "chosen": dict(merged.chosen),
        "by_hand": by_hand,
        "notebooks": list(merged.notebooks),
        "kept_records": list(merged.kept),
        "aside": str(merged.aside) if merged.aside else None,
    }
    return Answer(data, said(merged), CONFLICTS if merged.state == "waiting" else 0)


def said(merged: Merged) -> str:
    """Return for people what came of a merge."""
    conflicts, by_hand = merged.conflicts, _by_hand(merged)
    first = f"Saved first what was not saved, as {merged.saved[:12]}" if merged.saved else ""
    aside = f"What was edited by hand is kept in {merged.aside}" if merged.aside else ""
    if merged.state == "abandoned":
        return lines(f"Left the merge of {merged.name}; both sides are as they were", aside)
    if merged.state == "nothing":
        return lines(first, f"Nothing to merge: all of {merged.name} is here already")
    if merged.state == "merged":
        chosen = [f"  {how:<7} {path}" for path, how in sorted(merged.chosen.items())]
        cells = [f"  by cell {path}" for path in merged.notebooks]
        kept = (
            f"{len(merged.kept)} records that {merged.name} had changed stay as they were: "
            "see 'branchline log --verify'"
        )
        done = f"Merged {merged.name} as {(merged.commit or '')[:12]}"
        return lines(first, done, *chosen, *cells, kept if merged.kept else "")
    parts = [first, aside]
    if conflicts:
        count = f"{len(conflicts)} file{'s' if len(conflicts) > 1 else ''}"
        parts.append(
            f"{merged.name} contradicts this branch in {count}; nothing has been changed yet"
        )
        parts += [line for each in conflicts[:_MOST] for line in _explained(each)]
        more = f"  … and {len(conflicts) - _MOST} more" if len(conflicts) > _MOST else ""
        parts += [
            more,
            "Choose: 'branchline merge' with --mine, --theirs, --both or --hand and PATH",
        ]
    if by_hand:
        parts += ["Being merged by hand:", *(f"  {path}" for path in by_hand)]
        parts.append("Edit, then 'branchline merge --done'")
    return lines(*parts)


def _by_hand(merged: Merged) -> list[str]:
    if merged.state != "waiting":
        return []
    return [path for path, how in merged.chosen.items() if how == "hand"]


def _explained(each: Explained) -> list[str]:
    from branchline.project.names import shown

    found = [f"{shown(each.path)[1:-1]}: {each.said}"]
    for name, side in (("mine", each.mine), ("theirs", each.theirs)):
        found.append(f"  {name:<7} {_side(side)}")
        found += [
            f"    line {each.line}: {line}" if i == 0 else f"      {line}"
            for i, line in enumerate(side.lines)
        ]
    if each.line is not None and not (each.mine.lines or each.theirs.lines):
        found.append(f"  they differ from line {each.line} on")
    return found


def _side(side: Side) -> str:
    size = "removed" if side.size is None else f"{side.size} bytes"
    who = f"{side.who}, {side.at[:16].replace('T', ' ')}: {side.why}" if side.who else ""
    return ", ".join(part for part in (size, who) if part)
