"""Tag trees: what is proved present is there, what is proved absent is not."""

from __future__ import annotations

import zlib
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, to_builtins
from tests.ledger.parties import name_of
from tests.ledger.vectors import COSIGNED_AT, ORIGIN, identity_of, log_identity

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt
from branchline.ledger.entry import make_entry
from branchline.ledger.light import LightEntry, LightProof
from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.cosignature import cosign
from branchline.ledger.proof.merkle import check_inclusion, leaf_hash, node_hash
from branchline.ledger.proof.note import Note, from_base64
from branchline.ledger.standalone.verify import Failed
from branchline.ledger.standalone.verify import TagProof as OtherProof
from branchline.ledger.statements import make_statement
from branchline.ledger.tagproof import (
    MAX_TAG_PROOF,
    TagLeaf,
    TagProof,
    TagTreeHead,
    check_tags,
    parse_tag_proof,
    statement_topic,
)
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.topics import LOOK_AHEAD, tag_of

SECRET = bytes([3]) * 32
ROOT = from_base64("FBS9JWhXYPWRM0L0hP0QtPsoggBXaN6ieG2u3hlllJE=")
TAGS = [tag_of(SECRET, number) for number in range(4)]

# Few distinct tags, so that neighbours, doubles and both ends of the tree are met often.
tags = st.integers(0, 30).map(lambda number: to_base64url(bytes([number * 8]) + bytes(15)))
ledgers = st.lists(tags, max_size=150)


def records(tagged: list[str]) -> bytes:
    """Write one tag for each position."""
    parts = (from_base64url(tag) + at.to_bytes(8) for at, tag in enumerate(tagged))
    return b"".join(parts)


def test_the_tree_of_the_vectors() -> None:
    """Three tags at positions 0, 2 and 4 give the published root, and the fourth is absent."""
    parts = (from_base64url(tag) + (2 * at).to_bytes(8) for at, tag in enumerate(TAGS[:3]))
    tree = TagTree(b"".join(parts), 5)
    assert tree.head == TagTreeHead(3, ROOT, 5)
    absent = tree.prove(TAGS[3:])
    assert [leaf.tag for leaf in absent.leaves] == [from_base64url(TAGS[n]) for n in (2, 0)]
    assert check_tags(absent, tree.head, TAGS[3:]) == {TAGS[3]: []}
    assert check_tags(tree.prove(TAGS), tree.head, TAGS) == dict(
        zip(TAGS, [[0], [2], [4], []], strict=True)
    )


@given(ledgers, st.lists(tags, max_size=5))
def test_proofs_say_what_a_scan_says(ledger: list[str], asked: list[str]) -> None:
    """For every tag, present or not, once or often, a proof gives its positions and no others."""
    tree = TagTree(records(ledger), len(ledger))
    scanned = {tag: [at for at, found in enumerate(ledger) if found == tag] for tag in asked}
    proof = parse_tag_proof(tree.prove(asked).data)
    assert check_tags(proof, tree.head, asked) == scanned
    assert {tag: tree.positions(tag) for tag in asked} == scanned


@given(ledgers, ledgers)
def test_a_grown_tree_is_the_tree_built_anew(first: list[str], second: list[str]) -> None:
    """Epoch after epoch gives the same root as all at once, in whatever order records come."""
    whole = records(first + second)
    added = NewTags(len(first))
    added.records += whole[24 * len(first) :]
    added.covered += len(second)
    grown = TagTree(records(first), len(first)).grown(added)
    backwards = b"".join(whole[at : at + 24] for at in range(len(whole) - 24, -1, -24))
    assert grown.head == TagTree(backwards, len(first + second)).head
    with pytest.raises(Corrupt, match="go on"):
        grown.grown(NewTags(grown.covered + 1))


