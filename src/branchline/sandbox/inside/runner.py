"""The process inside the sandbox: confine itself, say ready, then answer one round after another.

Nothing here protects the station: train code runs in this very process and may replace all of
it. The walls are outside; this is the honest train's comfort and the host's counterpart.
"""

import json
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .confine import confine
from .frames import FRAME_LIMIT, Incoming, pack_answer, unpack

_TRACE_LIMIT = 32 << 10
_NO_LIMIT = 1 << 62
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)
_NEVER = (1 << 31) - 1


class _Answer(NamedTuple):
    """What the host is told: a header, and parts that are bytes-like or `Pieces`."""

    header: dict[str, Any]
    parts: Sequence[tuple[str, Any]] = ()


def main() -> None:
    """Run until the host closes the connection: `runner DESCRIPTOR STREAM SETTINGS`."""
    # A train's subprocesses must not inherit the connection by accident.
    link, stream = (socket.socket(fileno=int(word)) for word in sys.argv[1:3])
    for end in (link, stream):
        end.set_inheritable(False)
    settings = json.loads(sys.argv[3])
    sys.argv = ["train"]
    confine(settings["rlimits"])
    _keep_memory()
    entry = _entry(settings)
    _send(link, stream, _Answer({"ready": True}))
    while _serve(link, stream, entry, settings["output_bytes"]):
        pass


def _serve(link: socket.socket, stream: socket.socket, entry: Any, output_bytes: int) -> bool:
    """Answer one round; nothing of it is in memory when the next one comes."""
    request = _receive(link)
    if request is None:
        return False
    _send(link, stream, _answer(entry, request, output_bytes))
    return True


def _keep_memory() -> None:
    """Have the C library keep freed memory for the next round instead of giving it back.

    Large arrays come and go every round. Memory fresh from the kernel is paid for page by page, on
    a virtual machine twice, and costs more than what is computed in it. What counts against the
    limit is the most that was ever in use, which stays the same.
    """
    import ctypes

    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc has it, others need not
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def _entry(settings: dict[str, Any]) -> Any:
    """Import what the entry kind needs now, so that the first round does not wait for it."""
    from . import values  # noqa: F401 - numpy and pyarrow

    entry, purpose = settings["entry"], settings["purpose"]
    tables = {name: Path(f"/data/{name}.arrow") for name in settings["tables"]}
    if entry["kind"] == "command":
        from .command import Command

        folders = Path("/in"), Path("/out")
        return Command(entry, purpose, tables, folders, settings["output_bytes"])
    from .functions import Functions

    if entry.get("frame", "pandas") == "pandas" and tables:
        import pandas  # noqa: F401
    return Functions(entry, purpose, Path("/train"), tables)


def _answer(entry: Any, request: Incoming, output_bytes: int) -> _Answer:
    from .outcome import BadOutput, OutputTooLarge, PayloadError

    number = request.header["round"]
    try:
        return _completed(number, entry.run(_round(request)), output_bytes)
    except OutputTooLarge:
        return _failed(number, "output-size")
    except MemoryError:
        return _failed(number, "memory")
    except (BadOutput, PayloadError):
        return _failed(number, "bad-output")
    except (Exception, SystemExit, KeyboardInterrupt):
        return _failed(number, "train-error")


def _round(request: Incoming) -> Any:
    from .outcome import Round
    from .values import decode_payload

    parameters: dict[str, Any] = {}
    state, updates = None, []
    for name, data in request.parts:
        if name == "parameters":
            parameters = json.loads(bytes(data))
        elif name == "state":
            state = decode_payload(data, max_bytes=_NO_LIMIT)
        else:
            updates.append(decode_payload(data, max_bytes=_NO_LIMIT))
    return Round(request.header["round"], parameters, state, updates)


def _completed(number: int, payloads: dict[str, Any], output_bytes: int) -> _Answer:
    from .outcome import OutputTooLarge
    from .values import prepare_payload

    parts = [
        (name, prepare_payload(payload))
        for name, payload in payloads.items()
        if payload is not None
    ]
    if sum(part.size for _, part in parts) > output_bytes:
        raise OutputTooLarge
    return _Answer({"round": number, "status": "completed"}, parts)


def _failed(number: int, reason: str) -> _Answer:
    trace = traceback.format_exc().encode(errors="replace")[-_TRACE_LIMIT:]
    return _Answer({"round": number, "status": "failed", "reason": reason}, [("trace", trace)])


def _send(link: socket.socket, stream: socket.socket, answer: _Answer) -> None:
    # What was printed before an answer belongs to the round that is being answered.
    for printed in (sys.stdout, sys.stderr):
        if printed is not None and not printed.closed:
            printed.flush()
    message, flowing = pack_answer(answer.header, answer.parts)
    link.sendall(message)
    for piece in flowing:
        stream.sendall(piece)


def _receive(link: socket.socket) -> Incoming | None:
    message, descriptors, _, _ = socket.recv_fds(link, FRAME_LIMIT, 1)
    if not message:
        return None
    descriptor = descriptors[0] if descriptors else None
    try:
        return unpack(message, descriptor, _NO_LIMIT)
    finally:
        if descriptor is not None:
            os.close(descriptor)
