"""Reading typed values with msgspec, from any thread.

msgspec works a type's fields out the first time it reads one, and two threads that do so at the
same moment can bring the process down (seen with 0.22.0). Here the first time is one at a time.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from branchline.foundation.digest import Bytes

T = TypeVar("T")

_first = threading.Lock()
_known: set[Any] = set()


def known(kind: Any) -> Any:
    """Return a type unchanged, its fields worked out."""
    if kind not in _known:
        with _first:
            msgspec.json.Decoder(kind)
            _known.add(kind)
    return kind


def decode_json(data: Bytes | str, kind: type[T]) -> T:
    """Read JSON into a typed value; raises ``msgspec.DecodeError``."""
    value: T = msgspec.json.decode(data, type=known(kind))
    return value


def decode_toml(data: bytes, kind: type[T]) -> T:
    """Read TOML into a typed value; raises ``msgspec.DecodeError``."""
    value: T = msgspec.toml.decode(data, type=known(kind))
    return value


def convert(value: object, kind: type[T]) -> T:
    """Read plain values into a typed one; raises ``msgspec.ValidationError``."""
    converted: T = msgspec.convert(value, type=known(kind))
    return converted
