"""Name what a payload may hold, and how each kind is written in Arrow."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from .arrow_guard import PayloadError

Value: TypeAlias = bool | int | float | str | bytes | np.ndarray[Any, Any] | pa.Table | None
Payload: TypeAlias = dict[str, Value]
Elements: TypeAlias = np.ndarray[Any, Any]

METADATA = {b"branchline": b"payload/1"}
RANK_LIMIT = 8
COLUMN_LIMIT = 4096
NAME_LIMIT = 256

_NUMBER_NAMES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
ELEMENT_KINDS = {
    np.dtype(name): pa.from_numpy_dtype(name)
    for name in (*_NUMBER_NAMES, "float32", "float64", "bool")
}
ELEMENT_DTYPES = {kind: dtype for dtype, kind in ELEMENT_KINDS.items()}
COLUMN_KINDS = (*ELEMENT_DTYPES, pa.string())
SCALAR_KINDS = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.large_binary(),
    type(None): pa.null(),
}


def check_name(name: object) -> None:
    """Refuse a name of a field or column unless it is a short printable text."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise PayloadError("names in a payload must be printable texts of 1 to 256 characters")


def unpack_bits(buffer: pa.Buffer, offset: int, length: int) -> Elements:
    """Return `length` booleans of a bit-packed Arrow buffer, from bit `offset` on."""
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=offset + length, bitorder="little")
    return bits[offset:].view(bool)


def elements_of(array: pa.Array) -> Elements:
    """Return the elements of a number array without copying, of a boolean array unpacked."""
    dtype, buffer = ELEMENT_DTYPES[array.type], array.buffers()[1]
    if len(array) == 0 or buffer is None:
        return np.zeros(len(array), dtype)
    if dtype == np.dtype(bool):
        return unpack_bits(buffer, array.offset, len(array))
    return np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)
