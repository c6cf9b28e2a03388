"""The rule every value of a column obeys: shared by what stations hold and what trains need."""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from branchline.datasets.errors import SchemaRefused

ColumnType = Literal["integer", "number", "text", "boolean", "date", "code"]

_TABLE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMERIC = ("integer", "number")
_LONGEST_COLUMN_NAME = 200
_MOST_CODES = 10_000


class ColumnRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """State what the values of one column may be.

    ``codes`` (type code only) are all allowed values; ``minimum`` and ``maximum`` (integer and
    number only) are inclusive; a column that is not ``nullable`` has no missing value.
    """

    name: str
    type: ColumnType
    codes: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False

    def __post_init__(self) -> None:
        """Refuse a rule that contradicts itself."""
        problem = _name_problem(self.name) or _codes_problem(self) or _range_problem(self)
        if problem:
            raise SchemaRefused(f"Column {self.name[:80]!r}: {problem}")


def check_table_name(name: str) -> str:
    """Return ``name`` if it can name a table (and so a file ``/data/NAME.arrow``)."""
    if not _TABLE_NAME.fullmatch(name):
        raise SchemaRefused(
            f"{name[:80]!r} cannot name a table",
            advice="Use 1 to 63 lowercase letters, digits, '-' or '_', beginning with a letter "
            "or a digit",
        )
    return name


def check_columns(table: str, columns: tuple[ColumnRule, ...]) -> None:
    """Refuse a table without columns or with two columns of one name."""
    if not columns:
        raise SchemaRefused(f"Table {table!r} has no columns", advice="Name at least one column")
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise SchemaRefused(f"Table {table!r} names the column {name!r} twice")


def range_text(minimum: float | None, maximum: float | None) -> str:
    """Write a range for people: ``0..120``, ``0 or more``, ``at most 5``, ``any value``."""
    if minimum is None and maximum is None:
        return "any value"
    if maximum is None:
        return f"{minimum:.15g} or more"
    if minimum is None:
        return f"at most {maximum:.15g}"
    return f"{minimum:.15g}..{maximum:.15g}"


def _name_problem(name: str) -> str:
    if not name or len(name) > _LONGEST_COLUMN_NAME or not name.isprintable():
        return f"a name is 1 to {_LONGEST_COLUMN_NAME} printable characters."
    return ""


def _codes_problem(rule: ColumnRule) -> str:
    if rule.codes is None:
        return ""
    if rule.type != "code":
        return f"codes belong to the type 'code', not {rule.type!r}."
    if not 1 <= len(rule.codes) <= _MOST_CODES:
        return f"codes are a list of 1 to {_MOST_CODES} values."
    if len(set(rule.codes)) != len(rule.codes):
        return "a code is listed twice."
    return ""


def _range_problem(rule: ColumnRule) -> str:
    bounds = [bound for bound in (rule.minimum, rule.maximum) if bound is not None]
    if bounds and rule.type not in _NUMERIC:
        return f"minimum and maximum belong to the types integer and number, not {rule.type!r}."
    if not all(math.isfinite(bound) for bound in bounds):
        return "minimum and maximum are finite numbers."
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        return "minimum is greater than maximum."
    return ""
