"""Propose a schema for source files; the data steward confirms or edits it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.datasets.columns import ColumnType
from branchline.datasets.errors import SourceRefused
from branchline.datasets.reading import column_names, csv_options, parquet_schema, source_kind
from branchline.datasets.schema import Column, Schema, Table

if TYPE_CHECKING:
    import pyarrow as pa

#: Below this many values neither codes nor bounds are proposed: they would be some person's.
FEWEST_VALUES = 10
#: A text column with more distinct values than this is text, not a code.
MOST_CODES = 20
#: A code has on average at least this many rows per value: names of people are not codes.
ROWS_PER_CODE = 2
#: A value longer than this is a remark, not a code.
LONGEST_CODE = 60


def infer_schema(sources: Mapping[str, Path]) -> Schema:
    """Propose a schema for files, given by the names of their tables.

    Types are inferred from all rows. Bounds are rounded outwards, so that a suggested bound is
    rarely anybody's value; they and the codes are suggestions for the steward to confirm, and
    are left out where fewer than ten values are known.

    Raises:
        SourceRefused: a file is no readable CSV or Parquet, or a column is nested.
    """
    return Schema(tuple(infer_table(name, path) for name, path in sources.items()))


def infer_table(name: str, path: Path) -> Table:
    """Propose the description of one file."""
    column_names(path)
    columns = _read_csv(path) if source_kind(path) == "csv" else _read_parquet(path)
    return Table(
        name, tuple(_column(path, title, columns[title]) for title in columns.column_names)
    )


def _column(path: Path, name: str, values: pa.ChunkedArray) -> Column:
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = _kind(path, name, values)
    nullable = values.null_count > 0
    if kind in ("integer", "number"):
        minimum, maximum = _suggested_range(values)
        return Column(name, kind, minimum=minimum, maximum=maximum, nullable=nullable)
    codes = _codes(values) if kind == "text" and pa.types.is_string(values.type) else None
    return Column(name, "code" if codes else kind, codes, nullable=nullable)


def _kind(path: Path, name: str, values: pa.ChunkedArray) -> ColumnType:
    import pyarrow as pa

    is_ = pa.types
    kinds: list[tuple[Any, ColumnType]] = [
        (is_.is_boolean, "boolean"),
        (is_.is_integer, "integer"),
        (lambda kind: is_.is_floating(kind) or is_.is_decimal(kind), "number"),
        (lambda kind: is_.is_date(kind) or _whole_days(values), "date"),
        (lambda kind: is_.is_string(kind) or is_.is_large_string(kind), "text"),
        (lambda kind: is_.is_null(kind) or is_.is_temporal(kind), "text"),
    ]
    for applies, kind in kinds:
        if applies(values.type):
            return kind
    raise SourceRefused(
        f"{path.name}: the column {name!r} holds {values.type}, which a dataset cannot describe",
        advice="Flatten it, or write the schema by hand without it",
    )


def _whole_days(values: pa.ChunkedArray) -> bool:
    import pyarrow as pa

    if not pa.types.is_timestamp(values.type):
        return False
    return bool(values.cast(pa.date32()).cast(values.type).equals(values))


def _codes(values: pa.ChunkedArray) -> tuple[str, ...] | None:
    distinct = values.drop_null().unique()
    present = len(values) - values.null_count
    if present < FEWEST_VALUES or len(distinct) > MOST_CODES:
        return None
    if len(distinct) * ROWS_PER_CODE > present:
        return None
    codes = tuple(sorted(distinct.to_pylist()))
    return codes if max(map(len, codes)) <= LONGEST_CODE else None


def _suggested_range(values: pa.ChunkedArray) -> tuple[float | None, float | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = values.cast(pa.float64(), safe=False)
    finite = numbers.filter(pc.fill_null(pc.is_finite(numbers), False))
    if len(finite) < FEWEST_VALUES:
        return None, None
    ends = pc.min_max(finite).as_py()
    return round_outwards(ends["min"], ends["max"])


def round_outwards(low: float, high: float) -> tuple[float, float]:
    """Widen a range to multiples of the power of ten below its width: 18..87 → 10..90."""
    width = high - low or abs(high) or 1.0
    if not math.isfinite(width) or width < 1e-300:
        return low, high
    step = 10.0 ** math.floor(math.log10(width))
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    if not (math.isfinite(bottom) and math.isfinite(top)):
        return low, high  # near the largest number there is
    if bottom == top:
        bottom, top = bottom - step, top + step
    digits = max(0, -math.floor(math.log10(step)))
    return min(low, round(bottom, digits)), max(high, round(top, digits))


def _read_csv(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    convert = csv.ConvertOptions(strings_can_be_null=True)
    try:
        return csv.read_csv(path, convert_options=convert, **csv_options(path, whole=True))
    except pa.ArrowInvalid:  # its message quotes rows
        raise SourceRefused(
            f"{path.name} is not a readable CSV file: rows of unequal length, or text not in UTF-8"
        ) from None


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = parquet_schema(path).names
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=names)
    except (pa.ArrowException, OSError):
        raise SourceRefused(f"{path.name} is not a readable Parquet file") from None
