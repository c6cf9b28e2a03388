"""A mirror: all entries of somebody else's log, with tiles computed from the entries alone.

Whoever runs one has the data that it vouches for, and serves them as static files, like the log.
What comes in is unverified until the root of a signed checkpoint follows from it; so:

1. ``add`` writes bundles and full tiles, durably, beyond the checkpoint that the mirror shows.
   Nobody reads them there. A crash leaves some of them; what has come in is counted in a file of
   its own now and then, so that a long catching up goes on where it was.
2. ``settle`` compares the root, writes the partial tiles, reads everything new back from disk, and
   only then shows the new checkpoint. A crash before: the mirror shows the old one.

Memory does not grow with the log: the right edge, and the entries of one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock

from branchline.foundation.errors import Conflict, Corrupt, NotFound, Unavailable
from branchline.ledger.audit import Read, edge_of_full, open_published, read_edge, replay
from branchline.ledger.edge import Edge
from branchline.ledger.files import Files, put, words_for_disk
from branchline.ledger.growth import Held, drop_partial, grow
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from branchline.ledger.proof.evidence import find_evidence_in
from branchline.ledger.proof.merkle import EMPTY_ROOT, Subtrees, leaf_hash, tree_root
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import (
    CHECKPOINT,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    bundle_name,
    check_leaf,
    decode_bundle,
    edge_names,
)

PIECE = 8192
"""The most entries that are fetched at once (as in tlog-mirror: 32 packages of 256)."""

RECEIVED = "received"
"""The name of the file that counts what came in beyond the checkpoint."""


class Mirror:
    """The mirror of one log, in files of its own.

    Opening reads the right edge and compares it with the checkpoint shown; the audit of everything
    is a command, as for the log.

    Args:
        files: Where it is kept; nobody else writes there.
        key: The log's key.

    Raises:
        Corrupt: What is stored does not fit the checkpoint that it shows.
    """

    def __init__(self, files: Files, key: VerifierKey) -> None:
        self._files, self.key, self._lock = files, key, RLock()
        self._tiles = StoredTiles(files.read)
        self._checkpoint, self._note, self._held = self._reopen()
        self._coming = self._received()

    @property
    def checkpoint(self) -> Checkpoint:
        """What the mirror shows: every entry of it is held, durably."""
        return self._checkpoint

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the data of exactly this checkpoint are held durably."""
        subtree = self.subtrees(checkpoint.size)
        return subtree is not None and tree_root(subtree, checkpoint.size) == checkpoint.root

    def subtrees(self, size: int) -> Subtrees | None:
        """Give the hashes of the first so many entries, None if fewer are held."""
        with self._lock:
            if size > self._checkpoint.size:
                return None
            return self._tiles.subtrees(self._held.edge)

    def lacks(self, size: int) -> range:
        """Return the positions of the next piece to fetch on the way to a size; none if all came."""
        with self._lock:
            first = self._coming.edge.size
            # Pieces end between bundles, so that no bundle is fetched or written twice.
            return range(first, max(first, min(size, first // PIECE * PIECE + PIECE)))

    def add(self, first: int, leaves: Sequence[bytes]) -> None:
        """Take entries in, durably; those that came before are passed over.

        Args:
            first: The position of the first of them, at most that of the next one lacking.
            leaves: The entries, at most ``PIECE``.

        Raises:
            Conflict: Entries before them are lacking.
            Refused: An entry has more than 65,535 bytes.
            Unavailable: The files cannot be written.
        """
        with self._lock:
            known = self._coming.edge.size - first
            if known < 0:
                raise Conflict(
                    f"The mirror lacks the entries from {self._coming.edge.size} on, before {first}"
                )
            new = leaves[known:]
            for leaf in new:
                check_leaf(leaf)
            growth = grow(self._coming, new, partial=False)
            with words_for_disk():
                put(self._files, growth.files)
                if growth.held.edge.size - self._checkpoint.size > PIECE:
                    self._count(growth.held.edge.size)
            self._coming = growth.held

    def settle(self, note: bytes) -> Checkpoint:
        """Show a checkpoint of the log, all of whose entries came in; return it.

        Raises:
            Corrupt: The log did not sign the note. Or the log contradicts itself: ``detail`` has
                the evidence. Or the entries that came do not give the root: they are forgotten,
                and have to be fetched anew.
            Unavailable: Entries are lacking, or the files cannot be written.
        """
        with self._lock:
            goal = open_checkpoint(note, self.key)
            if goal.size <= self._checkpoint.size:
                self._compare(goal, note)
                return goal
            if self._coming.edge.size > goal.size:
                self._forget()
            if self._coming.edge.size < goal.size:
                raise Unavailable(
                    f"The mirror lacks the entries from {self._coming.edge.size} to {goal.size}",
                    advice="Fetch them from the log",
                )
            if self._coming.edge.root() != goal.root:
                self._forget()
                raise Corrupt(f"The entries do not give the root of the {goal.size} signed")
            self._show(goal, note)
            return goal

    def _show(self, goal: Checkpoint, note: bytes) -> None:
        before, edge = self._held.edge, self._coming.edge
        known = set(edge_names(before.size))
        partial = {name.path: data for name, data in edge.partial_tiles() if name not in known}
        with words_for_disk():
            put(self._files, partial)
        try:
            checked = replay(self._files.read, before.copy(), goal)
        except Corrupt:
            self._forget()
            raise
        with words_for_disk():
            put(self._files, {CHECKPOINT: note})
        self._held = self._coming = Held(checked, self._coming.tail)
        self._checkpoint, self._note = goal, note.decode()
        with words_for_disk():
            drop_partial(self._files, _filled(before.size, goal.size))

    def _compare(self, seen: Checkpoint, note: bytes) -> None:
        """Compare a checkpoint of a size that is held with what is held."""
        subtree = self._tiles.subtrees(self._held.edge)
        if tree_root(subtree, seen.size) == seen.root:
            return
        evidence = find_evidence_in(subtree, self._note, note.decode())
        raise Corrupt(
            f"{seen.origin} signed other {seen.size} entries than this mirror holds of it",
            advice="Show the evidence to everybody who relies on that ledger",
            detail={"size": seen.size, "evidence": evidence.text if evidence else None},
        )

    def _reopen(self) -> tuple[Checkpoint, str, Held]:
        try:
            note = self._files.read(CHECKPOINT)
        except NotFound:
            return Checkpoint(self.key.name, 0, EMPTY_ROOT), "", Held(Edge())
        checkpoint = open_published(note, self.key)
        edge, tail = read_edge(self._files.read, checkpoint.size), []
        bundle = bundle_name(checkpoint.size // TILE_WIDTH, checkpoint.size)
        if bundle.width:
            tail = decode_bundle(self._files.read(bundle.path))[0]
        held = edge.tiles[0].rows[0] if edge.tiles else []
        if edge.root() != checkpoint.root or held != [leaf_hash(leaf) for leaf in tail]:
            raise Corrupt(
                f"The mirror of {checkpoint.origin} is not what its checkpoint says",
                advice="Audit it; remove its folder to fetch everything anew",
                detail={"file": CHECKPOINT},
            )
        return checkpoint, note.decode(), Held(edge, tail)

    def _received(self) -> Held:
        """Return what came in before a restart, as far as it was counted."""
        try:
            text = self._files.read(RECEIVED).decode(errors="replace")
            size = parse_decimal(text.removesuffix("\n"), "number of entries received")
            if size > self._checkpoint.size and size % TILE_WIDTH == 0:
                return Held(edge_of_full(self._files.read, size))
        except (NotFound, Corrupt):
            pass  # counted wrong or not at all: it is fetched again
        return self._held

    def _count(self, size: int) -> None:
        whole = size // TILE_WIDTH * TILE_WIDTH
        put(self._files, {RECEIVED: f"{whole}\n".encode()})

    def _forget(self) -> None:
        """Begin again after the checkpoint shown: what came after it is not what was signed."""
        self._coming = self._held
        with words_for_disk():
            put(self._files, {RECEIVED: b"0\n"})


def catch_up(mirror: Mirror, note: bytes, fetch: Callable[[range], Sequence[bytes]]) -> Checkpoint:
    """Fetch what a mirror lacks of a checkpoint, piece by piece, and settle.

    Args:
        mirror: The mirror.
        note: The checkpoint, as the log signed it.
        fetch: Gives the entries at positions, all of them or the first of them.

    Raises:
        Corrupt: As ``settle`` raises it.
        Unavailable: The log gave no entries where it must have some.
    """
    size = open_checkpoint(note, mirror.key).size
    while piece := mirror.lacks(size):
        leaves = fetch(piece)
        if not leaves:
            raise Unavailable(f"The log gave no entries from {piece.start} on")
        mirror.add(piece.start, leaves[: len(piece)])
    return mirror.settle(note)


def fetch_from(read: Read, size: int) -> Callable[[range], list[bytes]]:
    """Fetch entries from the bundles of a log of a size, wherever its files are."""

    def fetch(piece: range) -> list[bytes]:
        leaves: list[bytes] = []
        for index in range(piece.start // TILE_WIDTH, -(-piece.stop // TILE_WIDTH)):
            leaves += decode_bundle(read(bundle_name(index, size).path))[0]
        skipped = piece.start % TILE_WIDTH
        return leaves[skipped : skipped + len(piece)]

    return fetch


def _filled(old: int, new: int) -> list[TileName]:
    """Name the tiles that were partial at one size and are full at another."""
    names = []
    for name in edge_names(old):
        full = TileName(name.level, name.index)
        if new >> TILE_HEIGHT * ((name.level or 0) + 1) > name.index:
            names.append(full)
    return names
