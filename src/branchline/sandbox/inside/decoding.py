"""Read a payload's Arrow stream that hostile code may have written."""

import math
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from .arrow_guard import PayloadError, check_stream
from .kinds import (
    COLUMN_KINDS,
    COLUMN_LIMIT,
    ELEMENT_DTYPES,
    METADATA,
    RANK_LIMIT,
    SCALAR_KINDS,
    Payload,
    Value,
    check_name,
    elements_of,
)

_UNREADABLE = (pa.ArrowException, ValueError, TypeError, OSError, OverflowError, KeyError)


def read_payload(data: Any, *, max_bytes: int, max_fields: int) -> Payload:
    """Return the payload in `data`, any readable buffer; see `values.decode_payload`."""
    view = memoryview(data).cast("B")
    if len(view) > max_bytes:
        raise PayloadError(f"the payload has {len(view)} bytes, allowed are {max_bytes}")
    check_stream(view)
    try:
        return _read(view, max_fields)
    except PayloadError:
        raise
    except _UNREADABLE:
        # Arrow's own words may quote the data, so they are neither repeated nor chained.
        raise PayloadError("the payload is not a valid Arrow stream") from None


def _read(view: memoryview, max_fields: int) -> Payload:
    reader = pa.ipc.open_stream(pa.py_buffer(view.toreadonly()))
    schema = reader.schema
    if schema.metadata != METADATA:
        raise PayloadError("the stream is not marked as a payload of version 1")
    if len(schema) > max_fields or len(set(schema.names)) != len(schema):
        raise PayloadError(f"a payload has at most {max_fields} fields, each with its own name")
    for field in schema:
        check_name(field.name)
        _check_kind(field.type)
    batch = reader.read_next_batch()
    batch.validate(full=True)
    if batch.num_rows != 1:
        raise PayloadError("a payload must have exactly one row")
    return {name: _value(batch.column(i)) for i, name in enumerate(schema.names)}


def _check_kind(kind: pa.DataType) -> None:
    """Refuse a field's type before any of its data is touched."""
    if kind in SCALAR_KINDS.values():
        return
    if isinstance(kind, pa.FixedShapeTensorType):
        _check_tensor(kind)
    elif pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        _check_rows(kind.value_type)
    else:
        raise PayloadError("the payload has a field of a type that payloads do not have")


def _check_tensor(kind: pa.FixedShapeTensorType) -> None:
    known = kind.value_type in ELEMENT_DTYPES and 1 <= len(kind.shape) <= RANK_LIMIT
    if not known or kind.permutation is not None or kind.dim_names is not None:
        raise PayloadError("the payload has an array of a type that payloads do not have")
    # Arrow divides by the list size in places, and numpy limits each dimension, even of nothing.
    if math.prod(kind.shape) != kind.storage_type.list_size or max(kind.shape) >= 1 << 31:
        raise PayloadError("the payload has an array whose shape does not fit its elements")


def _check_rows(kind: pa.StructType) -> None:
    fields = list(kind)
    names = {field.name for field in fields}
    if not 0 < len(fields) <= COLUMN_LIMIT or len(names) != len(fields):
        raise PayloadError(f"a table must have 1 to {COLUMN_LIMIT} distinct columns")
    for field in fields:
        check_name(field.name)
        if field.type not in COLUMN_KINDS:
            raise PayloadError("the payload has a table column of a type that tables do not have")


def _value(column: pa.Array) -> Value:
    if pa.types.is_null(column.type):
        return None
    if column.null_count:
        raise PayloadError("the payload has a field without a value")
    if isinstance(column.type, pa.FixedShapeTensorType):
        return _array(column)
    if pa.types.is_list(column.type):
        return _table(column)
    value: Value = column[0].as_py()
    return value


def _array(column: pa.Array) -> Value:
    elements = column.storage.values
    if elements.null_count or len(elements) != column.type.storage_type.list_size:
        raise PayloadError("the payload has an array with missing or spare elements")
    array = elements_of(elements).reshape(column.type.shape)
    array.flags.writeable = False
    return array


def _table(column: pa.Array) -> Value:
    rows = column.values
    if rows.null_count or column.offsets.to_pylist() != [0, len(rows)]:
        raise PayloadError("the payload has a table with missing or spare rows")
    return pa.Table.from_arrays(
        [rows.field(i) for i in range(rows.type.num_fields)],
        names=[field.name for field in rows.type],
    )
