"""Light reading: all entries of a topic, shown to somebody who holds no copy of the ledger.

One answer holds everything: a checkpoint, the statement of a tag tree's head, a proof by that tree,
and the entries it names, each with its path to the root. Whoever has the topic's secret and the
policy checks it offline. Who makes it may be anybody, the ledger's own keeper included; but he
learns which tags belong together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated

import msgspec

from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.jws import verify_jws
from branchline.foundation.keys import PublicKeys
from branchline.ledger.completeness import LightReader, TopicReport, read_topic
from branchline.ledger.entry import ENTRY_TYPE
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.merkle import check_inclusion, leaf_hash
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.proof.policy import Policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.statements import check_statement, keys_of, stated_in
from branchline.ledger.tagproof import Count, TagProof, TagTreeHead, parse_tag_proof
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.tiles import TILE_WIDTH
from branchline.ledger.topics import LOOK_AHEAD, is_tag, tag_of

MOST_TAGS = 1024
"""How many tags are asked for at once, at most."""


class LightWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The question of a light reader.

    Args:
        tags: What it is to be shown of which entries bear them.
    """

    tags: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MOST_TAGS)]

    def check(self) -> None:
        """Refuse what is no tag.

        Raises:
            Refused: One of them is not 16 bytes in base64url.
        """
        if not all(map(is_tag, self.tags)):
            raise Refused("A light reader asked for something that is no tag")


class LightEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry as a light reader is shown it.

    Args:
        position: Where it stands.
        leaf: What stands there.
        path: From its hash to the checkpoint's root.
    """

    position: Count
    leaf: bytes
    path: tuple[bytes, ...]


class LightProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries bear some tags, and that no others do, as far as a tag tree reaches.

    Args:
        checkpoint: A note with its signature lines.
        head: The head of the tag tree.
        statement: The entry that states it.
        tags: The proof by the tree (``tagproof``).
        entries: Every entry that the proof says bears one of the tags.
    """

    checkpoint: str
    head: TagTreeHead
    statement: LightEntry
    tags: bytes
    entries: tuple[LightEntry, ...]

    def accepted(self, policy: Policy) -> bool:
        """Tell whether enough witnesses vouched for it by now, whatever else is to be checked."""
        verified = policy.open_signed(self.checkpoint.encode(errors="replace"))
        return policy.satisfied_by(verified.cosigned)


class LightTopic(msgspec.Struct, frozen=True):
    """What a light reader found of a topic.

    Args:
        report: The entries of the topic, and whatever is wrong with them.
        checkpoint: What it is proven by.
        proof: The answer that proves it, already checked.
    """

    report: TopicReport
    checkpoint: Checkpoint
    proof: LightProof

    @property
    def bytes(self) -> int:
        """The length of the answer on its way, compressed, without the entries that it shows."""
        bare = msgspec.structs.replace(self.proof, entries=())
        return len(zlib.compress(msgspec.json.encode(bare)))


class Stated(msgspec.Struct, frozen=True):
    """A tag tree that an entry of the ledger states.

    Args:
        position: Where that entry stands.
        head: What it states.
        tree: The tree.
    """

    position: int
    head: TagTreeHead
    tree: TagTree

    def tags_of(self, secret: bytes, at_least: int) -> list[str]:
        """Return the tags of a topic that have to be proven to show it whole.

        Args:
            secret: The topic's 32 secret bytes.
            at_least: How many numbers are known to be taken.
        """
        number, count = 0, at_least
        tags: list[str] = []
        while number < count + LOOK_AHEAD:
            tags.append(tag_of(secret, number))
            number += 1
            if self.tree.positions(tags[-1]):
                count = max(count, number)
        return tags

    def prove(self, tags: Iterable[str]) -> tuple[TagProof, list[int]]:
        """Prove where tags stand; returns the positions of all entries that bear one, too."""
        wanted = list(tags)
        found = {position for tag in wanted for position in self.tree.positions(tag)}
        return self.tree.prove(wanted), sorted(found)


