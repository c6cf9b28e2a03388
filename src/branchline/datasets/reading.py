"""Read columns of a CSV or Parquet file in the types a schema declares.

No message of this module carries a value: the reader's own errors quote them, so they are
counted and dropped, never chained.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.datasets.columns import ColumnRule, ColumnType
from branchline.datasets.errors import SourceRefused, ValuesRefused

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = (",", ";", "\t")
_HEADER_LIMIT = 1 << 20
_SPELLING: dict[ColumnType, re.Pattern[str]] = {
    "integer": re.compile(r"-?\d{1,19}(\.0)?"),
    "number": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE),
    "boolean": re.compile(r"[01]|true|false", re.IGNORECASE),
    "date": re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"),
}


def arrow_type(kind: ColumnType) -> Any:
    """Return the Arrow type in which values of a column type travel."""
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "text": pa.string(),
        "code": pa.string(),
    }
    return types[kind]


def source_kind(path: Path) -> str:
    """Return ``csv`` or ``parquet``; refuse any other file by its name."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise SourceRefused(f"{path.name} is neither a .csv nor a .parquet file")
    if not path.is_file():
        raise SourceRefused(f"{path.name} is not a file", advice=f"Looked at {path}")
    return kind


def column_names(path: Path) -> list[str]:
    """Return the names of a source's columns; refuse doubled ones."""
    if source_kind(path) == "parquet":
        names = list(parquet_schema(path).names)
    else:
        names = _csv_header(path)
    for name in names:
        if names.count(name) > 1:
            raise SourceRefused(f"{path.name} has two columns named {name!r}")
    return names


def read_columns(path: Path, columns: Sequence[ColumnRule]) -> pa.Table:
    """Read just these columns, in this order and in their declared types.

    Empty cells and ``NA`` (also ``NULL``, ``nan``, …: pyarrow's list) are missing values.

    Raises:
        SourceRefused: a column is missing or the file is damaged.
        ValuesRefused: values do not read as their column's type (told by count).
    """
    present = set(column_names(path))
    for column in columns:
        if column.name not in present:
            raise SourceRefused(f"{path.name} has no column {column.name!r}")
    read = _read_csv if source_kind(path) == "csv" else _read_parquet
    return read(path, columns)


def parquet_schema(path: Path) -> pa.Schema:
    """Read the schema of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError):
        raise SourceRefused(f"{path.name} is not a readable Parquet file") from None


def csv_options(path: Path, *, whole: bool = False) -> dict[str, Any]:
    """Return how to parse a CSV: its delimiter is the most frequent one in the header.

    ``whole`` makes the file one block, so that types are inferred from all rows.
    """
    from pyarrow import csv

    with path.open("rb") as file:
        header = file.readline(_HEADER_LIMIT).decode("utf-8", "replace")
    delimiter = max(_DELIMITERS, key=header.count)
    block = min(path.stat().st_size + 1, 1 << 30) if whole else 1 << 20
    return {
        "parse_options": csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "read_options": csv.ReadOptions(block_size=max(block, 1 << 20)),
    }


def _csv_header(path: Path) -> list[str]:
    import pyarrow as pa
    from pyarrow import csv

    try:
        with csv.open_csv(path, **csv_options(path)) as reader:
            return list(reader.schema.names)
    except (pa.ArrowException, OSError):
        raise _damaged(path) from None


def _read_csv(path: Path, columns: Sequence[ColumnRule]) -> pa.Table:
    import pyarrow as pa

    try:
        return _csv(path, {column.name: arrow_type(column.type) for column in columns})
    except pa.ArrowInvalid:
        pass  # Either the file is damaged, or values do not fit: the next lines tell which.
    try:
        texts = _csv(path, {column.name: pa.string() for column in columns})
    except pa.ArrowInvalid:
        raise _damaged(path) from None
    raise _misfits(path, columns, texts)


def _csv(path: Path, types: dict[str, Any]) -> pa.Table:
    from pyarrow import csv

    convert = csv.ConvertOptions(
        include_columns=list(types), column_types=types, strings_can_be_null=True
    )
    return csv.read_csv(path, convert_options=convert, **csv_options(path))


def _read_parquet(path: Path, columns: Sequence[ColumnRule]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            raw = file.read(columns=[column.name for column in columns])
    except (pa.ArrowException, OSError):
        raise SourceRefused(f"{path.name} is not a readable Parquet file") from None
    cast = [_cast(path, raw[column.name], column) for column in columns]
    return pa.table(cast, names=[column.name for column in columns])


def _cast(path: Path, values: pa.ChunkedArray, column: ColumnRule) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column.type == "boolean" and not pa.types.is_boolean(values.type):
        raise SourceRefused(
            f"{path.name}: the column {column.name!r} holds {values.type}, not booleans"
        )
    try:
        cast = values.cast(arrow_type(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _misfits(path, [column], {column.name: values}) from None
    if column.type == "date" and pa.types.is_timestamp(values.type):
        # Arrow drops the time of day without a word; a schema must not.
        lost = pc.sum(pc.not_equal(cast.cast(values.type), values)).as_py()
        if lost:
            raise ValuesRefused(f"{path.name}: column {column.name!r}: {lost} with a time of day")
    if column.type == "number":
        return pc.if_else(pc.is_nan(cast), None, cast)  # as in CSV: not a number is missing
    return cast


def _misfits(path: Path, columns: Sequence[ColumnRule], texts: Any) -> ValuesRefused:
    counts = {column.name: _count_misfits(texts[column.name], column.type) for column in columns}
    found = [
        f"column {column.name!r}: {counts[column.name]} not of type {column.type}"
        for column in columns
        if counts[column.name]
    ]
    return ValuesRefused(
        f"{path.name} holds values that do not fit the schema: "
        + ("; ".join(found) or "at least one is out of its type's range"),
        advice="Correct the file, or the types in the schema",
    )


def _count_misfits(values: Any, kind: ColumnType) -> int:
    import pyarrow as pa

    spelling = _SPELLING.get(kind)
    if spelling is None:
        return 0
    try:
        texts = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return len(values) - int(values.null_count)
    return sum(
        count["counts"]
        for count in texts.value_counts().to_pylist()
        if count["values"] is not None and not spelling.fullmatch(count["values"])
    )


def _damaged(path: Path) -> SourceRefused:
    return SourceRefused(
        f"{path.name} is not a readable CSV file: rows of unequal length, or text not in UTF-8"
    )
