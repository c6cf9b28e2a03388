"""The archive of cosigned checkpoints: what witnesses vouched for once can be shown for good.

Who is asked, when, and how many are enough is for the program to say that knows its witnesses. What
it gathered is kept here: a log that could not show a checkpoint again which others hold would be
suspected, with reason, of having another history now.
"""

from __future__ import annotations

from threading import Lock

from sqlalchemy import Engine

from branchline.foundation.database import reading, writing
from branchline.foundation.errors import Conflict
from branchline.ledger.files import Files, put, words_for_disk
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.note import Note, VerifierKey, open_note, parse_note
from branchline.ledger.rows import cosigned_from, keep_cosigned, latest_cosigned
from branchline.ledger.tiles import COSIGNED


class Archive:
    """Checkpoints with the cosignatures they have.

    Args:
        engine: The database, whose tables are there.
        files: Where the latest of them is published.
        key: The log's key.
    """

    def __init__(self, engine: Engine, files: Files, key: VerifierKey) -> None:
        self._engine, self._files, self._key, self._lock = engine, files, key, Lock()
        with reading(engine) as connection:
            self._latest = latest_cosigned(connection)

    @property
    def latest(self) -> str | None:
        """The largest checkpoint kept, as a note."""
        return self._latest

    def from_size(self, size: int) -> str | None:
        """Return the smallest checkpoint kept of at least this size."""
        with reading(self._engine) as connection:
            return cosigned_from(connection, size)

    def keep(self, data: bytes) -> str:
        """Keep a cosigned checkpoint, durably; return it with all signature lines it now has.

        Lines that were kept before stay, so whoever vouched once is not forgotten.

        Raises:
            Corrupt: The log did not sign the note.
            Conflict: Another root of this size is kept.
            Unavailable: The file cannot be written; the checkpoint is kept all the same.
        """
        note = open_note(data, [self._key])
        size = parse_checkpoint(note.text).size
        with self._lock:
            before = self.from_size(size)
            known = parse_note(before.encode()) if before is not None else note
            if parse_checkpoint(known.text).size != size:
                known = note
            if known.text != note.text:
                raise Conflict(f"Another checkpoint of {size} entries is kept already")
            lines = {
                (line.name, line.key_id): line for line in (*known.signatures, *note.signatures)
            }
            whole = Note(note.text, tuple(lines.values())).full_text
            # First the archive, then the file: a crash in between leaves an older file, still true.
            with writing(self._engine) as connection:
                keep_cosigned(connection, size, whole)
            if self._latest is None or _size(self._latest) <= size:
                self._latest = whole
                with words_for_disk():
                    put(self._files, {COSIGNED: whole.encode()})
            return whole


def _size(note: str) -> int:
    return parse_checkpoint(parse_note(note.encode()).text).size
