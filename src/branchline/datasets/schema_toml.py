"""A schema as a text that a data steward reads, edits and confirms."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from branchline.datasets.forms import complaint, entries, fill, only, read_toml
from branchline.datasets.schema import Column, Schema, Table

_INTRODUCTION = """\
# What this dataset holds. Read every line: researchers will see this file, never the data.
# A column you delete here is never read. For each column:
#   type        integer | number | text | boolean | date | code (a text from a fixed list)
#   codes       all allowed values of a code: make sure that none tells of a single person
#   minimum,    inclusive bounds of an integer or number. Suggested bounds were rounded
#   maximum     outwards from the data: replace them by what the protocol says
#   nullable    true where values may be missing
#   unit, description   in words
# For each table, key names the column that says whom a row is about (a patient's number).
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TABLE_KEYS = frozenset({"key", "description", "columns"})


def to_toml(schema: Schema) -> str:
    """Write a schema as TOML with explanations; ``parse_toml`` reads it back unchanged."""
    return "\n".join([_INTRODUCTION, *(_table_text(table) for table in schema.tables)])


def parse_toml(text: str, what: str = "schema.toml") -> Schema:
    """Read a schema; ``what`` names the file in complaints.

    Raises FormRefused naming file, key and expectation.
    """
    form = read_toml(text.encode(), what)
    only(form, frozenset({"tables"}), what)
    tables = entries(form.get("tables"), what, "tables")
    if not tables:
        raise complaint(what, "tables", "Expected at least one table")
    return Schema(tuple(_parse_table(name, table, what) for name, table in tables.items()))


def _parse_table(name: str, value: object, what: str) -> Table:
    where = f"tables.{name}"
    form = entries(value, what, where)
    only(form, _TABLE_KEYS, what, where)
    columns = entries(form.get("columns"), what, f"{where}.columns")
    described = [
        fill(named(column, key, what, at), Column, what, at)
        for key, column in columns.items()
        for at in [f"{where}.columns.{key}"]
    ]
    return fill({**form, "name": name, "columns": described}, Table, what, where)


def named(value: object, name: str, what: str, where: str) -> dict[str, Any]:
    """Put the name that stands in a table's key into the table itself."""
    form = entries(value, what, where)
    if "name" in form:
        raise complaint(what, f"{where}.name", "Unknown key; the name is the table's own key")
    return {**form, "name": name}


def _table_text(table: Table) -> str:
    head = {"key": table.key, "description": table.description}
    chosen = {key: value for key, value in head.items() if value}
    parts = [_section(["tables", table.name], chosen)] if chosen else []
    parts += [
        _section(["tables", table.name, "columns", column.name], _column_form(column))
        for column in table.columns
    ]
    return "\n".join(parts)


def _column_form(column: Column) -> dict[str, Any]:
    form: dict[str, Any] = msgspec.to_builtins(column)
    del form["name"]
    for bound in ("minimum", "maximum"):
        if bound in form and float(form[bound]).is_integer():
            form[bound] = int(form[bound])
    form["nullable"] = column.nullable
    return form


def _section(path: list[str], form: dict[str, Any]) -> str:
    lines = [f"[{'.'.join(_key(part) for part in path)}]"]
    lines += [f"{key} = {_value(value)}" for key, value in form.items()]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    # Every JSON text of strings, numbers, booleans and lists is a TOML value (TOML 1.0), but
    # for the character DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
