"""A person's own topic at one central service: what he did is numbered, so that it can be shown whole.

The counter moves on only once an act is recorded. What becomes of an act that was sent when this
program was killed nobody knows; its number is simply tried again, and if the ledger has it already
the next one is taken. So there are no gaps.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.ledger.topics import tag_of

_PAUSE = 0.02


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    secret: bytes
    next: int = 0


class OwnTopic:
    """One person's topic at one central service.

    Args:
        file: Where its secret and its counter are kept; made when first used.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._here = asyncio.Lock()
        self._kept: _Kept | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep other programs of this person from taking a number until the block ends."""
        async with self._here:
            make_folder(self._file.parent)
            lock = self._file.with_suffix(".lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                while not _locked(descriptor):  # noqa: ASYNC110 - another process has it
                    await asyncio.sleep(_PAUSE)
                self._kept = self._read()
                yield
            finally:
                os.close(descriptor)

    @property
    def tag(self) -> str:
        """The tag of the next act; only while held."""
        assert self._kept is not None, "held"
        return tag_of(self._kept.secret, self._kept.next)

    def move_on(self) -> None:
        """Note, durably, that the present tag stands in the ledger; only while held."""
        assert self._kept is not None, "held"
        self._kept = msgspec.structs.replace(self._kept, next=self._kept.next + 1)
        write_durably(self._file, msgspec.json.encode(self._kept), mode=0o600)

    def read(self) -> tuple[bytes, int]:
        """Return the secret, and how many numbers are taken."""
        kept = self._read()
        return kept.secret, kept.next

    def _read(self) -> _Kept:
        if self._file.exists():
            return parse_json(self._file.read_bytes(), _Kept, what=f"file {self._file.name}")
        made = _Kept(secrets.token_bytes(32))
        make_folder(self._file.parent)
        write_durably(self._file, msgspec.json.encode(made), mode=0o600)
        return made


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
