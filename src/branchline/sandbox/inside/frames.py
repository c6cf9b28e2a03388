"""The frames that host and sandbox exchange, the same on both sides.

One frame is one message on a SOCK_SEQPACKET socket: four bytes with the header's length, the
header (JSON), and the parts one after another. Parts that together exceed `INLINE_LIMIT` travel
otherwise. Large inputs flow through a stream socket of their own, into memory that the sandbox
keeps from round to round, or lie in a memfd that the host has filled and sealed. Large outputs flow
through the session's stream, into memory of the host's: nobody can change them there, and nothing
that the sandbox made is ever mapped.
"""

import contextlib
import fcntl
import json
import mmap
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

INLINE_LIMIT = 64 << 10
FRAME_LIMIT = 160 << 10
_ALIGNMENT = 64
_FLOWING, _WHOLE = "flow", b"."
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class FrameError(ValueError):
    """A frame that is not what the protocol allows; the text holds nothing from the frame."""


class TooLarge(FrameError):
    """A frame whose parts are larger than allowed."""


class Pieces(Protocol):
    """A part that is there only piece by piece, like `values.Encoded`."""

    size: int

    def pieces(self) -> Iterable[memoryview]:
        """Return the part's bytes in order; a piece may be valid until the next is asked for."""


class Outgoing(NamedTuple):
    """A frame ready to be sent: the message, and the memfd to send along and close after."""

    message: bytes
    descriptor: int | None


class Head(NamedTuple):
    """What a message says: its header, its parts' names and sizes, and how they come.

    `carried` is "inline", "flow" or "memory"; `body` is what the message holds beside its header.
    """

    header: dict[str, Any]
    sizes: list[tuple[str, int]]
    carried: str
    body: memoryview

    @property
    def total(self) -> int:
        """Return how many bytes the parts take, with what is between them."""
        return sum(_padded(size) for _, size in self.sizes)


class Incoming(NamedTuple):
    """A frame that was read: its header and its parts, in order."""

    header: dict[str, Any]
    parts: list[tuple[str, memoryview]]


def pack(header: Mapping[str, Any], parts: Sequence[tuple[str, Any]]) -> Outgoing:
    """Make a frame from parts that are bytes-like or `Pieces`."""
    sizes = [(name, size_of(part)) for name, part in parts]
    total = sum(_padded(size) for _, size in sizes)
    inline = total <= INLINE_LIMIT
    head = _head(header, sizes, inline)
    if inline:
        body = bytearray(total)
        _fill(memoryview(body), parts)
        return Outgoing(head + bytes(body), None)
    return Outgoing(head, _sealed(total, parts))


class Flow:
    """Parts on their way through a socket, from a thread of the host to the sandbox."""

    def __init__(self, end: socket.socket, parts: Sequence[tuple[str, Any]]) -> None:
        self._end, self._parts = end, parts
        self._begun = False

    def send(self) -> bool:
        """Send all parts; return False when the receiver is gone or `stop` was called.

        An error while a part is made is raised; the receiver then has no whole frame.
        """
        self._begun = True
        try:
            for _, part in self._parts:
                for piece in pieces_of(part):
                    self._end.sendall(piece)
                self._end.sendall(bytes(-size_of(part) % _ALIGNMENT))
            self._end.sendall(_WHOLE)
        except OSError:
            return False
        finally:
            self._end.close()
        return True

    def stop(self) -> None:
        """Wake up and end a `send` that waits for the receiver."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        if not self._begun:
            self._end.close()


def pack_flow(header: Mapping[str, Any], parts: Sequence[tuple[str, Any]]) -> tuple[Outgoing, Flow]:
    """Make a frame whose parts flow; they are made while they are sent, after the frame."""
    sizes = [(name, size_of(part)) for name, part in parts]
    head = _head(header, sizes, _FLOWING)
    ours, theirs = socket.socketpair()
    return Outgoing(head, theirs.detach()), Flow(ours, parts)


def pack_answer(
    header: Mapping[str, Any], parts: Sequence[tuple[str, Any]]
) -> tuple[bytes, Sequence[memoryview]]:
    """Return the message of an answer, and what is to flow after it, piece by piece."""
    sizes = [(name, size_of(part)) for name, part in parts]
    if sum(_padded(size) for _, size in sizes) <= INLINE_LIMIT:
        return pack(header, parts).message, ()
    pieces: list[memoryview] = []
    for _, part in parts:
        pieces += pieces_of(part)
        pieces.append(memoryview(bytes(-size_of(part) % _ALIGNMENT)))
    return _head(header, sizes, _FLOWING), pieces


def read_head(message: bytes, limit: int) -> Head:
    """Read a message strictly.

    Args:
        message: the whole message.
        limit: the most bytes all parts together may have.
    """
    if len(message) < 4:
        raise FrameError("the frame has no header")
    (length,) = struct.unpack_from("<I", message)
    header = _header(message[4 : 4 + length], length)
    sizes = _sizes(header.pop("parts", None))
    if sum(size for _, size in sizes) > limit:
        raise TooLarge("the frame's parts are larger than allowed")
    match header.pop("inline", None):
        case True:
            carried = "inline"
        case False:
            carried = "memory"
        case "flow":
            carried = "flow"
        case _:
            raise FrameError("the frame does not say how its parts come")
    return Head(header, sizes, carried, memoryview(message)[4 + length :])


def with_body(head: Head, body: memoryview) -> Incoming:
    """Take a frame's parts out of its body."""
    if len(body) != head.total:
        raise FrameError("the frame's parts do not fill it")
    return Incoming(head.header, list(_split(body, head.sizes)))


