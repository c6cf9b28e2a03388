"""Entries become files, and files a signed checkpoint: never over bytes that were not read back.

What a crash leaves behind:

1. While bundles and tiles are written: files beyond the checkpoint's size. Nobody reads them, and
   the next attempt writes the same names with the same bytes, as rows never change.
2. After they were read back and the root was signed, before the checkpoint was renamed into place:
   the same. A wrong root, once signed, cannot be mended: logs died of one flipped bit.
3. After that: partial files that full ones have replaced; they are still true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Engine

from branchline.foundation.errors import Conflict, Corrupt, NotFound
from branchline.ledger.audit import edge_of, open_published, read_edge, replay
from branchline.ledger.edge import Edge
from branchline.ledger.files import Files, put, words_for_disk
from branchline.ledger.growth import Held, drop_partial, grow
from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.merkle import EMPTY_ROOT
from branchline.ledger.proof.note import Signer, key_of
from branchline.ledger.rows import read_rows
from branchline.ledger.tiles import CHECKPOINT, TILE_WIDTH, bundle_name, decode_bundle, parse_path

RECENT = 1 << 16
"""The entries, at least, that are checked whole whenever a ledger is opened."""


class SignedMemory(Protocol):
    """Remembers the last checkpoint that was signed, outside of what a backup brings back.

    A ledger that was put back to an earlier state and goes on from there signs a second history.
    Where this memory lies on another volume than database and files, the ledger notices at start.
    """

    def load(self) -> bytes | None:
        """Return the note stored last, or None if none ever was."""
        ...

    def store(self, note: bytes) -> None:
        """Replace the note, durably."""
        ...


class Published(msgspec.Struct, frozen=True):
    """What the latest checkpoint covers; replaced whole, never changed.

    Args:
        checkpoint: The latest one.
        note: The same as a signed note; empty until the ledger was begun.
        held: What is in memory to let it grow.
    """

    checkpoint: Checkpoint
    note: str
    held: Held


class Publisher:
    """The files of a ledger, and the key that signs over them.

    Opening compares the signed root with the right edge on disk, and checks the last 65,536 entries
    or more whole: bundles, tiles and SQL rows. That is enough to go on. Whatever is signed next
    follows from this edge and from new entries alone; a bit that flipped further back can make no
    root wrong, and no receipt either, as each is checked against the root before it is given out.
    The whole audit reads all that was ever entered, grows with the ledger, and is a command.

    Args:
        engine: The database with the rows.
        files: Where checkpoint, tiles and bundles are published.
        origin: The ledger's name, and its key's name.
        signer: The ledger's key.
        memory: Told of every checkpoint before it is published.
    """

    def __init__(
        self,
        engine: Engine,
        files: Files,
        origin: str,
        signer: Signer,
        memory: SignedMemory | None = None,
    ) -> None:
        self._engine, self._files, self._signer, self._memory = engine, files, signer, memory
        self.key = key_of(origin, signer.public)
        self._offered: set[bytes] = set()
        try:
            self.current = self._reopen(files.read(CHECKPOINT))
        except NotFound:
            self._check_nothing_lost()
            self.current = Published(Checkpoint(origin, 0, EMPTY_ROOT), "", Held(Edge()))

    def begin(self) -> None:
        """Sign the empty ledger, unless it was: a missing checkpoint later means a loss."""
        if not self.current.note:
            self.current = self._publish(self.current.held)

    def add(self, leaves: Sequence[bytes]) -> None:
        """Write what these leaves add, read it back, publish, and clear what it replaced."""
        old = self.current
        growth = grow(old.held, leaves)
        with words_for_disk():
            put(self._files, growth.files)
        edge = self._read_back(old.checkpoint, growth.held.edge)
        self.current = self._publish(Held(edge, growth.held.tail))
        with words_for_disk():
            drop_partial(self._files, growth.full)

    def show(self, note: str) -> None:
        """Publish the latest checkpoint again with more signature lines."""
        self._put_checkpoint(note)
        self.current = msgspec.structs.replace(self.current, note=note)

    def _check_nothing_lost(self) -> None:
        if read_rows(self._engine, 0, 1) or any(map(parse_path, self._files.paths())):
            raise Corrupt(
                f"The ledger {self.key.name} has entries but no checkpoint",
                advice="Restore its files from a backup",
                detail={"file": CHECKPOINT},
            )

    def _reopen(self, note: bytes) -> Published:
        """Check the stored ledger, as far as it is needed to go on, and return what is published."""
        read, checkpoint = self._files.read, open_published(note, self.key)
        size = checkpoint.size
        recent = max(0, size - RECENT) // RECENT * RECENT
        start = edge_of(read, recent, checkpoint)
        edge = replay(read, start, checkpoint, seen=self._compare_rows)
        bundle = bundle_name(size // TILE_WIDTH, size)
        tail = decode_bundle(read(bundle.path))[0] if bundle.width else []
        return Published(checkpoint, note.decode(), Held(edge, tail))

    def _compare_rows(self, first: int, leaves: list[bytes]) -> None:
        """Check that the SQL rows are the entries published."""
        rows = read_rows(self._engine, first, len(leaves))
        if rows == leaves:
            return
        same = [row == leaf for row, leaf in zip(rows, leaves, strict=False)]
        position = first + [*same, False].index(False)
        raise Corrupt(
            f"The database row {position} of the ledger is not the entry published",
            advice="Restore the database and the ledger's files from one backup",
            detail={"position": position},
        )

    def _read_back(self, old: Checkpoint, grown: Edge) -> Edge:
        """Return the new edge as the bytes on disk give it, from the last signed edge on."""
        edge = read_edge(self._files.read, old.size)
        if edge.root() != old.root:
            raise Corrupt(
                f"The tiles at the right edge do not give the signed root of {old.size} entries",
                advice="Audit the ledger, and restore its files from a backup",
                detail={"position": old.size - 1},
            )
        return replay(self._files.read, edge, Checkpoint(old.origin, grown.size, grown.root()))

    def _publish(self, held: Held) -> Published:
        """Sign and publish a checkpoint over an edge."""
        checkpoint = Checkpoint(self.key.name, held.edge.size, held.edge.root())
        note = sign_checkpoint(checkpoint, self._signer).full_text
        if self._memory:
            with words_for_disk():
                self._memory.store(note.encode())
        self._put_checkpoint(note)
        return Published(checkpoint, note, held)

    def _put_checkpoint(self, note: str) -> None:
        ours = self._offered | {self.current.note.encode()}
        if self.current.note and self._files.read(CHECKPOINT) not in ours:
            raise Conflict(
                f"Another process has published a checkpoint of {self.key.name}",
                advice="Let only one process write a ledger, and restart it",
            )
        # Where the disk fails after the rename, readers already see what we count as unpublished.
        self._offered.add(note.encode())
        with words_for_disk():
            put(self._files, {CHECKPOINT: note.encode()})
        self._offered.clear()
