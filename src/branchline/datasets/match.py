"""Compare what a train needs with what a dataset is, and values with their rule. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from branchline.datasets.columns import ColumnRule, ColumnType, range_text
from branchline.datasets.errors import ContractRefused, ValuesRefused
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.datasets.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

DifferenceKind = Literal[
    "missing-table",
    "missing-column",
    "wrong-type",
    "unknown-code",
    "out-of-range",
    "missing-values",
    "too-few-rows",
]

#: A needed type → the types that can be read as it without loss.
READABLE_AS: Mapping[ColumnType, frozenset[ColumnType]] = {
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "number"}),
    "text": frozenset({"text", "code"}),
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"date"}),
    "code": frozenset({"code"}),
}


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name one thing a dataset lacks; ``sentence`` says it to a person.

    Nothing here comes from the data: only from the schema, which is published, and whether
    there are enough rows, never how many.
    """

    kind: DifferenceKind
    table: str
    column: str | None
    expected: str
    got: str
    sentence: str


def differences(
    needed: Sequence[NeededTable], schema: Schema, rows: Mapping[str, int] | None = None
) -> list[Difference]:
    """List everything in which a dataset falls short of a contract; empty means it fits.

    ``rows`` gives the row counts by table, where they are known.
    """
    return list(_differences(needed, schema, rows or {}))


def require_match(
    needed: Sequence[NeededTable], schema: Schema, rows: Mapping[str, int] | None = None
) -> None:
    """Raise ContractRefused with every difference in its ``detail``, if there is any."""
    found = differences(needed, schema, rows)
    if found:
        raise ContractRefused(
            "The dataset is not what the train needs: " + " ".join(d.sentence for d in found),
            advice="Change the train's contract, or ask the station to add what is missing",
            detail={"differences": [msgspec.to_builtins(difference) for difference in found]},
        )


def require_values(table: pa.Table, columns: Sequence[ColumnRule], what: str) -> None:
    """Raise ValuesRefused if values lie outside their columns' rules, telling only how many."""
    found = [
        f"column {column.name!r}: {count} {problem}"
        for column in columns
        for problem, count in _offences(table[column.name], column)
        if count
    ]
    if found:
        raise ValuesRefused(
            f"{what} holds values outside its schema: {'; '.join(found)}",
            advice="Correct the file, or the schema, and add the dataset again",
        )


def _differences(
    needed: Sequence[NeededTable], schema: Schema, rows: Mapping[str, int]
) -> Iterator[Difference]:
    for table in needed:
        offered = schema.table(table.name)
        if offered is None:
            names = ", ".join(each.name for each in schema.tables)
            yield _difference("missing-table", table.name, None, "a table of this name", names)
            continue
        for column in table.columns:
            yield from _column_differences(table.name, column, offered.column(column.name))
        if rows.get(table.name, table.minimum_rows) < table.minimum_rows:
            least = f"at least {table.minimum_rows} rows"
            yield _difference("too-few-rows", table.name, None, least, "fewer")


def _column_differences(
    table: str, needed: NeededColumn, offered: Column | None
) -> Iterator[Difference]:
    name = needed.name
    if offered is None:
        yield _difference("missing-column", table, name, f"a column of type {needed.type}", "none")
        return
    if offered.type not in READABLE_AS[needed.type]:
        yield _difference("wrong-type", table, name, f"type {needed.type}", f"type {offered.type}")
        return
    unknown = sorted(set(offered.codes or ()) - set(needed.codes or offered.codes or ()))
    if unknown:
        known = f"only the codes {', '.join(needed.codes or ())}"
        yield _difference("unknown-code", table, name, known, f"also {', '.join(unknown)}")
    if not _within(offered, needed):
        allowed = range_text(needed.minimum, needed.maximum)
        held = range_text(offered.minimum, offered.maximum)
        yield _difference("out-of-range", table, name, allowed, held)
    if offered.nullable and not needed.nullable:
        yield _difference("missing-values", table, name, "no missing values", "some may be missing")


def _within(offered: Column, needed: NeededColumn) -> bool:
    # A bound the dataset does not declare may be anything: it does not fit a needed bound.
    low = needed.minimum is None or (
        offered.minimum is not None and offered.minimum >= needed.minimum
    )
    high = needed.maximum is None or (
        offered.maximum is not None and offered.maximum <= needed.maximum
    )
    return low and high


def _difference(
    kind: DifferenceKind, table: str, column: str | None, expected: str, got: str
) -> Difference:
    place = f"Table {table!r}" + (f", column {column!r}" if column is not None else "")
    sentence = f"{place}: {kind.replace('-', ' ')}: expected {expected}, got {got}."
    return Difference(kind, table, column, expected, got, sentence)


def _offences(values: pa.ChunkedArray, rule: ColumnRule) -> Iterator[tuple[str, int]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    def count(mask: pa.ChunkedArray) -> int:
        return int(pc.sum(mask).as_py() or 0)

    if not rule.nullable:
        yield "missing, but the column is not nullable", values.null_count
    if rule.codes is not None:
        allowed = pa.array([*rule.codes, None], pa.string())
        yield "not among the codes", count(pc.invert(pc.is_in(values, value_set=allowed)))
    outside = 0
    if rule.minimum is not None:
        outside += count(pc.less(values, _bound(rule.minimum, values.type, math.ceil)))
    if rule.maximum is not None:
        outside += count(pc.greater(values, _bound(rule.maximum, values.type, math.floor)))
    yield f"outside {range_text(rule.minimum, rule.maximum)}", outside


def _bound(bound: float, kind: pa.DataType, whole: Callable[[float], int]) -> pa.Scalar:
    import pyarrow as pa

    if not pa.types.is_integer(kind):
        return pa.scalar(bound, kind)
    # Integers beyond 2^53 have no float64: compare as integers, within int64.
    return pa.scalar(max(-(2**63), min(whole(bound), 2**63 - 1)), kind)