@given(ledgers.filter(bool), st.data())
def test_a_single_leaf_is_proved_as_rfc_6962_does(ledger: list[str], data: st.DataObject) -> None:
    """The hashes are those of the inclusion path, from left to right instead of upwards."""
    tree = TagTree(records(ledger), len(ledger))
    place = data.draw(st.integers(0, tree.size - 1))
    record = tree.records[24 * place : 24 * place + 24]
    hashes: list[bytes] = []
    tree._collect(0, tree.size, [place], hashes)
    path = _upwards(place, tree.size, hashes)
    check_inclusion(leaf_hash(record), place, tree.size, path, tree.head.root)


def _upwards(place: int, size: int, hashes: list[bytes]) -> list[bytes]:
    """Put the hashes of one leaf's proof into the order of an inclusion path."""
    left, right, low, high = 0, len(hashes), 0, size
    path: list[bytes] = []
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if place < middle:
            right, high = right - 1, middle
            path.append(hashes[right])
        else:
            path.append(hashes[left])
            left, low = left + 1, middle
    return path[::-1]


@given(ledgers, st.lists(tags, min_size=1, max_size=4), st.data())
def test_a_proof_with_a_part_missing_proves_nothing(
    ledger: list[str], asked: list[str], data: st.DataObject
) -> None:
    """No leaf and no hash of a proof can be left out, doubled or changed."""
    tree = TagTree(records(ledger), len(ledger))
    proof = tree.prove(asked)
    parts: list[TagLeaf | bytes] = [*proof.leaves, *proof.hashes]
    if not parts:
        return
    at = data.draw(st.integers(0, len(parts) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "bit"]))
    part = parts[at]
    if change == "drop":
        del parts[at]
    elif change == "double":
        parts.insert(at, part)
    elif isinstance(part, bytes):
        parts[at] = _flip(part, data.draw(st.integers(0, 255)))
    else:
        flipped = _flip(part.place.to_bytes(8) + part.record, data.draw(st.integers(0, 255)))
        parts[at] = TagLeaf(int.from_bytes(flipped[:8]), flipped[8:])
    leaves = tuple(part for part in parts if isinstance(part, TagLeaf))
    hashes = tuple(part for part in parts if isinstance(part, bytes))
    with pytest.raises(Corrupt):
        check_tags(TagProof(leaves, hashes), tree.head, asked)


def _flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@given(ledgers, tags, tags)
def test_a_proof_answers_what_it_was_made_for(ledger: list[str], asked: str, other: str) -> None:
    """A true proof about one tag never gives a wrong answer about another: it may refuse."""
    tree = TagTree(records(ledger), len(ledger))
    try:
        found = check_tags(tree.prove([asked]), tree.head, [other])
    except Corrupt:
        return
    assert found[other] == tree.positions(other)


def test_a_hidden_double_is_noticed() -> None:
    """Whoever shows one of two entries with the same tag has to show the other."""
    tree = TagTree(records([TAGS[0], TAGS[0], TAGS[1]]), 3)
    places = [at for at in range(3) if tree._tag(at) == from_base64url(TAGS[0])]
    for shown in places:
        hashes: list[bytes] = []
        tree._collect(0, 3, [shown], hashes)
        with pytest.raises(Corrupt, match="settle"):
            check_tags(TagProof((tree._leaf(shown),), tuple(hashes)), tree.head, [TAGS[0]])
    assert check_tags(tree.prove([TAGS[0]]), tree.head, [TAGS[0]]) == {TAGS[0]: [0, 1]}


