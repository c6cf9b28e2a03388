"""Turn what a train returns into a payload's Arrow stream."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from .arrow_guard import PayloadError
from .columns import clean_array, list_array, plain_array, text_array
from .kinds import (
    COLUMN_KINDS,
    COLUMN_LIMIT,
    ELEMENT_DTYPES,
    ELEMENT_KINDS,
    METADATA,
    RANK_LIMIT,
    SCALAR_KINDS,
    check_name,
)

_SMALL = 64 << 10


class Encoded:
    """Hold a payload ready to be written, so that a caller can place the bytes itself.

    `size` is the exact number of bytes there are.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        measure = pa.MockOutputStream()
        self._write(measure)
        self.size: int = measure.size()

    def pieces(self) -> list[memoryview]:
        """Return the stream's bytes in order; large arrays are not copied."""
        gathered = _Pieces()
        self._write(pa.PythonFile(gathered, mode="w"))
        return gathered.pieces

    def is_in(self, data: Any) -> bool:
        """Tell whether `data`, which cannot change, is seen at once to be exactly this stream.

        Arrays that were decoded from `data` and passed on as they are lie in it, at the place they
        are encoded to; all the rest is small, and compared.
        """
        view = memoryview(data).cast("B")
        if len(view) != self.size:
            return False
        at, start = 0, pa.py_buffer(view).address
        for piece in self.pieces():
            here = view[at : at + len(piece)]
            same = pa.py_buffer(piece).address == start + at
            if not same and (len(piece) > _SMALL or bytes(here) != bytes(piece)):
                return False
            at += len(piece)
        return True

    def to_bytes(self) -> bytes:
        """Return the stream as bytes."""
        return b"".join(self.pieces())

    def _write(self, sink: Any) -> None:
        with pa.ipc.new_stream(sink, self._batch.schema) as writer:
            writer.write_batch(self._batch)


class _Pieces:
    """A file to pyarrow that keeps what is written to it, piece by piece."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []

    def write(self, data: Any) -> int:
        piece = memoryview(data).cast("B")
        self.pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def prepare_payload(payload: Mapping[str, Any]) -> Encoded:
    """Convert and check `payload` without writing it yet; arrays are not copied."""
    if not isinstance(payload, Mapping):
        raise PayloadError(f"expected a dict of named values, got {type(payload).__name__}")
    columns, fields = [], []
    for name, value in payload.items():
        check_name(name)
        column = _encode_value(name, value)
        columns.append(column)
        fields.append(pa.field(name, column.type))
    # Through a struct, since a batch made from no columns would have no rows.
    row = pa.Array.from_buffers(pa.struct(fields), 1, [None], children=columns)
    batch = pa.RecordBatch.from_struct_array(row)
    return Encoded(batch.replace_schema_metadata(METADATA))


def _encode_value(name: str, value: Any) -> pa.Array:
    try:
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) in SCALAR_KINDS:
            return _encode_scalar(value)
        if isinstance(value, np.ndarray | list | tuple):
            return _encode_array(name, value)
        return _encode_table(name, _as_table(name, value))
    except PayloadError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise PayloadError(f"{name!r} cannot be encoded: {type(error).__name__}") from error


def _encode_scalar(value: Any) -> pa.Array:
    if value is None:
        return pa.nulls(1)
    if isinstance(value, str):
        return text_array([value])
    if isinstance(value, bytes):
        ends = pa.py_buffer(np.array([0, len(value)], np.int64))
        return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(value)])
    kind = SCALAR_KINDS[type(value)]
    return plain_array(kind, np.array([value], ELEMENT_DTYPES[kind]))


def _encode_array(name: str, value: Any) -> pa.Array:
    if isinstance(value, np.ma.MaskedArray):
        raise PayloadError(f"{name!r} is a masked array; fill it or give a table with nulls")
    array = np.asarray(value)
    if array.ndim == 0:
        return _encode_value(name, array.item())
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype not in ELEMENT_KINDS or array.ndim > RANK_LIMIT:
        raise PayloadError(
            f"{name!r} must be an array of booleans, integers, float32 or float64 with 1 to "
            f"{RANK_LIMIT} dimensions; got {array.dtype} with {array.ndim}"
        )
    kind = pa.fixed_shape_tensor(ELEMENT_KINDS[array.dtype], list(array.shape))
    elements = plain_array(ELEMENT_KINDS[array.dtype], array.reshape(-1))
    # from_buffers, since FixedSizeListArray.from_arrays divides by a list size of zero.
    storage = pa.Array.from_buffers(kind.storage_type, 1, [None], children=[elements])
    return pa.ExtensionArray.from_storage(kind, storage)


def _as_table(name: str, value: Any) -> pa.Table:
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        value = value.to_frame(value.name if value.name is not None else "value")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        numbered = isinstance(value.index, pandas.RangeIndex) and value.index.name is None
        value = value if numbered else value.reset_index()
        return pa.Table.from_pandas(value, preserve_index=False)
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, dict):
        return _from_columns(name, value)
    if not isinstance(value, pa.Table):
        raise PayloadError(
            f"{name!r} has the type {type(value).__name__}; a payload holds numbers, texts, "
            "bytes, numpy arrays and tables"
        )
    return value


def _from_columns(name: str, columns: dict[Any, Any]) -> pa.Table:
    arrays = []
    for values in columns.values():
        if not isinstance(values, list | tuple | np.ndarray | pa.Array | pa.ChunkedArray):
            raise PayloadError(f"{name!r} must be a table: a dict of equally long lists")
        arrow = isinstance(values, pa.Array | pa.ChunkedArray)
        arrays.append(values if arrow else _list_column(values))
    if len({len(array) for array in arrays}) > 1:
        raise PayloadError(f"{name!r} must be a table: its lists differ in length")
    return pa.Table.from_arrays(arrays, names=list(columns))


def _list_column(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype in ELEMENT_KINDS:
        return plain_array(ELEMENT_KINDS[values.dtype], np.ascontiguousarray(values))
    return list_array(list(values))


def _encode_table(name: str, table: pa.Table) -> pa.Array:
    names = table.column_names
    if not names or len(names) > COLUMN_LIMIT or len(set(names)) != len(names):
        raise PayloadError(f"{name!r} must be a table with 1 to {COLUMN_LIMIT} distinct columns")
    for column in names:
        check_name(column)
    columns = [_encode_column(name, column, table.column(column)) for column in names]
    fields = [pa.field(column, array.type) for column, array in zip(names, columns, strict=True)]
    rows = pa.Array.from_buffers(pa.struct(fields), table.num_rows, [None], children=columns)
    offsets = pa.py_buffer(np.array([0, table.num_rows], np.int32))
    kind = pa.list_(pa.field("item", rows.type))
    return pa.Array.from_buffers(kind, 1, [None, offsets], children=[rows])


def _encode_column(name: str, column: str, chunks: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_null(chunks.type):
        return list_array([None] * len(chunks))
    if chunks.type not in COLUMN_KINDS:
        _check_text_column(name, column, chunks.type)
        chunks = chunks.cast(pa.string())
    if not chunks.num_chunks:
        return clean_array(pa.nulls(0, chunks.type))
    return clean_array(
        chunks.chunk(0) if chunks.num_chunks == 1 else pa.concat_arrays(chunks.chunks)
    )


def _check_text_column(name: str, column: str, kind: pa.DataType) -> None:
    texts = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(check(texts) for check in is_text):
        raise PayloadError(
            f"column {column!r} of {name!r} has the type {kind}; a table holds booleans, "
            "integers, float32, float64 and texts"
        )
