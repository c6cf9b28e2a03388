"""Read what a kernel publishes: frames in, a message out; pure.

Only what is looked at is decoded, and whatever is not signed with the kernel's key is passed over.

Source: the Jupyter messaging protocol 5.4, "The wire protocol".
"""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
from jupyter_client.adapter import adapt
from jupyter_client.session import DELIM, Session

from branchline.foundation.decoding import decode_json
from branchline.project.notebook.cells import Message

_VERSION = "5."
_REMEMBERED = 1 << 16
"""So many signatures are remembered: a message that comes twice is somebody else's doing."""


class _Header(msgspec.Struct, frozen=True):
    msg_type: str
    version: str = ""


class _Parent(msgspec.Struct, frozen=True):
    msg_id: str = ""
    msg_type: str = ""


class Wire:
    """Reads the messages of one kernel.

    Args:
        key: What it signs with; empty if it does not sign.
        scheme: How, as its connection file says.

    Raises:
        TraitError: Nobody knows that way.
    """

    def __init__(self, key: bytes, scheme: str) -> None:
        self._session = Session(key=key, signature_scheme=scheme)
        self._auth: hmac.HMAC | None = self._session.auth
        self._seen: dict[bytes, None] = {}

    def message(self, frames: list[bytes], at: str) -> Message:
        """Return the message that the kernel signed.

        Args:
            frames: What came.
            at: When it was heard, RFC 3339.

        Raises:
            ValueError: It is none.
        """
        start = frames.index(DELIM) + 1
        if len(frames) < start + 5:
            raise ValueError("parts are missing")
        signature, header, parent, metadata, content = frames[start : start + 5]
        self._check(signature, (header, parent, metadata, content))
        try:
            said, cause = decode_json(header, _Header), decode_json(parent, _Parent)
        except msgspec.DecodeError as error:
            raise ValueError("not as the protocol has it") from error
        if not said.version.startswith(_VERSION):
            return self._adapted(header, parent, metadata, content, at)
        return Message(said.msg_type, at, cause.msg_id, cause.msg_type, self._plain(content))

    def _check(self, signature: bytes, parts: tuple[bytes, ...]) -> None:
        if self._auth is None:
            return
        made = self._auth.copy()
        for part in parts:
            made.update(part)
        if not hmac.compare_digest(signature, made.hexdigest().encode()):
            raise ValueError("not signed by the kernel")
        if signature in self._seen:
            raise ValueError("heard before")
        self._seen[signature] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _plain(self, frame: bytes) -> dict[str, Any]:
        try:
            read = decode_json(frame, Any)
        except msgspec.DecodeError:
            # Jupyter's own way knows what JSON does not: no number, halves of characters.
            read = self._session.unpack(frame)
        if not isinstance(read, dict):
            raise ValueError("not an object")
        return read

    def _adapted(
        self, header: bytes, parent: bytes, metadata: bytes, content: bytes, at: str
    ) -> Message:
        """Return a message of an older protocol as one of this."""
        said = self._plain(header)
        old: dict[str, Any] = {
            "header": said,
            "msg_id": said.get("msg_id"),
            "msg_type": said.get("msg_type"),
            "parent_header": self._plain(parent),
            "metadata": self._plain(metadata),
            "content": self._plain(content),
        }
        new = adapt(old)
        cause = new["parent_header"]
        return Message(
            kind=str(new["header"]["msg_type"]),
            at=at,
            parent=str(cause.get("msg_id", "")),
            parent_kind=str(cause.get("msg_type", "")),
            content=new["content"],
        )
