"""Rebuild Arrow arrays so that equal values have equal bytes and nothing hides beside them.

Arrow leaves open what lies under a null, in the spare bits of a bitmap and behind a slice. Here
those are always zero or absent: the same column always encodes alike, and a train cannot use
them to carry rows past the disclosure checks.

Nothing here calls `pa.array` or `pa.scalar`: both import pandas when it is installed, which
costs half a second and tens of megabytes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .arrow_guard import PayloadError
from .kinds import ELEMENT_KINDS, Elements, elements_of, unpack_bits


def plain_array(kind: pa.DataType, elements: Elements, valid: Elements | None = None) -> pa.Array:
    """Return elements (one-dimensional; `valid` marks those that are not null) as an array."""
    count = len(elements)
    if valid is not None:
        elements = np.where(valid, elements, elements.dtype.type(0))
    if kind == pa.bool_():
        elements = np.packbits(elements, bitorder="little")
    return pa.Array.from_buffers(kind, count, [_bitmap(valid), pa.py_buffer(elements)])


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """Return texts, or None for nulls, as a string array."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise PayloadError("a column of texts must be smaller than 2 GiB")
    return _string_array(offsets, pa.py_buffer(b"".join(encoded)), _present(texts))


def list_array(values: Sequence[Any]) -> pa.Array:
    """Return python values of one kind, None for nulls, as the narrowest column that fits.

    Raises:
        PayloadError: the values are not all booleans, all numbers or all texts.
    """
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return text_array(values)
    for dtype, fitting in ((bool, {bool}), (np.int64, {int}), (np.float64, {int, float})):
        if (kinds and kinds <= fitting) or (not kinds and dtype is np.float64):
            elements = np.array([0 if value is None else value for value in values], dtype)
            return plain_array(ELEMENT_KINDS[elements.dtype], elements, _present(values))
    raise PayloadError("a table column must hold only booleans, only numbers or only texts")


def clean_array(array: pa.Array) -> pa.Array:
    """Return the same boolean, number or text column with nothing beside its values."""
    valid = _valid(array)
    if array.type == pa.string():
        return _clean_texts(array, valid)
    return plain_array(array.type, elements_of(array), valid)


def _clean_texts(array: pa.Array, valid: Elements | None) -> pa.Array:
    _, offset_buffer, text_buffer = array.buffers()
    if len(array) == 0 or text_buffer is None:
        return text_array(array.to_pylist())
    offsets = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    if valid is not None and np.any(np.diff(offsets)[~valid]):
        return text_array(array.to_pylist())
    texts = text_buffer.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    return _string_array(offsets - offsets[0], texts, valid)


def _string_array(offsets: Elements, texts: pa.Buffer, valid: Elements | None) -> pa.Array:
    buffers = [_bitmap(valid), pa.py_buffer(offsets.astype(np.int32)), texts]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def _present(values: Sequence[Any]) -> Elements | None:
    """Return which values are not None, or None when all are."""
    present = np.array([value is not None for value in values], bool)
    return None if present.all() else present


def _bitmap(valid: Elements | None) -> pa.Buffer | None:
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _valid(array: pa.Array) -> Elements | None:
    buffer = array.buffers()[0]
    if array.null_count == 0 or buffer is None:
        return None
    return unpack_bits(buffer, array.offset, len(array))
