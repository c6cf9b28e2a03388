"""What one party has of the ledger: a copy of its files, entries that it can open, its topics.

Each program gathers its own (``station/holdings.py`` and so on); what can be told from it is the
same for all of them and stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.ledger.audit import Read, read_edge
from branchline.ledger.completeness import FullReader, TopicReport, read_topic
from branchline.ledger.entry import Entry, read_leaf
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.merkle import HASH_SIZE, inclusion_path, tree_root
from branchline.ledger.proof.note import parse_note
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import (
    CHECKPOINT,
    COSIGNED,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    bundle_name,
    decode_bundle,
    encode_bundle,
    parse_path,
)
from branchline.ledger.topics import tag_of
from branchline.study.document import StudyDocument


class Copy:
    """A copy of a ledger's files, looked at up to one checkpoint.

    Args:
        read: Gives a file by its path.
        note: The checkpoint to prove by, with its signatures; by default the latest of the files.

    Raises:
        Corrupt: The files hold another history than the checkpoint, or less.
        NotFound: There are no files.
    """

    def __init__(self, read: Read, note: bytes | None = None) -> None:
        self._read = read
        latest = _checkpoint(read(CHECKPOINT))
        self.note = note or read(CHECKPOINT)
        self.checkpoint: Checkpoint = _checkpoint(self.note)
        self.held = latest.size
        if self.checkpoint.size > latest.size:
            raise Corrupt(
                f"The checkpoint is of {self.checkpoint.size} entries; the copy has {latest.size}"
            )
        self._subtree = StoredTiles(read).subtrees(read_edge(read, latest.size))
        if tree_root(self._subtree, self.checkpoint.size) != self.checkpoint.root:
            raise Corrupt(
                f"The copy holds other {self.checkpoint.size} entries than the checkpoint says"
            )

    def file(self, path: str) -> bytes:
        """Return a tile or bundle as it was at the checkpoint; the copy may have grown since.

        Raises:
            NotFound: The checkpoint has no such file.
        """
        name = parse_path(path)
        if name is None:
            raise NotFound(f"The ledger has no file {path}")
        height = TILE_HEIGHT * (name.level or 0)
        width = min(TILE_WIDTH, (self.held >> height) - name.index * TILE_WIDTH)
        if name.width > width:
            raise NotFound(f"The ledger has no file {path}")
        data = self._read(TileName(name.level, name.index, width).path)
        if name.level is not None:
            return data[: name.width * HASH_SIZE]
        return encode_bundle(decode_bundle(data)[0][: name.width])

    def receipt(self, position: int) -> Receipt:
        """Prove the entry at a position by the checkpoint."""
        path = inclusion_path(self._subtree, position, self.checkpoint.size)
        return Receipt(position, path, self.note.decode())

    def leaf(self, position: int) -> bytes:
        """Return what stands at a position.

        Raises:
            NotFound: The checkpoint does not reach that far.
        """
        if not 0 <= position < self.checkpoint.size:
            raise NotFound(f"There is no entry {position} among the {self.checkpoint.size}")
        return self._bundle(position // TILE_WIDTH)[position % TILE_WIDTH]

    def leaves(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield positions and what stands there, from a position on."""
        size = self.checkpoint.size
        for index in range(first // TILE_WIDTH, -(-size // TILE_WIDTH)):
            for at, leaf in enumerate(self._bundle(index), index * TILE_WIDTH):
                if first <= at < size:
                    yield at, leaf

    def complete(self) -> FullReader:
        """Return a reader that has looked at every entry, each of them hashed."""
        return FullReader(self.file, self.checkpoint)

    def _bundle(self, index: int) -> list[bytes]:
        leaves, _ = decode_bundle(self._read(bundle_name(index, self.held).path))
        return leaves


@dataclass(frozen=True)
class Known:
    """An entry that a party can open, in part or whole.

    Args:
        entry: With the disclosures at hand.
        party: Who made it, as far as is known.
        keys: That party's keys; None if nobody here knows them.
    """

    entry: Entry
    party: str = ""
    keys: PublicKeys | None = None

    @property
    def act(self) -> acts.Act | None:
        """The act it is, if enough of it is disclosed and its signature holds."""
        if self.keys is None:
            return None
        try:
            return acts.read_act(self.entry, self.keys)
        except BranchlineError:
            return None


@dataclass(frozen=True)
class OwnTopic:
    """A topic whose secret a party has.

    Args:
        name: What it is about.
        secret: Its 32 bytes.
        positions: Where the entry of each number stands; None for one that is not in the ledger
            yet, as far as is known.
    """

    name: str
    secret: bytes
    positions: Sequence[int | None]

    def count(self, size: int) -> int:
        """Return how many numbers are known to be taken among so many entries of the ledger."""
        within = [n for n, at in enumerate(self.positions) if at is not None and at < size]
        return max(within, default=-1) + 1


def numbered(
    name: str, secret: bytes, count: int, entries: Iterable[tuple[int, Entry]]
) -> OwnTopic:
    """Return a topic with the places of its numbers.

    Args:
        name: What it is about.
        secret: Its 32 bytes.
        count: How many of its numbers are taken.
        entries: Where this party's own entries stand.
    """
    numbers = {tag_of(secret, number): number for number in range(count)}
    places: list[int | None] = [None] * count
    for position, entry in entries:
        for tag in entry.tags:
            if tag in numbers:
                places[numbers[tag]] = position
    return OwnTopic(name, secret, places)


@dataclass
class Holdings:
    """Everything one party has of a ledger.

    Args:
        kind: ``central``, ``station`` or ``person``.
        name: The party's name.
        log_vkey: The ledger's key, known since enrolment.
        read: Gives a file of its copy of the ledger.
        note: The checkpoint to prove by; None for the latest of the copy.
        known: Gives the entries that it can open.
        topics: Gives the topics whose secrets it has.
        parties: The keys of everybody known, by name.
        studies: The studies it has a part in.
        erasures: Gives the words by which fields were erased, as far as it heard of them.
    """

    kind: str
    name: str
    log_vkey: str
    read: Read
    note: bytes | None
    known: Callable[[], Iterable[Known]]
    topics: Callable[[], list[OwnTopic]]
    parties: Mapping[str, PublicKeys] = field(default_factory=dict)
    studies: tuple[StudyDocument, ...] = ()
    erasures: Callable[[], Iterable[Entry]] = tuple

    @cached_property
    def copy(self) -> Copy:
        """The copy, as far as the checkpoint to prove by reaches."""
        return Copy(self.read, self.note)

    def file(self, path: str) -> bytes:
        """Return a file of the copy; the cosigned checkpoint is the one to prove by.

        Raises:
            NotFound: There is none of this name.
        """
        if path != COSIGNED:
            return self.read(path)
        if self.note is None:
            raise NotFound("No cosigned checkpoint is here")
        return self.note

    @cached_property
    def by_leaf(self) -> dict[str, Known]:
        """The entries that can be opened, by the digest of the leaf."""
        return {each.entry.id: each for each in self.known()}

    @cached_property
    def names(self) -> dict[str, str]:
        """The names of the parties known, by key id."""
        return {keys.id: name for name, keys in self.parties.items()}

    def signer(self, leaf: bytes) -> tuple[str, str]:
        """Return the key id that a leaf names, and whose that is; empty texts if it is no entry."""
        try:
            kid = read_leaf(leaf).kid
        except Corrupt:
            return "", ""
        return kid, self.names.get(kid, "")

    def located(self, wanted: Callable[[Known], bool]) -> Iterator[tuple[int, Known]]:
        """Yield where entries stand that can be opened, of those wanted, in the ledger's order."""
        ids = {name for name, each in self.by_leaf.items() if wanted(each)}
        for position, leaf in self.copy.leaves():
            name = digest_of(leaf)
            if name in ids:
                yield position, self.by_leaf[name]

    def topic(self, name: str) -> OwnTopic:
        """Return a topic by its name.

        Raises:
            NotFound: Its secret is not here.
        """
        for each in self.topics():
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.topics()) or "none"
        raise NotFound(
            f"{self.name} has no secret of a topic {name!r}", advice=f"There are: {known}"
        )

    def prove(self, topic: OwnTopic) -> TopicReport:
        """Find all entries of a topic, and whatever is wrong with them.

        Only this party writes into its topics: an entry by anybody else is none of them.
        """
        own = {self.parties[self.name].id: self.parties[self.name]}
        least = topic.count(self.copy.checkpoint.size)
        return read_topic(self.copy.complete(), topic.secret, own, at_least=least)


def _checkpoint(note: bytes) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)
