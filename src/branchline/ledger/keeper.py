"""The keeper of a ledger's tag tree: makes it from the published entries, states it, proves by it.

Nothing of it is stored but the statements, which are entries. The tree follows from the bundles on
disk; the first need of it after a start makes it anew. Every bundle is hashed on the way, and the
root that they give is held against the signed one: a bit that flipped must not come into a
statement, since mirrors would refuse it, and it cannot be taken back.

A statement costs hashing the whole tree. So one is due at most once in 256 entries, however many
checkpoints there are, and only after a rest of thirty times what the last one took.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.audit import Read
from branchline.ledger.edge import Edge
from branchline.ledger.entry import Entry
from branchline.ledger.light import Stated
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.merkle import check_growth, leaf_hash
from branchline.ledger.proof.note import parse_key, parse_note
from branchline.ledger.statements import REACH, check_statement, make_statement, stated_in
from branchline.ledger.tagproof import statement_topic
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.tiles import TILE_WIDTH, bundle_name, decode_bundle
from branchline.ledger.topics import tag_of

_REST = 30.0
"""How many times as long as it took to make a tree no other one is made."""

_LOOKED_UP = 256
"""Numbers of statements that are looked for at once."""


class TagKeeper:
    """Keeps the tag tree of one ledger, for whoever writes that ledger.

    Memory is 24 bytes a tag, and nothing before the ledger has 256 entries.

    Args:
        log: The ledger.
        read: Gives a published file of it.
        identity: The ledger's own key.
        clock: Seconds, to measure how long making a tree takes.
    """

    def __init__(
        self, log: Log, read: Read, identity: Identity, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._read, self._identity, self._clock = log, read, identity, clock
        self._key = parse_key(log.vkey)
        self._lock = Lock()
        self._edge, self._tree = Edge(), TagTree()
        self._stated: Stated | None = None
        self._begun, self._least = False, 0
        self._rests_until = 0.0

    @property
    def stated(self) -> Stated | None:
        """The newest tree whose statement stands in the ledger; None before the first one."""
        return self._stated

    def due(self) -> Entry | None:
        """Return the statement that is to be entered now, if one is; call it off the event loop.

        Raises:
            Corrupt: The published entries are not those that were signed, or the last statement
                is not of their tree. Nothing is stated then.
        """
        with self._lock:
            goal = parse_checkpoint(parse_note(self._log.checkpoint()).text)
            number = goal.size // TILE_WIDTH
            if not self._begun:
                self._begin(number, goal)
            if number * TILE_WIDTH <= self._least or self._clock() < self._rests_until:
                return None
            started = self._clock()
            self._follow(number * TILE_WIDTH, goal)
            statement = make_statement(self._tree.head, self._key.name, self._identity)
            ended = self._clock()
            self._rests_until = ended + _REST * (ended - started)
            return statement

    def entered(self, position: int) -> None:
        """Take note of where the statement stands that was due last."""
        with self._lock:
            self._take(position)

    def passed_over(self) -> None:
        """Take note that the statement that was due last can never stand in the ledger."""
        with self._lock:
            self._least = self._tree.covered

    @property
    def covered(self) -> int:
        """How many entries the statement covers that was due last."""
        return self._tree.covered

    @property
    def rest(self) -> float:
        """Seconds until another statement may be due."""
        return max(0.0, self._rests_until - self._clock())

    def _begin(self, number: int, goal: Checkpoint) -> None:
        """Find the last statement, and make its tree anew."""
        found = self._last(number)
        if found is not None:
            covered, position = found
            self._follow(covered, goal)
            check_statement(self._log.leaf(position), position, self._tree.head, self._key)
            self._take(position)
        self._begun = True

    def _take(self, position: int) -> None:
        self._stated = Stated(position, self._tree.head, self._tree)
        self._least = self._tree.covered

    def _last(self, number: int) -> tuple[int, int] | None:
        """Return how many entries the last statement covers, and where it stands."""
        secret = statement_topic(self._key.name)
        for end in range(number + 1, 0, -_LOOKED_UP):
            tags = [tag_of(secret, n) for n in range(max(0, end - _LOOKED_UP), end)]
            there = self._log.tagged(tags)
            # An entry by somebody else may bear such a tag, and is no statement.
            for position in (there[tag] for tag in reversed(tags) if tag in there):
                covered = stated_in(self._log.leaf(position), position, self._key)
                if covered is not None:
                    return covered, position
        return None

    def _follow(self, covered: int, goal: Checkpoint) -> None:
        """Let the tree cover more entries, every one of them hashed and held against the root."""
        edge, added = self._edge.copy(), NewTags(self._tree.covered)
        for index in range(edge.size // TILE_WIDTH, covered // TILE_WIDTH):
            leaves, _ = decode_bundle(self._read(bundle_name(index, covered).path))
            edge.extend(map(leaf_hash, leaves))
            added.take(index * TILE_WIDTH, leaves)
        if edge.size != covered:
            raise Corrupt(f"The bundles up to {covered} do not hold so many entries")
        if covered:
            path = self._log.prove_growth(covered, goal.size)
            check_growth(covered, goal.size, edge.root(), goal.root, path)
        self._edge, self._tree = edge, self._tree.grown(added)


def check_reach(position: int, covered: int) -> None:
    """Refuse a statement that comes to stand so late that nobody would take it for one.

    Raises:
        Refused: It does.
    """
    if position // TILE_WIDTH - covered // TILE_WIDTH > REACH:
        raise Refused(f"A statement over {covered} entries cannot stand at {position}")
