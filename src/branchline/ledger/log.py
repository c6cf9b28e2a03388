"""The ledger itself: entries are sequenced in SQL, then published as static files.

An entry's way, and what a crash on it leaves behind:

1. ``append`` gives it a position in the caller's transaction. Rolled back: it never was.
   Committed: it is durable, and the rest happens at the next ``integrate`` or at the next start.
2. ``integrate`` writes bundles and tiles. A crash leaves files beyond the checkpoint's size: nobody
   reads them, the next attempt writes the same names with the same bytes, as rows never change.
3. It reads them back from disk, from the last signed edge to the new root, and signs that root.
   A wrong root, once signed, cannot be mended: logs died of one flipped bit.
4. It publishes the checkpoint by renaming it into place. From then on there are receipts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

import msgspec
from sqlalchemy import Connection, Engine

from branchline.foundation.errors import Conflict, Corrupt, NotFound, Unavailable
from branchline.ledger.audit import audit, read_edge, replay
from branchline.ledger.edge import Edge
from branchline.ledger.files import Files, put
from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.merkle import check_inclusion, growth_path, inclusion_path, leaf_hash
from branchline.ledger.proof.note import Signer, key_of
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.rows import append_row, metadata, read_rows
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import (
    CHECKPOINT,
    TILE_WIDTH,
    TileName,
    bundle_name,
    check_leaf,
    decode_bundle,
    edge_names,
    encode_bundle,
    parse_path,
)

_BATCH = 4096


class _Published(msgspec.Struct, frozen=True):
    """What the latest checkpoint covers; replaced whole, never changed.

    ``tail`` holds the entries of the partial bundle, which the next one repeats.
    """

    checkpoint: Checkpoint
    note: str
    edge: Edge
    tail: list[bytes]


class Log:
    """An append-only ledger: one process writes, anybody reads its files.

    Opening checks all of it, files against checkpoint and SQL rows against files, and integrates
    what was committed before a crash.

    Args:
        engine: The database; the table is made if missing.
        files: Where checkpoint, tiles and bundles are published.
        origin: The ledger's name, and its key's name: a URL prefix without scheme.
        signer: The ledger's key.

    Raises:
        Corrupt: Stored bytes are not what they must be; the first bad file or position is named.
    """

    def __init__(self, engine: Engine, files: Files, origin: str, signer: Signer) -> None:
        self._engine, self._files, self._signer = engine, files, signer
        self._key = key_of(origin, signer.public)
        self._tiles = StoredTiles(files.read)
        self._integrating = Lock()
        self._offered: set[bytes] = set()
        metadata.create_all(engine)
        paths = list(files.paths())
        self._published = self._reopen(paths) if CHECKPOINT in paths else self._begin(paths)
        self.integrate()

    @property
    def vkey(self) -> str:
        """The key that verifies this ledger's checkpoints, as one line of text."""
        return self._key.text

    def append(self, connection: Connection, leaf: bytes) -> int:
        """Give an entry the next position, within the caller's transaction.

        The entry is in the ledger exactly if that transaction commits. Positions are dense from 0.

        Raises:
            Refused: The entry has more than 65,535 bytes.
        """
        check_leaf(leaf)
        return append_row(connection, leaf)

    def integrate(self) -> Checkpoint:
        """Publish all committed entries under a new checkpoint, durably; return the latest one.

        Safe to call from any thread and at any time; without new entries nothing is written.

        Raises:
            Unavailable: The files cannot be written; entries stay committed, try again.
            Corrupt: What was read back is not what it must be; nothing was signed.
            Conflict: Another process has published a checkpoint of this ledger.
        """
        with self._integrating:
            more = True
            while more:
                leaves = read_rows(self._engine, self._published.checkpoint.size, _BATCH)
                if leaves:
                    self._grow(leaves)
                more = len(leaves) == _BATCH
            return self._published.checkpoint

    def checkpoint(self) -> bytes:
        """Return the latest checkpoint as the signed note that was published."""
        return self._published.note.encode()

    def receipt(self, position: int) -> Receipt:
        """Prove the entry at a position by the latest checkpoint; see ``prove_many``."""
        return self.prove_many([position])[0]

    def prove_many(self, positions: Iterable[int]) -> list[Receipt]:
        """Prove entries by one and the same checkpoint, the latest.

        Raises:
            Unavailable: A position is not integrated yet.
            NotFound: A position is negative.
            Corrupt: A stored tile does not lead to the root; no wrong receipt is handed out.
        """
        published = self._published
        subtree, head = self._tiles.subtrees(published.edge), published.checkpoint
        receipts = []
        for position in positions:
            _check_integrated(position, head.size)
            path = inclusion_path(subtree, position, head.size)
            check_inclusion(subtree(0, position), position, head.size, path, head.root)
            receipts.append(Receipt(position, path, published.note))
        return receipts

    def prove_growth(self, old: int) -> tuple[bytes, ...]:
        """Prove that the latest checkpoint continues the one of an earlier size.

        Args:
            old: The earlier size, at least 1 and at most the latest.

        Raises:
            NotFound: There is no such earlier size.
        """
        edge = self._published.edge
        if not 1 <= old <= edge.size:
            raise NotFound(f"This ledger of {edge.size} entries has no earlier size {old}")
        return growth_path(self._tiles.subtrees(edge), old, edge.size)

    def _begin(self, paths: Iterable[str]) -> _Published:
        """Sign the empty ledger, so that later a missing checkpoint means a loss."""
        if read_rows(self._engine, 0, 1) or any(map(parse_path, paths)):
            raise Corrupt(
                f"The ledger {self._key.name} has entries but no checkpoint",
                advice="Restore its files from a backup",
                detail={"file": CHECKPOINT},
            )
        return self._publish(Edge(), [])

    def _reopen(self, paths: Iterable[str]) -> _Published:
        """Check the stored ledger and return what is published."""
        read = self._files.read
        found = audit(read, paths, self._key, seen=self._compare_rows)
        size = found.checkpoint.size
        bundle = bundle_name(size // TILE_WIDTH, size)
        tail = decode_bundle(read(bundle.path))[0] if bundle.width else []
        return _Published(found.checkpoint, read(CHECKPOINT).decode(), found.edge, tail)

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

    def _grow(self, leaves: Sequence[bytes]) -> None:
        """Write what these leaves add, read it back, publish, and clear what it replaced."""
        old = self._published
        edge = old.edge.copy()
        full = edge.extend(map(leaf_hash, leaves))
        known = set(edge_names(old.edge.size))
        partial = [(name, data) for name, data in edge.partial_tiles() if name not in known]
        pending = [*old.tail, *leaves]
        tiles = {name.path: data for name, data in full + partial}
        with _writing():
            put(self._files, tiles | _bundles(pending, edge.size))
        tail = pending[len(pending) - edge.size % TILE_WIDTH :]
        self._published = self._publish(self._read_back(edge), tail)
        with _writing():
            self._drop_partial([name for name, _ in full])

    def _read_back(self, grown: Edge) -> Edge:
        """Return the new edge as the bytes on disk give it, from the last signed edge on."""
        old = self._published.checkpoint
        edge = read_edge(self._files.read, old.size)
        if edge.root() != old.root:
            raise Corrupt(
                f"The tiles at the right edge do not give the signed root of {old.size} entries",
                advice="Audit the ledger, and restore its files from a backup",
                detail={"position": old.size - 1},
            )
        return replay(self._files.read, edge, Checkpoint(old.origin, grown.size, grown.root()))

    def _publish(self, edge: Edge, tail: list[bytes]) -> _Published:
        """Sign and publish a checkpoint over an edge."""
        checkpoint = Checkpoint(self._key.name, edge.size, edge.root())
        note = sign_checkpoint(checkpoint, self._signer).full_text
        if edge.size and self._files.read(CHECKPOINT) not in self._offered | {self.checkpoint()}:
            raise Conflict(
                f"Another process has published a checkpoint of {self._key.name}",
                advice="Let only one process write a ledger, and restart it",
            )
        # Where the disk fails after the rename, readers already see what we count as unpublished.
        self._offered.add(note.encode())
        with _writing():
            put(self._files, {CHECKPOINT: note.encode()})
        self._offered.clear()
        return _Published(checkpoint, note, edge, tail)

    def _drop_partial(self, full: Iterable[TileName]) -> None:
        """Remove the partial forerunners of full tiles and bundles (tlog-tiles, "Partial Tiles").

        A crash leaves some of them: they are still true, and the audit still checks them.
        """
        for name in full:
            self._files.remove_folder(f"{name.path}.p")
            if name.level == 0:
                self._files.remove_folder(f"{TileName(None, name.index).path}.p")


def _bundles(leaves: Sequence[bytes], size: int) -> dict[str, bytes]:
    """Return the bundles that end a ledger of ``size``; the first leaf begins one."""
    first = (size - len(leaves)) // TILE_WIDTH
    return {
        bundle_name(first + at // TILE_WIDTH, size).path: encode_bundle(
            leaves[at : at + TILE_WIDTH]
        )
        for at in range(0, len(leaves), TILE_WIDTH)
    }


@contextmanager
def _writing() -> Iterator[None]:
    """Turn what the disk refuses into a sentence for a person."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The ledger cannot be written: {error.strerror or error}",
            advice="Committed entries are safe; make room or repair the disk, then try again",
        ) from error


def _check_integrated(position: int, size: int) -> None:
    if position < 0:
        raise NotFound(f"There is no position {position} in a ledger")
    if position >= size:
        raise Unavailable(
            f"Position {position} is not yet covered by a checkpoint (of {size} entries)",
            advice="Try again in a moment",
        )
