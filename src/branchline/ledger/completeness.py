"""Completeness: show that these are *all* entries of a topic, up to a witnessed size.

Two readers can: one who holds the ledger's files and scans them, and one who holds nothing and is
shown a proof by a tag tree. Neither tells anybody what the topic is; but whoever makes a proof for
the second learns which tags belong together, so it is asked of somebody who may know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.foundation.jws import verify_jws
from branchline.foundation.keys import PublicKeys
from branchline.ledger.audit import Read, replay
from branchline.ledger.edge import Edge
from branchline.ledger.entry import ENTRY_TYPE, read_leaf
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.tagproof import ProvenTags, TagProof, TagTreeHead
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.tiles import TILE_WIDTH, bundle_name, decode_bundle
from branchline.ledger.topics import LOOK_AHEAD, tag_of


class Reader(Protocol):
    """Tells where tags stand among the first ``covered`` entries of a ledger."""

    @property
    def covered(self) -> int:
        """How many entries were looked at."""
        ...

    def positions(self, tag: str) -> Sequence[int]:
        """Return the positions of all entries that bear a tag, ascending."""
        ...

    def leaf(self, position: int) -> bytes:
        """Return an entry's leaf."""
        ...


class FullReader:
    """Reads all entries, from a copy of the ledger's files; trusts nobody further.

    Every entry is hashed, so that those looked at are those under the checkpoint's root.

    Args:
        read: Gives a file of the ledger by its path.
        checkpoint: Whose signature and cosignatures were checked against a policy.

    Raises:
        Corrupt: The files are not those of the checkpoint.
    """

    def __init__(self, read: Read, checkpoint: Checkpoint) -> None:
        tags = NewTags()
        replay(read, Edge(), checkpoint, tags.take)
        self._read, self.covered = read, checkpoint.size
        self._tags = TagTree().grown(tags)

    def positions(self, tag: str) -> Sequence[int]:
        """Return the positions of all entries that bear a tag, ascending."""
        return self._tags.positions(tag)

    def leaf(self, position: int) -> bytes:
        """Return an entry's leaf."""
        name = bundle_name(position // TILE_WIDTH, self.covered)
        leaves, _ = decode_bundle(self._read(name.path))
        return leaves[position % TILE_WIDTH]


class LightReader:
    """Reads a proof by a tag tree; trusts that those who cosigned its head made the tree anew.

    Args:
        proof: The proof, from anybody.
        head: From an entry whose receipt and signer were checked.
        leaves: Entries by position, each of which a receipt was checked for.

    Raises:
        Corrupt: The proof does not hold.
    """

    def __init__(self, proof: TagProof, head: TagTreeHead, leaves: Mapping[int, bytes]) -> None:
        self._proven, self._leaves, self.covered = ProvenTags(proof, head), leaves, head.covered

    def positions(self, tag: str) -> Sequence[int]:
        """Return the positions of all entries that bear a tag, ascending."""
        return self._proven.positions(tag)

    def leaf(self, position: int) -> bytes:
        """Return an entry's leaf.

        Raises:
            Corrupt: There is none for this position.
        """
        if position not in self._leaves:
            raise Corrupt(f"The entry {position}, which a proof names, is not shown")
        return self._leaves[position]


class Kind(StrEnum):
    """What can be wrong with a topic."""

    GAP = "gap"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"


class Incident(msgspec.Struct, frozen=True):
    """Something that honest parties do not do.

    Args:
        kind: A gap: no entry bears the number's tag, but later ones are borne. A duplicate: more
            than one entry bears it, which the sequencer must refuse. Foreign: an entry
            bears it that none of the topic's actors signed.
        number: The number in the topic.
        positions: The entries concerned.
    """

    kind: Kind
    number: int
    positions: tuple[int, ...] = ()

    @property
    def says(self) -> str:
        """The incident in one sentence."""
        where = ", ".join(map(str, self.positions))
        return {
            Kind.GAP: f"No entry bears the tag number {self.number}, but later ones are there",
            Kind.DUPLICATE: f"The entries {where} bear the same tag, number {self.number}",
            Kind.FOREIGN: f"The entry {where} bears the tag number {self.number}, "
            "but none of the topic's actors signed it",
        }[self.kind]


class Found(msgspec.Struct, frozen=True):
    """An entry of a topic, signed by one of its actors.

    Args:
        number: Its number in the topic.
        position: Its place in the ledger.
        leaf: What stands there.
        kid: The key that signed it.
    """

    number: int
    position: int
    leaf: bytes
    kid: str


class TopicReport(msgspec.Struct, frozen=True):
    """All that a ledger has of a topic.

    Args:
        covered: Up to which size of the ledger.
        count: How many numbers are taken; the next ``LOOK_AHEAD`` are absent.
        entries: In the order of their numbers.
        incidents: What is wrong, in the order of their numbers.
    """

    covered: int
    count: int
    entries: tuple[Found, ...]
    incidents: tuple[Incident, ...]

    @property
    def complete(self) -> bool:
        """Whether these are all entries of the topic, each once.

        A foreign entry alone does not make it incomplete: who was refused a tag because somebody
        else had occupied it took the next.
        """
        return all(incident.kind is Kind.FOREIGN for incident in self.incidents)

    @property
    def in_order(self) -> bool:
        """Whether the entries stand in the ledger in the order of their numbers."""
        return all(left.position < right.position for left, right in pairwise(self.entries))


def read_topic(
    reader: Reader, secret: bytes, actors: Mapping[str, PublicKeys], *, at_least: int = 0
) -> TopicReport:
    """Find all entries of a topic, and everything that is wrong with them.

    Args:
        reader: Tells where tags stand.
        secret: The topic's 32 secret bytes.
        actors: Who may write into the topic, by key id; from a source that is trusted.
        at_least: How many numbers are known to be taken: the last of a topic can be left out
            unnoticed by nobody who keeps its counter.

    Raises:
        Corrupt: The reader cannot tell where a tag stands, or contradicts itself.
    """
    found: list[Found] = []
    incidents: list[Incident] = []
    number, count = 0, at_least
    while number < count + LOOK_AHEAD:
        tag = tag_of(secret, number)
        positions = reader.positions(tag)
        if positions:
            count = max(count, number + 1)
        for position in positions:
            leaf = reader.leaf(position)
            kid = _signer(leaf, tag, actors)
            if kid is None:
                incidents.append(Incident(Kind.FOREIGN, number, (position,)))
            else:
                found.append(Found(number, position, leaf, kid))
        if len(positions) > 1:
            incidents.append(Incident(Kind.DUPLICATE, number, tuple(positions)))
        number += 1
    incidents += _gaps(incidents, found, count)
    ordered = sorted(incidents, key=lambda incident: incident.number)
    return TopicReport(reader.covered, count, tuple(found), tuple(ordered))


def _signer(leaf: bytes, tag: str, actors: Mapping[str, PublicKeys]) -> str | None:
    """Return which of the actors signed a leaf with a tag, if one did."""
    read = read_leaf(leaf)
    if tag not in read.tags:
        raise Corrupt(f"An entry that is said to bear the tag {tag} does not")
    if read.kid not in actors:
        return None
    try:
        verify_jws(leaf.decode("ascii"), actors[read.kid], typ=ENTRY_TYPE)
    except Corrupt:
        return None
    return read.kid


def _gaps(incidents: Sequence[Incident], found: Sequence[Found], count: int) -> Iterator[Incident]:
    taken = {incident.number for incident in incidents} | {entry.number for entry in found}
    return (Incident(Kind.GAP, number) for number in range(count) if number not in taken)