def find_stated(leaves: Iterable[tuple[int, bytes]], log: VerifierKey) -> Stated:
    """Return the newest tag tree that is stated among all entries of a ledger.

    Args:
        leaves: Every position with what stands there, from the first on.
        log: The ledger's key.

    Raises:
        NotFound: None is stated.
        Corrupt: What is stated is not the tree of these entries.
    """
    tags, newest, covered = NewTags(), (-1, b""), 0
    for position, leaf in leaves:
        tags.take(position, [leaf])
        found = stated_in(leaf, position, log)
        if found is not None:
            newest, covered = (position, leaf), found
    position, leaf = newest
    if position < 0:
        raise NotFound(
            "This ledger states no tag tree yet",
            advice=f"It does from {TILE_WIDTH} entries on: until then read it whole, without --light",
        )
    tree = TagTree(tags.first_of(covered), covered)
    check_statement(leaf, position, tree.head, log)
    return Stated(position, tree.head, tree)


def shown_entry(receipt: Receipt, leaf: bytes) -> LightEntry:
    """Return an entry with its receipt's path."""
    return LightEntry(receipt.index, leaf, receipt.path)


def open_light(proof: LightProof, policy: Policy) -> tuple[LightReader, Checkpoint]:
    """Check an answer offline, and return what reads it.

    1. The policy accepts the checkpoint.
    2. The statement, signed by the ledger's own key, stands under its root, and states this head.
    3. Every entry shown stands under its root.
    4. The proof leads to the head's root.

    Whether the tags asked for are settled shows when they are read.

    Args:
        proof: From anybody.
        policy: Whose signatures count, from a source that is trusted.

    Raises:
        Corrupt: A step fails; the sentence says which.
    """
    checkpoint = policy.open(proof.checkpoint.encode(errors="replace")).checkpoint
    log = next(line.key for line in policy.logs if line.key.name == checkpoint.origin)
    stated = proof.statement
    for entry in (stated, *proof.entries):
        root = checkpoint.root
        check_inclusion(leaf_hash(entry.leaf), entry.position, checkpoint.size, entry.path, root)
    check_statement(stated.leaf, stated.position, proof.head, log)
    verify_jws(stated.leaf.decode("ascii"), keys_of(log), typ=ENTRY_TYPE)
    leaves = {entry.position: entry.leaf for entry in proof.entries}
    return LightReader(parse_tag_proof(proof.tags), proof.head, leaves), checkpoint


def read_lightly(
    ask: Callable[[LightWanted], LightProof],
    secret: bytes,
    actors: Mapping[str, PublicKeys],
    policy: Policy,
    *,
    known: Sequence[int | None] = (),
) -> LightTopic:
    """Find all entries of a topic without a copy of the ledger; who is asked need not be trusted.

    Args:
        ask: Gives the proof for some tags; it is checked here.
        secret: The topic's 32 secret bytes.
        actors: Who may write into the topic, by key id.
        policy: Whose signatures count.
        known: Where the entry of each number stands, as far as is known: numbers whose entries
            the tree covers have to be there.

    Raises:
        Corrupt: What was answered does not hold, or does not settle the topic.
        Refused: The topic is too large to be read lightly.
    """
    count = len(known)
    while True:
        wanted = count + LOOK_AHEAD
        if wanted > MOST_TAGS:
            raise Refused(
                f"The topic has more than {MOST_TAGS - LOOK_AHEAD} entries",
                advice="Read the whole ledger: leave out --light",
            )
        tags = tuple(tag_of(secret, number) for number in range(wanted))
        proof = ask(LightWanted(tags))
        reader, checkpoint = open_light(proof, policy)
        taken = max((n for n, tag in enumerate(tags) if reader.positions(tag)), default=-1) + 1
        if taken <= count:
            within = [n for n, at in enumerate(known) if at is not None and at < reader.covered]
            least = max(within, default=-1) + 1
            return LightTopic(read_topic(reader, secret, actors, at_least=least), checkpoint, proof)
        count = taken
