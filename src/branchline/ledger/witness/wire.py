"""What is said between a log and a witness, byte for byte (C2SP tlog-witness v1.0.0).

The same bytes serve in both directions: a log may post a request to a witness, or a witness, which
only opens connections outwards, may fetch the request and post the answer back.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from branchline.foundation.errors import Corrupt, Refused
from branchline.ledger.proof.checkpoint import parse_decimal
from branchline.ledger.proof.cosignature import Cosigned, cosignatures
from branchline.ledger.proof.merkle import HASH_SIZE
from branchline.ledger.proof.note import (
    MAX_NOTE,
    Note,
    VerifierKey,
    from_base64,
    parse_signatures,
    to_base64,
)

MAX_PROOF = 63
"""The most hashes in a request."""

MAX_REQUEST = MAX_NOTE + 8192
"""The most bytes a request may have; more need not be read."""

TEXT = "text/plain; charset=utf-8"
"""The content type of signature lines, and of refusals in words."""

SIZE = "text/x.tlog.size"
"""The content type of the size that a witness has, where a request named another."""


class Request(msgspec.Struct, frozen=True):
    """A log asks a witness to cosign.

    Args:
        old: The size that the witness cosigned last, as the log believes.
        path: The consistency path from that size to the checkpoint.
        note: The checkpoint, as signed by the log.
    """

    old: int
    path: tuple[bytes, ...]
    note: bytes

    @property
    def body(self) -> bytes:
        """The request as the body of ``POST add-checkpoint``."""
        hashes = "".join(f"{to_base64(item)}\n" for item in self.path)
        return f"old {self.old}\n{hashes}\n".encode() + self.note

    @property
    def origin(self) -> str:
        """The log that the checkpoint is of, before anything is verified."""
        return self.note.partition(b"\n")[0].decode(errors="replace")


class Answer(msgspec.Struct, frozen=True):
    """What a witness answers, as HTTP spells it.

    Args:
        status: 200, or why not.
        body: Signature lines, a size, or a sentence.
        content_type: Which of these it is.
    """

    status: int
    body: str
    content_type: str = TEXT


def parse_request(body: bytes) -> Request:
    """Read a request; its checkpoint is not looked into.

    Raises:
        Refused: Not of the form that tlog-witness gives it.
    """
    head, separator, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        if not separator or not first.startswith("old ") or len(lines) > MAX_PROOF:
            raise Corrupt("")
        old = parse_decimal(first.removeprefix("old "), "old size in a request")
        path = tuple(map(from_base64, lines))
        if any(len(item) != HASH_SIZE for item in path) or len(body) > MAX_REQUEST:
            raise Corrupt("")
    except (Corrupt, UnicodeDecodeError) as error:
        raise Refused(
            f"A request is 'old <size>', at most {MAX_PROOF} hashes, an empty line, a checkpoint"
        ) from error
    return Request(old, path, note)


def parse_answer(body: bytes, text: str, keys: Collection[VerifierKey]) -> list[Cosigned]:
    """Return the cosignatures in an answer by these witnesses; lines by others are ignored.

    Args:
        body: The lines answered with status 200.
        text: The checkpoint's text that was to be cosigned.
        keys: The witnesses' keys.

    Raises:
        Corrupt: Not signature lines, or one by these keys that does not hold.
    """
    try:
        lines = body.decode()
    except UnicodeDecodeError as error:
        raise Corrupt("The answer of a witness is not text") from error
    return cosignatures(Note(text, parse_signatures(lines)), keys)


def parse_size(body: bytes) -> int:
    """Return the size that a witness says it has (status 409).

    Raises:
        Corrupt: Not a plain decimal number with its line end.
    """
    text = body.decode(errors="replace")
    if not text.endswith("\n"):
        raise Corrupt("The size in the answer of a witness does not end its line")
    return parse_decimal(text[:-1], "size in the answer of a witness")
