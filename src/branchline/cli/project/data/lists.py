"""``branchline data list``, ``diff`` and ``verify``: named, numbered lists of data."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, table, verb, working
from branchline.cli.frame import lines as joined
from branchline.cli.project.places import changing, identity_of, opened, project_option, relative
from branchline.cli.researcher import HOME
from branchline.foundation.errors import Conflict, Corrupt

if TYPE_CHECKING:
    from branchline.project.data.lists import DataList

_MOST = 20


@click.group("list", no_args_is_help=True)
def lists() -> None:
    """Keep named, numbered lists of data that never change: training, validation, test."""


@verb(
    lists,
    "new",
    "branchline data list new training data/train --row-key patient --apart-from test",
)
@click.argument("name")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("--row-key", default="", help="The column that says whom a row is about.")
@click.option(
    "--apart-from",
    "apart",
    multiple=True,
    metavar="LIST",
    help="Refuse it if it overlaps with this.",
)
@click.option("--about", default="", help="One line on it.")
@project_option
@HOME
def new(
    name: str,
    paths: tuple[Path, ...],
    row_key: str,
    apart: tuple[str, ...],
    about: str,
    where: Path,
    home: Path,
) -> Answer:
    """Make a new version of a list, of what is saved at PATHs, and put it on record.

    It holds each content by name, and of tables the columns and counts: no row, and of confidential
    tables counts in whole tens only.
    """
    from branchline.project.data.listing import Wish, make_list

    with changing(where, "making a list") as (project, progress):
        wish = Wish(name, relative(project, paths), row_key, apart, about)
        made, signed = make_list(project, identity_of(home), wish, progress)
    told = f"{made.reference}: {len(made.items)} files, {made.digest}"
    return Answer(_as_json(made) | {"record": signed.digest}, told)


@verb(lists, "show", "branchline data list show\nbranchline data list show training@1")
@click.argument("which", default="", metavar="[LIST]")
@project_option
def show(which: str, where: Path) -> Answer:
    """Show all lists, or what one version of one holds."""
    from branchline.project.data.listing import every_list, find_list

    project = opened(where)
    if which:
        found = find_list(project, which)
        facts = [
            [t.path, str(t.rows), c.name, c.type, str(c.values), str(c.missing), _told(c)]
            for t in found.tables
            for c in t.columns
        ]
        columns = ["table", "rows", "column", "type", "values", "missing", "more"]
        return Answer(
            _as_json(found),
            joined(
                f"{found.reference}  {found.digest}  {found.at[:19]}  {found.about}",
                *(f"  {item.path}  {item.content}" for item in found.items[:_MOST]),
                f"  … and {len(found.items) - _MOST} more" if len(found.items) > _MOST else "",
                table(columns, facts, ""),
                *(f"{t.path} was not read: {t.unread}" for t in found.tables if t.unread),
            ),
        )
    every = [each for versions in every_list(project).values() for each in versions]
    rows = [[e.reference, str(len(e.items)), e.at[:19], e.digest[7:23], e.about] for e in every]
    head = ["list", "files", "made (UTC)", "digest", "about"]
    return Answer({"lists": [_as_json(each) for each in every]}, table(head, rows, "None yet"))


@verb(lists, "check", "branchline data list check training validation test")
@click.argument("which", nargs=-1, required=True, metavar="LIST...")
@project_option
def check(which: tuple[str, ...], where: Path) -> Answer:
    """Check that lists do not overlap: by file, and by row where they name the row's key.

    It exits with 5 if two of them share anything.
    """
    from branchline.project.data.listing import find_list
    from branchline.project.data.overlapping import overlap

    if len(which) < 2:
        raise click.UsageError("Say which two lists, or more")
    project = opened(where)
    with working("comparing"):
        chosen = [find_list(project, each) for each in which]
        found = [overlap(project, one, two) for one, two in combinations(chosen, 2)]
    told = [
        {
            "lists": [each.one.reference, each.two.reference],
            "files": [list(pair) for pair in each.files],
            "rows": each.rows,
        }
        for each in found
    ]
    apart = not any(each.any for each in found)
    text = joined(
        *(each.sentence for each in found),
        *(
            f"Rows of {each.one.reference} and {each.two.reference} were not compared: --row-key"
            for each in found
            if each.rows is None
        ),
    )
    return Answer({"apart": apart, "pairs": told}, text, 0 if apart else Conflict.exit_code)


@verb(None, "diff", "branchline data diff training@1 training@2")
@click.argument("one")
@click.argument("two")
@project_option
def diff(one: str, two: str, where: Path) -> Answer:
    """Show how two data lists differ: files, columns, counts."""
    from branchline.project.data.listing import find_list
    from branchline.project.data.lists import differences

    project = opened(where)
    before, after = find_list(project, one), find_list(project, two)
    found = differences(before, after)
    text = [f"{word:<8} {path}" for word in ("new", "removed", "changed") for path in found[word]]
    data: dict[str, Any] = {"one": before.reference, "two": after.reference, **found}
    said = joined(*text, *(f"table    {each}" for each in found["tables"]))
    return Answer(data, said or f"{before.reference} and {after.reference} say the same")


@verb(None, "verify", "branchline data verify\nbranchline data verify training@1")
@click.argument("which", nargs=-1, metavar="[LIST]...")
@project_option
def verify(which: tuple[str, ...], where: Path) -> Answer:
    """Hold data lists and every content of theirs that is here against their names.

    Without LIST: all versions of all lists. It exits with 6 if something changed.
    """
    from branchline.project.data.listing import every_list, find_list, verify_list

    project = opened(where)
    known = every_list(project)
    chosen = [find_list(project, each) for each in which]
    chosen = chosen or [each for versions in known.values() for each in versions]
    with working("verifying") as progress:
        found = []
        for each in chosen:
            progress(f"verifying {each.reference}")
            found.append(verify_list(project, each, known[each.name]))
    good = all(each.good for each in found)
    told = [
        {"list": each.list.reference, "digest": each.list.digest, "whole": each.good}
        | {"contents": each.verdicts, "problem": each.problem}
        for each in found
    ]
    text = []
    for one in found:
        counts = ", ".join(f"{n} {word}" for word, n in Counter(one.verdicts.values()).items())
        text.append(f"{one.list.reference}: {counts or 'no files'}")
        text += [f"  changed  {path}" for path, word in one.verdicts.items() if word == "changed"]
        text += [f"  {one.problem}"] if one.problem else []
    answer = {"verified": good, "lists": told}
    return Answer(answer, joined(*text) or "No lists yet", 0 if good else Corrupt.exit_code)


def _as_json(each: DataList) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(each)
    return plain | {"digest": each.digest, "path": each.path}


def _told(column: Any) -> str:
    said = [f"mean {column.mean:g}"] if column.mean is not None else []
    if column.minimum is not None:
        said.append(f"{column.minimum:g} to {column.maximum:g}")
    said += [f"{code} {count}" for code, count in (column.codes or {}).items()]
    return ", ".join(said)