def test_a_tree_that_is_not_sorted_is_noticed_where_it_is_seen() -> None:
    """Leaves shown side by side out of order are refused."""
    tree = TagTree(records([TAGS[0], TAGS[1]]), 2)
    low, high = tree._leaf(0), tree._leaf(1)
    swapped = (TagLeaf(0, high.record), TagLeaf(1, low.record))
    root = node_hash(leaf_hash(high.record), leaf_hash(low.record))
    with pytest.raises(Corrupt, match="order"):
        check_tags(TagProof(swapped, ()), TagTreeHead(2, root, 2), [TAGS[0]])
    with pytest.raises(Corrupt, match="root"):
        check_tags(TagProof(swapped, ()), tree.head, [TAGS[0]])


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_leaf_put_in_is_noticed(place: int) -> None:
    """A leaf at a place that is taken, or beyond the end, is refused, though it fits the order."""
    tree = TagTree(records([TAGS[0], TAGS[1]]), 9)
    true = tree.prove(TAGS[:2])
    last = b"\xff" * 16 + (5).to_bytes(8)
    forged = TagProof((*true.leaves, TagLeaf(place, last)), true.hashes)
    with pytest.raises(Corrupt):
        check_tags(forged, tree.head, [to_base64url(last[:16])])
    with pytest.raises(Failed):
        OtherProof(forged.data, tree.size, tree.head.root, tree.covered)


def test_leaves_that_hide_behind_another_prove_nothing() -> None:
    """Places out of order would let a forged neighbour escape the hashing, and deny a tag."""
    tree = TagTree(b"".join(bytes([16 * n]) + bytes(15) + n.to_bytes(8) for n in range(8)), 8)
    hashes: list[bytes] = []
    tree._collect(0, 8, [0, 7], hashes)
    # The true leaf at place 1 begins with 16. These three would all count as the leaf at place 0.
    forged = [TagLeaf(at, bytes([n]) + bytes(23)) for at, n in ((1, 17), (0, 18), (0, 19))]
    proof = TagProof((tree._leaf(0), *forged, tree._leaf(7)), tuple(hashes))
    denied = to_base64url(bytes([16]) + bytes(15))
    with pytest.raises(Corrupt):
        check_tags(proof, tree.head, [denied])
    with pytest.raises(Failed):
        OtherProof(proof.data, tree.size, tree.head.root, tree.covered)


@pytest.mark.parametrize("places", [(1,), (0, 2)])
def test_a_place_beyond_the_tree_is_none(places: tuple[int, ...]) -> None:
    """The last leaf of a tree does not stand at another place by being said to."""
    tree = TagTree(records(TAGS[: len(places)]), 2)
    leaves = (TagLeaf(place, tree._leaf(at).record) for at, place in enumerate(places))
    proof = TagProof(tuple(leaves), ())
    with pytest.raises(Corrupt, match="root"):
        check_tags(proof, tree.head, TAGS[:1])
    with pytest.raises(Failed):
        OtherProof(proof.data, tree.size, tree.head.root, tree.covered)


def test_two_leaves_at_one_place_prove_nothing() -> None:
    """The second would escape the hashing."""
    tree = TagTree(records(TAGS[:1]), 2)
    forged = TagLeaf(0, b"\xff" * 16 + (1).to_bytes(8))
    proof = TagProof((tree._leaf(0), forged), ())
    with pytest.raises(Corrupt, match="root"):
        check_tags(proof, tree.head, TAGS[:1])
    with pytest.raises(Failed):
        OtherProof(proof.data, tree.size, tree.head.root, tree.covered)


def test_a_tree_of_nothing_has_a_head() -> None:
    """No tags of no entries: as good a statement as any."""
    head = TagTree().head
    assert convert(to_builtins(head), TagTreeHead) == TagTreeHead(0, head.root, 0) == head


