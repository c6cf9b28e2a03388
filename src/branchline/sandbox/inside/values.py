"""Turn a payload - named numbers, texts, arrays and tables - into Arrow bytes and back.

A payload is one Arrow IPC stream with exactly one record batch of exactly one row; each name is
one field. Scalars are plain columns, arrays `arrow.fixed_shape_tensor`, tables
`list<struct<...>>`, bytes `large_binary`. Encoding leaves no room for what is not a value: bits
under nulls, padding and metadata are always the same, so decoding foreign bytes and encoding
again forwards nothing but the values.
"""

from collections.abc import Mapping
from typing import Any

from .arrow_guard import PayloadError
from .decoding import read_payload
from .encoding import Encoded, prepare_payload
from .kinds import Payload, Value

__all__ = [
    "Encoded",
    "Payload",
    "PayloadError",
    "Value",
    "decode_payload",
    "encode_payload",
    "prepare_payload",
]


def encode_payload(payload: Mapping[str, Any]) -> bytes:
    """Return `payload` as one Arrow stream; equal payloads give equal bytes.

    Accepts beside the values themselves: numpy scalars, nested lists of numbers (an array),
    pandas frames and series (an index with a meaning becomes a column), record batches, and
    dicts of equally long lists (a table).

    Raises:
        PayloadError: a name or value that a payload cannot hold.
    """
    return prepare_payload(payload).to_bytes()


def decode_payload(data: Any, *, max_bytes: int, max_fields: int = 256) -> Payload:
    """Return the payload in `data` (bytes or another buffer), which may be hostile.

    Arrays and tables point into `data` and are read-only; nothing is decompressed, so reading
    takes little memory beyond `data` itself (booleans grow from bits to bytes).

    Args:
        data: the stream's bytes.
        max_bytes: refuse more bytes than this.
        max_fields: refuse more names than this.

    Raises:
        PayloadError: anything that `encode_payload` would not have written.
    """
    return read_payload(data, max_bytes=max_bytes, max_fields=max_fields)
