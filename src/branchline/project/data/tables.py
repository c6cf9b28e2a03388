"""What may be told of a table: its columns and counts, never a row; less of confidential data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.datasets.errors import SourceRefused, ValuesRefused
from branchline.datasets.infer import FEWEST_VALUES, infer_table
from branchline.datasets.reading import read_columns
from branchline.datasets.schema import Column
from branchline.foundation.errors import Refused
from branchline.project.data.lists import ColumnFacts, TableFacts

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = (".csv", ".parquet")
"""How the names of files end that are read as tables."""

_DIGITS = 3


def facts_of(file: Path, path: str, *, coarse: bool) -> TableFacts:
    """Read a table and return what may be told of it.

    Args:
        file: Where its content is.
        path: Its path in the project.
        coarse: Whether it is confidential; see `TableFacts`.
    """
    try:
        columns = infer_table("table", file).columns
        table = read_columns(file, columns)
    except (SourceRefused, ValuesRefused) as error:
        # Their sentences hold counts and names of columns, no value.
        return TableFacts(path, coarse=coarse, unread=error.refused.replace(file.name, path))
    told = tuple(_column(column, table[column.name], coarse=coarse) for column in columns)
    return TableFacts(path, _count(table.num_rows, coarse), told, coarse)


def keys_of(file: Path, path: str, column: str) -> set[str]:
    """Return whom a table's rows are about; rows that do not say so are left out.

    Raises:
        Refused: It is no table that can be read, or has no such column.
    """
    if file.suffix.lower() not in KINDS:
        raise Refused(f"{path} is no table, so its rows cannot be told apart")
    try:
        values = read_columns(file, [Column(column, "text", nullable=True)])[column]
    except (SourceRefused, ValuesRefused) as error:
        raise Refused(error.refused.replace(file.name, path)) from None
    return {text for text in values.unique().to_pylist() if text is not None}


def _column(column: Column, values: pa.ChunkedArray, *, coarse: bool) -> ColumnFacts:
    import pyarrow.compute as pc

    missing = int(values.null_count)
    found = ColumnFacts(
        column.name,
        column.type if not coarse or column.type != "code" else "text",
        _count(len(values) - missing, coarse),
        _count(missing, coarse),
    )
    more: dict[str, Any] = {}
    if column.type in ("integer", "number") and len(values) - missing >= FEWEST_VALUES:
        more["mean"] = _number(pc.mean(values).as_py(), coarse)
        more["deviation"] = _number(pc.stddev(values).as_py(), coarse)
        if not coarse:
            ends = pc.min_max(values).as_py()
            more["minimum"], more["maximum"] = (
                _number(ends["min"], False),
                _number(ends["max"], False),
            )
    if column.type == "code" and column.codes is not None:
        counts = {each["values"]: each["counts"] for each in values.value_counts().to_pylist()}
        told = {code: _count(counts.get(code, 0), coarse) for code in column.codes}
        more["codes"] = {code: count for code, count in told.items() if count}
        more["type"] = "code" if more["codes"] else found.type
    return _replaced(found, more)


def _replaced(found: ColumnFacts, more: dict[str, Any]) -> ColumnFacts:
    import msgspec

    return msgspec.structs.replace(found, **more)


def _count(count: int, coarse: bool) -> int:
    return count - count % FEWEST_VALUES if coarse else count


def _number(value: float | None, coarse: bool) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}") if coarse else float(value)