def test_a_proof_too_long_is_not_read() -> None:
    """More than sixteen megabytes are refused unread."""
    assert MAX_TAG_PROOF == 16_777_216
    proof = TagProof((), (bytes(32),) * (MAX_TAG_PROOF // 32))
    with pytest.raises(Corrupt, match="malformed"):
        parse_tag_proof(proof.data)
    shorter = TagProof((), proof.hashes[:-1])
    assert parse_tag_proof(shorter.data).hashes == shorter.hashes
    with pytest.raises(Failed, match="malformed"):
        OtherProof(proof.data, 1, bytes(32), 1)
    with pytest.raises(Failed, match="does not lead"):
        OtherProof(shorter.data, 1, bytes(32), 1)


def test_a_tag_beyond_what_is_covered_is_refused() -> None:
    """A head cannot speak of entries that it says it does not cover."""
    tree = TagTree(records([TAGS[0], TAGS[1]]), 1)
    with pytest.raises(Corrupt, match="covered"):
        check_tags(tree.prove(TAGS[:2]), tree.head, TAGS[:2])
    far = TagTree(from_base64url(TAGS[0]) + (2**56).to_bytes(8), 1)
    with pytest.raises(Failed, match="covered"):
        OtherProof(far.prove(TAGS[:1]).data, 1, far.head.root, 1)


@given(st.binary(max_size=200).map(lambda data: b"bl-tag-proof/v1\n" + data) | st.binary())
def test_a_proof_is_read_strictly(data: bytes) -> None:
    """Whatever is read as a proof is written again as the same bytes."""
    try:
        proof = parse_tag_proof(data)
    except Corrupt:
        return
    assert proof.data == data


def test_the_tags_of_a_ledger_are_gathered_from_its_leaves() -> None:
    """Every tag of every entry counts, each once; what is no entry bears none."""
    actor = log_identity()
    leaves = [
        make_entry({}, actor, tags=TAGS[:2]).leaf,
        b"not an entry",
        make_entry({}, actor).leaf,
        make_entry({}, actor, tags=TAGS[2:3]).leaf,
    ]
    gathered = NewTags()
    gathered.take(0, leaves[:2])
    gathered.take(0, leaves[:3])
    gathered.take(3, leaves[3:])
    tree = TagTree().grown(gathered)
    assert tree.covered == 4
    assert [tree.positions(tag) for tag in TAGS] == [[0], [0], [3], []]
    with pytest.raises(Corrupt, match="continue"):
        gathered.take(5, leaves)


def test_everybody_finds_the_statements() -> None:
    """The topic of a ledger's tag trees follows from its name alone."""
    secret = statement_topic("log.example/branchline")
    assert secret.hex() == "865a0d1adc4eed2eb7cfb820de433d16cda22ffc081d0ec667bcde96762f25ed"


@pytest.mark.slow
def test_a_proof_over_a_million_tags_is_small() -> None:
    """What a light reader is sent stays below 20 KB: a topic of ten entries, proved complete."""
    chance = Random(1)
    count, own = 1_000_000, {chance.randrange(1_000_000): number for number in range(10)}
    tagged = (
        from_base64url(tag_of(SECRET, own[at])) if at in own else chance.randbytes(16)
        for at in range(count)
    )
    tree = TagTree(b"".join(tag + at.to_bytes(8) for at, tag in enumerate(tagged)), count)
    asked = [tag_of(SECRET, number) for number in range(len(own) + LOOK_AHEAD)]
    data = tree.prove(asked).data
    assert len(data) <= 20_000
    found = check_tags(parse_tag_proof(data), tree.head, asked)
    assert {at for positions in found.values() for at in positions} == set(own)
    # As central sends it, with the statement and four cosignatures.
    note = sign_checkpoint(Checkpoint(ORIGIN, count + 1, chance.randbytes(32)), log_identity())
    lines = [cosign(note.text, name_of(n), identity_of(n), COSIGNED_AT) for n in range(1, 5)]
    cosigned = Note(note.text, (*note.signatures, *lines)).full_text
    head = msgspec.structs.replace(tree.head, covered=count // 256 * 256)
    statement = make_statement(head, ORIGIN, log_identity()).leaf
    shown = LightEntry(count, statement, tuple(map(chance.randbytes, [32] * 20)))
    answer = LightProof(cosigned, head, shown, data, ())
    assert len(zlib.compress(msgspec.json.encode(answer))) <= 20_000
