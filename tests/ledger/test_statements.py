"""Statements of the tag tree: what a mirror finds wrong, it finds whatever else is put beside it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import LOG_VKEY, ORIGIN, identity_of, log_identity

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import sign_jws
from branchline.ledger.entry import ENTRY_TYPE, Entry, disclosure_digest, make_entry, open_entry
from branchline.ledger.proof.note import parse_key, to_base64
from branchline.ledger.statements import (
    REACH,
    check_statement,
    make_statement,
    opened,
    stated_in,
)
from branchline.ledger.tagproof import TagTreeHead, statement_topic
from branchline.ledger.topics import tag_of
from branchline.ledger.witness.statements import Statements

KEY, LOG, STRANGER = parse_key(LOG_VKEY), log_identity(), identity_of(9)
SECRET = bytes([5]) * 32
LEAVES = [
    make_entry({}, STRANGER, tags=[tag_of(SECRET, number)]).leaf if number % 50 == 0 else b"other"
    for number in range(600)
]


def head_of(leaves: Sequence[bytes]) -> TagTreeHead:
    """Return the head of the tag tree over all of these entries."""
    return Ledger(leaves).tag_tree().head


TRUE = make_statement(head_of(LEAVES[:256]), ORIGIN, LOG)
FALSE_HEAD = msgspec.structs.replace(head_of(LEAVES[:256]), root=bytes(32))


def judged(leaves: Sequence[bytes], first: int = 0) -> None:
    """Let a mirror of these entries judge what came from a position on."""
    Statements(Ledger(leaves).read, KEY).check(first, len(leaves))


def test_a_true_statement_holds() -> None:
    """It states the tree over a whole number of bundles, and everybody can read it."""
    judged([*LEAVES[:300], TRUE.leaf])
    fields = open_entry(TRUE, LOG.public)
    assert (fields["covered"], fields["size"]) == (256, 6)
    assert stated_in(TRUE.leaf, 300, KEY) == 256
    check_statement(TRUE.leaf, 300, head_of(LEAVES[:256]), KEY)
    assert open_entry(opened(TRUE.leaf, head_of(LEAVES[:256]), ORIGIN), LOG.public) == fields


def test_several_statements_are_judged_each_by_its_own_tree() -> None:
    """Also one that covers less than the one before it."""
    second = make_statement(head_of([*LEAVES[:300], TRUE.leaf, *LEAVES[300:511]]), ORIGIN, LOG)
    leaves = [*LEAVES[:300], TRUE.leaf, *LEAVES[300:520], second.leaf]
    judged(leaves)
    nothing = make_statement(head_of([]), ORIGIN, LOG)
    assert stated_in(nothing.leaf, len(leaves), KEY) == 0
    judged([*leaves, nothing.leaf])


@pytest.mark.parametrize(
    "head",
    [
        FALSE_HEAD,
        msgspec.structs.replace(head_of(LEAVES[:256]), size=5),
        head_of(LEAVES[:250]),
        msgspec.structs.replace(head_of(LEAVES[:301]), covered=256),
    ],
    ids=["root", "size", "an entry left out", "an entry more"],
)
def test_a_false_statement_is_named(head: TagTreeHead) -> None:
    """A tag left out, another number of them: the entry is named. What was judged is passed over."""
    false = make_statement(msgspec.structs.replace(head, covered=256), ORIGIN, LOG)
    leaves = [*LEAVES[:300], false.leaf]
    with pytest.raises(Corrupt, match="The entry 300 states another tag tree"):
        judged(leaves)
    judged([*leaves, b"more"], first=301)


def test_a_second_head_does_not_hide_among_the_digests() -> None:
    """A statement with another root beside the true one, to be shown to others, is no statement."""
    payload = read_payload(TRUE)
    other = to_base64url(b'["salt","root","%s"]' % to_base64(bytes(32)).encode())
    payload["_sd"] = sorted([*payload["_sd"], disclosure_digest(other)])
    both = Entry(sign_jws(msgspec.json.encode(payload), LOG, typ=ENTRY_TYPE))
    with pytest.raises(Corrupt, match="another tag tree"):
        judged([*LEAVES[:300], both.leaf])
    with pytest.raises(Corrupt, match="no statement"):
        check_statement(both.leaf, 300, head_of(LEAVES[:256]), KEY)


def test_fields_under_salts_of_ones_own_are_no_statement() -> None:
    """The right head, sealed as any other entry: nobody could tell what else is in it."""
    tags = [tag_of(statement_topic(ORIGIN), 1)]
    sealed = make_entry(open_entry(TRUE, LOG.public), LOG, tags=tags)
    with pytest.raises(Corrupt, match="another tag tree"):
        judged([*LEAVES[:300], sealed.leaf])


def test_only_the_ledgers_own_key_states() -> None:
    """Anybody knows the topic; what others write into it is no statement, and stops no witness."""
    by_another = make_statement(FALSE_HEAD, ORIGIN, STRANGER)
    judged([*LEAVES[:300], by_another.leaf])
    with pytest.raises(Corrupt, match="no statement"):
        check_statement(by_another.leaf, 300, FALSE_HEAD, KEY)


def test_a_statement_is_near_what_it_covers() -> None:
    """Further away than a mirror looks, no reader takes it for one either; nor before its entries."""
    assert REACH == 256
    for position, found in ((255, None), (256, 256), (256 * (REACH + 2) - 1, 256),
                            (256 * (REACH + 2), None)):  # fmt: skip
        assert stated_in(TRUE.leaf, position, KEY) == found
    with pytest.raises(Corrupt):
        check_statement(TRUE.leaf, 256 * (REACH + 2), head_of(LEAVES[:256]), KEY)


def test_a_statement_covers_whole_bundles() -> None:
    """So that its number says what it covers."""
    with pytest.raises(Refused, match="multiple of 256"):
        make_statement(head_of(LEAVES[:300]), ORIGIN, LOG)


def read_payload(entry: Entry) -> dict[str, list[str]]:
    """Return an entry's payload."""
    payload: dict[str, list[str]] = msgspec.json.decode(from_base64url(entry.jws.split(".")[1]))
    return payload
