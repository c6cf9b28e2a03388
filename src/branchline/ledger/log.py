"""The ledger itself: entries are sequenced in SQL, published as static files, and vouched for.

An entry's way, and what a crash on it leaves behind:

1. ``append`` gives it a position in the caller's transaction. Rolled back: it never was.
   Committed: it is durable, and the rest happens at the next ``integrate`` or at the next start.
2. ``integrate`` writes bundles and tiles, reads them back, signs the root, and publishes the
   checkpoint (``publishing``). From then on there are receipts signed by the ledger alone.
3. The program that runs the ledger asks witnesses to cosign that checkpoint, and hands what they
   answered to ``keep``. From then on there are receipts that nobody can take back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from threading import Lock

from sqlalchemy import Connection, Engine

from branchline.foundation.database import reading
from branchline.foundation.errors import NotFound, Unavailable
from branchline.ledger.archive import Archive
from branchline.ledger.entry import leaf_tags
from branchline.ledger.files import Files
from branchline.ledger.guard import Guard
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.evidence import Evidence, find_evidence_in
from branchline.ledger.proof.merkle import (
    Subtrees,
    check_inclusion,
    growth_path,
    inclusion_path,
    leaf_hash,
    tree_root,
)
from branchline.ledger.proof.note import Signer, parse_note
from branchline.ledger.proof.policy import Policy, key_policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.publishing import Publisher, SignedMemory
from branchline.ledger.rows import append_rows, find_tags, metadata, read_rows
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import check_leaf

_BATCH = 4096


class Log:
    """An append-only ledger: one process writes, anybody reads its files.

    Opening checks what is needed to go on (see ``publishing``), compares it with what others
    remember, and integrates what was committed before a crash, unless witnesses have to be heard.

    Args:
        engine: The database; the tables are made if missing.
        files: Where checkpoint, tiles and bundles are published.
        origin: The ledger's name, and its key's name: a URL prefix without scheme.
        signer: The ledger's key.
        policy: Of whose witnesses enough have to be heard before anything new is signed; None
            waits for nobody.
        witnessed: Checkpoints of this ledger that others kept, as notes.
        memory: Where the last signed checkpoint is remembered, outside of backups.

    Raises:
        Corrupt: Stored bytes are not what they must be (the first bad file or position is named),
            or others hold another history.
        Conflict: Others hold a longer history.
    """

    def __init__(
        self,
        engine: Engine,
        files: Files,
        origin: str,
        signer: Signer,
        *,
        policy: Policy | None = None,
        witnessed: Iterable[bytes] = (),
        memory: SignedMemory | None = None,
    ) -> None:
        metadata.create_all(engine)
        self._engine = engine
        self._tiles = StoredTiles(files.read)
        self._integrating = Lock()
        self._publisher = Publisher(engine, files, origin, signer, memory)
        policy = policy or key_policy(self._publisher.key)
        self._guard = Guard(self._publisher.key, policy, self._root_at, self._evidence_against)
        remembered = memory.load() if memory else None
        for note in filter(None, [*witnessed, remembered]):
            self._guard.check(note)
        self._archive = Archive(engine, files, self._publisher.key)
        if self._archive.latest:
            self._guard.check(self._archive.latest.encode())
        self._publisher.begin()
        try:
            self.integrate()
        except Unavailable:
            if not self._waits_for_witnesses():
                raise

    @property
    def vkey(self) -> str:
        """The key that verifies this ledger's checkpoints, as one line of text."""
        return self._publisher.key.text

    def append(self, connection: Connection, leaf: bytes) -> int:
        """Give an entry the next position; see ``append_many``."""
        return self.append_many(connection, [leaf])[0]

    def append_many(self, connection: Connection, leaves: Sequence[bytes]) -> range:
        """Give entries the next positions, within the caller's transaction.

        They are in the ledger exactly if that transaction commits. Positions are dense from 0.

        Raises:
            Refused: An entry has more than 65,535 bytes.
            Conflict: A tag of an entry stands in the ledger already; nothing was appended. Or the
                ledger must not go on, because others hold a longer history.
            Corrupt: The ledger must not go on, because others hold another history.
        """
        self._guard.check_may_append()
        for leaf in leaves:
            check_leaf(leaf)
        return append_rows(connection, leaves, [leaf_tags(leaf) for leaf in leaves])

    def integrate(self) -> Checkpoint:
        """Publish all committed entries under a new checkpoint, durably; return the latest one.

        Safe to call from any thread and at any time; without new entries nothing is written.

        Raises:
            Unavailable: The files cannot be written, or witnesses have to be heard first; entries
                stay committed, try again.
            Corrupt: What was read back is not what it must be; nothing was signed.
            Conflict: Another process has published a checkpoint of this ledger.
        """
        with self._integrating:
            more = True
            while more:
                leaves = read_rows(self._engine, self._publisher.current.checkpoint.size, _BATCH)
                if leaves:
                    self._guard.check_may_sign()
                    self._publisher.add(leaves)
                more = len(leaves) == _BATCH
            return self._publisher.current.checkpoint

    def checkpoint(self) -> bytes:
        """Return the latest checkpoint as the signed note that was published."""
        return self._publisher.current.note.encode()

    def tagged(self, tags: Collection[str]) -> dict[str, int]:
        """Return those of these tags that stand in the ledger, each with its entry's position."""
        with reading(self._engine) as connection:
            return find_tags(connection, list(tags))

    def leaf(self, position: int) -> bytes:
        """Return an entry that was committed, whether or not a checkpoint covers it.

        Raises:
            NotFound: There is none at this position.
        """
        found = read_rows(self._engine, position, 1) if position >= 0 else []
        if not found:
            raise NotFound(f"There is no entry at the position {position}")
        return found[0]

    # --- witnesses

    def confront(self, witness: str, note: bytes | None) -> None:
        """Compare the ledger with what a witness cosigned last of it.

        Args:
            witness: Its name in the policy; the caller has made sure that it is the one.
            note: The checkpoint it keeps, None if it never cosigned one of this ledger.

        Raises:
            Corrupt: The note is not this ledger's; or it shows another history, and nothing is
                signed from now on.
            Conflict: It shows a longer history; nothing is signed from now on.
        """
        if note is not None:
            self._guard.check(note)
        self._guard.heard(witness)

    def keep(self, note: bytes) -> None:
        """Keep a checkpoint of this ledger with its cosignatures, durably and for good, and show it.

        Kept before with other cosignatures, it has all of them from now on.

        Raises:
            Corrupt: The note is not this ledger's.
            Conflict: Another checkpoint of this size was kept.
            Unavailable: It is kept, but cannot be published now.
        """
        whole = self._archive.keep(note)
        # Static readers see the cosignatures on the latest checkpoint, unless a newer one is on its
        # way. A full disk does not matter here: the next checkpoint shows its own.
        if self._integrating.acquire(blocking=False):
            try:
                if self._publisher.current.checkpoint.text == parse_note(whole.encode()).text:
                    with suppress(Unavailable):
                        self._publisher.show(whole)
            finally:
                self._integrating.release()

    def cosigned(self, at_least: int | None = None) -> bytes | None:
        """Return a checkpoint that was kept with its cosignatures, or None if there is none.

        Args:
            at_least: The smallest one of at least this size; without it, the latest.
        """
        kept = self._archive.latest if at_least is None else self._archive.from_size(at_least)
        return kept.encode() if kept is not None else None

    # --- proofs

    def receipt(self, position: int) -> Receipt:
        """Prove the entry at a position by the latest checkpoint; see ``prove_many``."""
        return self.prove_many([position])[0]

    def prove_many(
        self, positions: Iterable[int], *, cosigned: bool = False, at: str | None = None
    ) -> list[Receipt]:
        """Prove entries by one and the same checkpoint, the latest.

        Args:
            positions: Where the entries stand.
            cosigned: By the latest checkpoint that was kept with its cosignatures.
            at: By this checkpoint of the ledger, a note.

        Raises:
            Unavailable: A position is not integrated, or not cosigned yet.
            NotFound: A position is negative, or ``at`` is of a larger size than the ledger has.
            Corrupt: A stored tile does not lead to the root (no wrong receipt is handed out), or
                ``at`` is not a checkpoint of this ledger.
        """
        published = self._publisher.current
        head, note = published.checkpoint, published.note
        if cosigned:
            at = self._archive.latest
            if at is None:
                raise Unavailable("No checkpoint is cosigned yet", advice="Try again in a moment")
        if at is not None:
            head, note = parse_checkpoint(parse_note(at.encode()).text), at
        if head.size > published.checkpoint.size:
            raise NotFound(
                f"This ledger of {published.checkpoint.size} entries has not {head.size}"
            )
        # What is complete in a tree is complete in every larger one: its hashes serve both.
        subtree = self._subtrees()
        receipts = []
        for position in positions:
            _check_covered(position, head.size)
            path = inclusion_path(subtree, position, head.size)
            check_inclusion(subtree(0, position), position, head.size, path, head.root)
            receipts.append(Receipt(position, path, note))
        return receipts

    def prove_growth(self, old: int, new: int | None = None) -> tuple[bytes, ...]:
        """Prove that a checkpoint continues the one of an earlier size.

        Args:
            old: The earlier size, at least 1.
            new: The later size; without it, the latest.

        Raises:
            NotFound: There are no such sizes.
        """
        latest = self._publisher.current.checkpoint.size
        new = latest if new is None else new
        if not 1 <= old <= new <= latest:
            raise NotFound(f"This ledger of {latest} entries has no sizes {old} to {new}")
        return growth_path(self._subtrees(), old, new)

    def _subtrees(self) -> Subtrees:
        return self._tiles.subtrees(self._publisher.current.held.edge)

    def _root_at(self, size: int) -> bytes | None:
        """Return the root at a size, committed entries that wait for integration included."""
        edge = self._publisher.current.held.edge
        if size <= edge.size:
            return tree_root(self._tiles.subtrees(edge), size)
        grown = edge.copy()
        while grown.size < size:
            leaves = read_rows(self._engine, grown.size, min(_BATCH, size - grown.size))
            if not leaves:
                return None
            grown.extend(map(leaf_hash, leaves))
        return grown.root()

    def _evidence_against(self, seen: Checkpoint, note: str) -> Evidence | None:
        current = self._publisher.current
        if not current.note or seen.size > current.checkpoint.size:
            return None
        return find_evidence_in(self._subtrees(), note, current.note)

    def _waits_for_witnesses(self) -> bool:
        try:
            self._guard.check_may_sign()
        except Unavailable:
            return True
        return False


def _check_covered(position: int, size: int) -> None:
    if position < 0:
        raise NotFound(f"There is no position {position} in a ledger")
    if position >= size:
        raise Unavailable(
            f"Position {position} is not yet covered by a checkpoint (of {size} entries)",
            advice="Try again in a moment",
        )
