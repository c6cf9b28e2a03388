"""Look at an Arrow IPC stream's frames before Arrow does, and refuse the dangerous ones.

Source: Arrow columnar format 1.5, "Encapsulated message format" and "IPC streaming format";
`Message.fbs` for the slots named below. Arrow itself verifies the flatbuffers again; this reader
only follows the few offsets it needs, and every one of them is bounded by the data.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_CONTINUATION = 0xFFFFFFFF
_METADATA_LIMIT = 4 << 20
_V5 = 4
_SCHEMA, _RECORD_BATCH = 1, 3
_VERSION_SLOT, _KIND_SLOT, _HEADER_SLOT, _BODY_SLOT = 0, 1, 2, 3
_BUFFERS_SLOT, _COMPRESSION_SLOT = 2, 3


class PayloadError(ValueError):
    """Say why bytes or values are not a payload; the text never holds a value."""


class _Message(NamedTuple):
    kind: int
    metadata: memoryview
    header: int
    body_length: int


def check_stream(data: memoryview) -> None:
    """Refuse `data` unless it is one schema, one uncompressed record batch, and an end mark.

    A stream that passes needs no memory beyond itself to be read: buffers are not compressed, lie
    inside the body, are aligned to 8 bytes and do not overlap (so that no byte counts twice).
    """
    messages = list(_messages(data))
    if [message.kind for message in messages] != [_SCHEMA, _RECORD_BATCH]:
        raise PayloadError("a payload must hold one schema and one record batch, nothing else")
    schema, batch = messages
    if schema.body_length:
        raise PayloadError("the payload's schema message must not have a body")
    _check_batch(batch)


def _messages(data: memoryview) -> Iterator[_Message]:
    position = 0
    for _ in range(3):
        mark, length = _unpack("<II", data, position)
        if mark != _CONTINUATION:
            raise PayloadError("the payload is not an Arrow stream of format version 5")
        position += 8
        if length == 0:
            break
        if length > _METADATA_LIMIT or length % 8 or position + length > len(data):
            raise PayloadError("the payload's message header has an impossible length")
        message = _read_message(data[position : position + length])
        position += length + message.body_length
        if position > len(data):
            raise PayloadError("the payload ends before its body does")
        yield message
    else:
        raise PayloadError("the payload has more messages than one schema and one record batch")
    if position != len(data):
        raise PayloadError("the payload has bytes after its end")


def _read_message(metadata: memoryview) -> _Message:
    root = _unpack("<I", metadata, 0)[0]
    if _scalar(metadata, root, _VERSION_SLOT, "<h") != _V5:
        raise PayloadError("the payload is not an Arrow stream of format version 5")
    body_length = _scalar(metadata, root, _BODY_SLOT, "<q")
    if body_length < 0 or body_length % 8:
        raise PayloadError("the payload's body has an impossible length")
    kind = _scalar(metadata, root, _KIND_SLOT, "<B")
    return _Message(kind, metadata, _table(metadata, root, _HEADER_SLOT), body_length)


def _check_batch(message: _Message) -> None:
    metadata = message.metadata
    if _field(metadata, message.header, _COMPRESSION_SLOT):
        raise PayloadError("the payload's buffers are compressed, which is not allowed")
    end = 0
    for offset, length in _buffers(metadata, message.header):
        if offset % 8 or length < 0 or offset < end or offset + length > message.body_length:
            raise PayloadError("the payload's buffers overlap or lie outside its body")
        end = offset + length


def _buffers(metadata: memoryview, table: int) -> Iterator[tuple[int, int]]:
    position = _field(metadata, table, _BUFFERS_SLOT)
    if not position:
        return
    vector = position + _unpack("<I", metadata, position)[0]
    count = _unpack("<I", metadata, vector)[0]
    if vector + 4 + 16 * count > len(metadata):
        raise PayloadError("the payload's buffer list is longer than its header")
    yield from struct.iter_unpack("<qq", metadata[vector + 4 : vector + 4 + 16 * count])


def _field(metadata: memoryview, table: int, slot: int) -> int:
    """Return the position of a flatbuffer table's field, or 0 when the field is absent."""
    vtable = table - _unpack("<i", metadata, table)[0]
    size = _unpack("<H", metadata, vtable)[0]
    if 4 + 2 * slot + 2 > size:
        return 0
    offset: int = _unpack("<H", metadata, vtable + 4 + 2 * slot)[0]
    return table + offset if offset else 0


def _table(metadata: memoryview, table: int, slot: int) -> int:
    position = _field(metadata, table, slot)
    if not position:
        raise PayloadError("the payload has a message without a header")
    target: int = position + _unpack("<I", metadata, position)[0]
    return target


def _scalar(metadata: memoryview, table: int, slot: int, form: str) -> int:
    position = _field(metadata, table, slot)
    value: int = _unpack(form, metadata, position)[0] if position else 0
    return value


def _unpack(form: str, data: memoryview, position: int) -> tuple[int, ...]:
    # struct reads negative positions from the end, which a hostile offset must not reach.
    if position < 0 or position + struct.calcsize(form) > len(data):
        raise PayloadError("the payload's message header points outside itself")
    return struct.unpack_from(form, data, position)
