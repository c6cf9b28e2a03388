"""The project's data: its named lists, and the rules on who may have what."""

from __future__ import annotations

from dataclasses import dataclass

from branchline.foundation.errors import BranchlineError
from branchline.project.data.listing import every_list
from branchline.project.data.lists import DataList, TableFacts
from branchline.project.place import Project
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import Frame, frame

_TABLES, _COLUMNS = 20, 60


@dataclass(frozen=True)
class Column:
    """What is known of a column."""

    name: str
    type: str
    values: int
    missing: int
    more: str


@dataclass(frozen=True)
class Table:
    """What is known of a table of a list."""

    path: str
    rows: int
    coarse: bool
    columns: tuple[Column, ...]
    unread: str


@dataclass(frozen=True)
class Version:
    """One version of a list.

    Args:
        reference: Its name and number.
        digest: What names it.
        at: When it was made.
        about: One line on it.
        files: How many files it has.
        size: Their bytes, where all are known.
        apart: Lists it was found not to overlap with.
        tables: What is known of its tables.
    """

    reference: str
    digest: str
    at: str
    about: str
    files: int
    size: int | None
    apart: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Kept:
    """All versions of one list, the newest first."""

    name: str
    newest: Version
    older: tuple[Version, ...]


@dataclass(frozen=True)
class ShownRule:
    """What holds for some paths."""

    paths: tuple[str, ...]
    excepted: tuple[str, ...]
    confidentiality: str
    purpose: str
    allowed: str
    forbidden: tuple[str, ...]
    required: tuple[str, ...]
    expires: str


@dataclass(frozen=True)
class DataPage:
    """Lists and rules.

    Args:
        frame: What stands around it.
        lists: By name.
        rules: As they are written.
        problem: Why they cannot be read; empty if they can.
    """

    frame: Frame
    lists: tuple[Kept, ...]
    rules: tuple[ShownRule, ...]
    problem: str = ""


def data_page(opened: Opened) -> DataPage:
    """Return what the page of data shows."""
    around = frame(opened, "data", "Data")
    try:
        # Opened anew: rules are read once for a project that stays open.
        project = Project.open(opened.project.root)
        kept = [Kept(plain(name), *_versions(each)) for name, each in every_list(project).items()]
        rules = tuple(
            ShownRule(
                rule.paths,
                rule.excepted,
                rule.confidentiality,
                plain(rule.purpose),
                "" if rule.allowed is None else ", ".join(rule.allowed) or "nowhere",
                rule.forbidden,
                rule.required,
                rule.expires.isoformat() if rule.expires else "",
            )
            for rule in project.rules.rules
        )
    except BranchlineError as error:
        return DataPage(around, (), (), plain(str(error)))
    return DataPage(around, tuple(kept), rules)


def _versions(versions: list[DataList]) -> tuple[Version, tuple[Version, ...]]:
    shown = [_version(each) for each in reversed(versions)]
    return shown[0], tuple(shown[1:])


def _version(each: DataList) -> Version:
    sizes = [item.size for item in each.items]
    return Version(
        each.reference,
        each.digest,
        each.at,
        plain(each.about),
        len(each.items),
        sum(size or 0 for size in sizes) if None not in sizes else None,
        tuple(plain(name) for name in each.apart),
        tuple(_table(table) for table in each.tables[:_TABLES]),
    )


def _table(table: TableFacts) -> Table:
    columns = []
    for column in table.columns[:_COLUMNS]:
        more = ""
        if column.mean is not None:
            more = f"mean {column.mean:.4g}"
        if column.minimum is not None and column.maximum is not None:
            more += f", {column.minimum:.4g} to {column.maximum:.4g}"
        if column.codes:
            more = ", ".join(f"{code} {count}" for code, count in list(column.codes.items())[:6])
        columns.append(
            Column(plain(column.name), column.type, column.values, column.missing, plain(more))
        )
    return Table(plain(table.path), table.rows, table.coarse, tuple(columns), plain(table.unread))
