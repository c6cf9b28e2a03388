"""Data lists: named, numbered, never changed; what one holds and how two differ; pure.

A version is one JSON file, ``lists/<name>/<number>-<digest>.json``, in git: readable, and named by
the digest of its canonical form. Each names the version before it by that digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_of
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.ids import Id, Name

FOLDER = "lists"
LARGEST = 64 << 20
_PATH = re.compile(
    rf"^{FOLDER}/(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/(?P<number>[1-9][0-9]{{0,5}})-[0-9a-f]{{16}}\.json$"
)
_REFERENCE = re.compile(r"^([a-z0-9][a-z0-9-]{0,62})(?:@([1-9][0-9]{0,5}))?$")


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file.

    Args:
        path: Where it stood when the list was made.
        content: Git-annex's name of its content, or ``git:`` and git's.
        size: Its bytes, where they are known without reading it.
    """

    path: str
    content: str
    size: int | None = None


class ColumnFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one column; never a value of a single row.

    Args:
        name: The column's name.
        type: integer, number, text, boolean, date or code.
        values: How many are there.
        missing: How many are not.
        mean: Of numbers.
        deviation: Their standard deviation.
        minimum: The least; not told of confidential data.
        maximum: The largest; not told of confidential data.
        codes: How often each code of a short list comes.
    """

    name: str
    type: str
    values: int
    missing: int
    mean: float | None = None
    deviation: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    codes: dict[str, int] | None = None


class TableFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of one table.

    Args:
        path: Its file.
        rows: How many it has.
        columns: What each holds.
        coarse: Whether the data are confidential: counts are whole tens, rounded down, so that those
            below ten are none; least, largest and rare codes are left out; means have three digits.
        unread: Why it was not read, if it was not.
    """

    path: str
    rows: int = 0
    columns: tuple[ColumnFacts, ...] = ()
    coarse: bool = False
    unread: str = ""


class DataList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One version of a list.

    Args:
        project: The project's identifier.
        name: What people call it: training, validation, test.
        number: The version, from 1.
        previous: The digest of the version before; None for the first.
        at: When it was made, RFC 3339 in UTC.
        items: Its files, by path.
        tables: What is known of those that are tables.
        about: One line for people.
        row_key: The column that says whom a row is about; empty if none was named.
        apart: Lists that it was found not to overlap with, by name and digest.
        v: The version of this form.
    """

    project: Id
    name: Name
    number: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
    previous: WireDigest | None
    at: str
    items: tuple[Item, ...]
    tables: tuple[TableFacts, ...] = ()
    about: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    row_key: Annotated[str, msgspec.Meta(max_length=200)] = ""
    apart: dict[str, WireDigest] = {}
    v: Literal[1] = 1

    @property
    def digest(self) -> Digest:
        """What names this version: the digest of its canonical form."""
        return digest_of(canonical_json(self))

    @property
    def path(self) -> str:
        """Its file in the project."""
        return f"{FOLDER}/{self.name}/{self.number}-{self.digest[7:23]}.json"

    @property
    def text(self) -> bytes:
        """Its file's content: readable, and the one spelling that is accepted."""
        return msgspec.json.format(canonical_json(self), indent=1) + b"\n"

    @property
    def reference(self) -> str:
        """Its name and number, as people write them."""
        return f"{self.name}@{self.number}"

    def named(self) -> dict[str, str | int]:
        """Return what a record or a train says of it."""
        return {"name": self.name, "number": self.number, "digest": self.digest}


def read_list(text: bytes, path: str) -> DataList:
    """Read a version's file; every byte of it counts.

    Raises:
        Refused: It is none.
        Corrupt: It was changed, or stands in a place that is not its own.
    """
    found = parse_json(text, DataList, what=f"list {path}", limit=LARGEST)
    if found.text != text or found.path != path:
        raise Corrupt(f"The list {path} was changed since it was made")
    return found


def parse_path(path: str) -> tuple[str, int] | None:
    """Return the name and number that a path of a list's file says; None for other paths."""
    found = _PATH.match(path)
    return (found["name"], int(found["number"])) if found else None


def parse_reference(text: str) -> tuple[str, int | None]:
    """Return the name and number that a person means by ``training`` or ``training@2``.

    Raises:
        Refused: It is neither.
    """
    found = _REFERENCE.match(text)
    if found is None:
        raise Refused(f"{text[:80]!r} names no list", advice="Write training, or training@2")
    return found[1], int(found[2]) if found[2] else None


def differences(one: DataList, two: DataList) -> dict[str, list[str]]:
    """Return in words what differs from one version to another: files, columns, counts."""
    before = {item.path: item.content for item in one.items}
    after = {item.path: item.content for item in two.items}
    found = {
        "new": sorted(set(after) - set(before)),
        "removed": sorted(set(before) - set(after)),
        "changed": sorted(p for p in set(before) & set(after) if before[p] != after[p]),
    }
    tables = {table.path: table for table in one.tables}
    said = []
    for table in two.tables:
        if table.path in tables and table != tables[table.path]:
            said += _table_differences(tables[table.path], table)
    return found | {"tables": said}


def _table_differences(one: TableFacts, two: TableFacts) -> list[str]:
    said = []
    if one.rows != two.rows:
        said.append(f"{two.path}: {one.rows} rows become {two.rows}")
    before = {column.name: column for column in one.columns}
    after = {column.name: column for column in two.columns}
    said += [f"{two.path}: the column {name!r} is gone" for name in before if name not in after]
    for name, column in after.items():
        if name not in before:
            said.append(f"{two.path}: the column {name!r} is new")
            continue
        for field in column.__struct_fields__:
            was, now = getattr(before[name], field), getattr(column, field)
            if was != now:
                said.append(f"{two.path}: {name}: {field} {_shown(was)} becomes {_shown(now)}")
    return said


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
    return "none" if value is None else str(value)


def shared_files(one: DataList, two: DataList) -> list[tuple[str, str]]:
    """Return the pairs of paths at which two lists hold the same content."""
    where: dict[str, str] = {}
    for item in one.items:
        where.setdefault(item.content, item.path)
    return [(where[item.content], item.path) for item in two.items if item.content in where]


def chain_problem(versions: Sequence[DataList]) -> str | None:
    """Return why the versions of one list do not continue each other; None if they do."""
    for number, (each, before) in enumerate(zip(versions, (None, *versions), strict=False), 1):
        if each.number != number or each.previous != (before.digest if before else None):
            return f"{each.reference} does not continue the version before it"
    return None