def unpack(message: bytes, descriptor: int | None, limit: int) -> Incoming:
    """Read a frame of the host's; the descriptor stays the caller's to close.

    Args:
        message: the whole message.
        descriptor: the memfd, or the socket, that came along, if any.
        limit: the most bytes all parts together may have.
    """
    head = read_head(message, limit)
    if head.carried == "inline":
        return with_body(head, head.body)
    if descriptor is None or not head.total:
        raise FrameError("the frame lacks its memory")
    if head.carried == "flow":
        return with_body(head, _received(descriptor, head.total))
    return with_body(head, _mapped(descriptor, head.total))


def _head(header: Mapping[str, Any], sizes: Sequence[tuple[str, int]], inline: bool | str) -> bytes:
    text = json.dumps({**header, "parts": sizes, "inline": inline}).encode()
    head = struct.pack("<I", len(text)) + text
    if len(head) + INLINE_LIMIT > FRAME_LIMIT:
        raise TooLarge("the frame has too many parts")
    return head


def _received(descriptor: int, total: int) -> memoryview:
    """Take what flows into memory of the C library's, which is used again once it is freed."""
    import numpy as np  # inside the sandbox, where it is loaded already

    memory = np.empty(total + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    body, at = memory.data[start : start + total], 0
    with socket.socket(fileno=os.dup(descriptor)) as end:
        while at < total:
            came = end.recv_into(body[at:])
            if not came:
                raise FrameError("the frame broke off")
            at += came
        # What came is whole and the very thing announced only once the sender has said so.
        if end.recv(1) != _WHOLE:
            raise FrameError("the frame broke off")
    return body.toreadonly()


def _header(text: bytes, length: int) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise FrameError("the frame's header is not JSON") from None
    if len(text) != length or not isinstance(header, dict):
        raise FrameError("the frame's header is not an object of its stated length")
    return header


def _sizes(given: object) -> list[tuple[str, int]]:
    sizes = []
    for entry in given if isinstance(given, list) else [None]:
        match entry:
            case [str(name), int(size)] if size >= 0 and size is not True and size is not False:
                sizes.append((name, size))
            case _:
                raise FrameError("the frame's list of parts is malformed")
    return sizes


def _split(body: memoryview, sizes: list[tuple[str, int]]) -> Iterator[tuple[str, memoryview]]:
    start = 0
    for name, size in sizes:
        yield name, body[start : start + size]
        start += _padded(size)


def _sealed(total: int, parts: Sequence[tuple[str, Any]]) -> int:
    descriptor = os.memfd_create("payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, total)
        _write_all(descriptor, parts)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _mapped(descriptor: int, total: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, total, mmap.MAP_SHARED, mmap.PROT_READ))


def _fill(target: memoryview, parts: Sequence[tuple[str, Any]]) -> None:
    start = 0
    for _, part in parts:
        at = start
        for piece in pieces_of(part):
            target[at : at + len(piece)] = piece
            at += len(piece)
        start += _padded(size_of(part))


def _write_all(descriptor: int, parts: Sequence[tuple[str, Any]]) -> None:
    """Write without mapping: a new page costs less, and other threads run meanwhile.

    Several large parts, such as parcels being opened, are written at the same time.
    """
    places, start = [], 0
    for _, part in parts:
        places.append((part, start))
        start += _padded(size_of(part))
    if sum(size_of(part) > INLINE_LIMIT for part, _ in places) < 2:
        for part, at in places:
            _write_part(descriptor, part, at)
        return
    from concurrent.futures import ThreadPoolExecutor  # not needed to start a sandbox

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(lambda place: _write_part(descriptor, *place), places))


def _write_part(descriptor: int, part: Any, at: int) -> None:
    for piece in pieces_of(part):
        done = 0
        while done < len(piece):
            done += os.pwrite(descriptor, piece[done:], at + done)
        at += len(piece)


def pieces_of(part: Any) -> Iterable[memoryview]:
    """Return the bytes of a part in order."""
    return part.pieces() if hasattr(part, "pieces") else (memoryview(part).cast("B"),)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def size_of(part: Any) -> int:
    """Return how many bytes a part has: bytes-like, or one that says its `size` itself."""
    return part.size if hasattr(part, "size") else memoryview(part).nbytes
