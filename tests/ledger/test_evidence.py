"""Evidence: a log that signed two histories is convicted offline; one that did not never is."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.ledger.histories import History, fork
from tests.ledger.parties import name_of
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, identity_of

from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.foundation.keys import Identity
from branchline.ledger.proof.checkpoint import sign_checkpoint
from branchline.ledger.proof.cosignature import cosign, cosigner_key
from branchline.ledger.proof.evidence import (
    Evidence,
    check_evidence,
    find_evidence,
    find_evidence_in,
    parse_evidence,
)
from branchline.ledger.proof.merkle import growth_hashes
from branchline.ledger.proof.note import key_of

TRUE, FORGED = fork(shared=3, size=40)
SIZES = st.integers(1, 40)


def found(evidence: Evidence | None) -> Evidence:
    """Return evidence that must be there."""
    assert evidence is not None
    return evidence


@given(old=SIZES, new=SIZES)
def test_every_fork_gives_evidence_and_no_growth_does(old: int, new: int) -> None:
    """Two sizes of two histories: evidence exactly if the histories differ by then."""
    evidence = find_evidence_in(FORGED.subtree, TRUE.note(old), FORGED.note(new))
    if old > new:
        evidence = find_evidence_in(TRUE.subtree, TRUE.note(old), FORGED.note(new))
    if min(old, new) <= 3:
        assert evidence is None
        return
    text = found(evidence).text.encode()
    shown = check_evidence(text, LOG_VKEY)
    assert {shown.smaller.size, shown.larger.size} == {old, new}
    assert parse_evidence(text).text.encode() == text
    assert find_evidence_in(TRUE.subtree, TRUE.note(old), TRUE.note(new)) is None


@given(old=SIZES, new=SIZES, data=st.data())
def test_an_honest_log_cannot_be_accused(old: int, new: int, data: st.DataObject) -> None:
    """Whatever hashes somebody makes up, two honest checkpoints are no evidence."""
    assume(old < new)
    true = growth_hashes(TRUE.subtree, old, new)
    forged = growth_hashes(FORGED.subtree, old, new)
    hashes = tuple(data.draw(st.sampled_from(pair)) for pair in zip(true, forged, strict=True))
    hashes = data.draw(st.sampled_from([hashes, hashes[1:], (*hashes, bytes(32)), ()]))
    assert find_evidence(TRUE.note(old), TRUE.note(new), hashes) is None
    made_up = Evidence(TRUE.note(old), TRUE.note(new), hashes)
    with pytest.raises(Corrupt):
        check_evidence(made_up.text.encode(), LOG_VKEY)


def test_the_empty_log_contradicts_nobody() -> None:
    """Every log began empty."""
    assert find_evidence_in(FORGED.subtree, TRUE.note(0), FORGED.note(9)) is None


def test_two_logs_do_not_contradict_each_other() -> None:
    """Checkpoints of two origins are no evidence of anything."""
    other = History(entries(5), "other.example")
    forged = History([b"forged"] * 5)
    assert find_evidence(other.note(5), forged.note(5)) is None


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(TRUE.note(5), TRUE.note(5)),
        Evidence(FORGED.note(9), TRUE.note(5), growth_hashes(FORGED.subtree, 5, 9)),
        Evidence(TRUE.note(9), FORGED.note(9), (bytes(32),)),
        Evidence(TRUE.note(5), FORGED.note(9)),
        Evidence(TRUE.note(5), FORGED.note(9), growth_hashes(TRUE.subtree, 5, 9)),
        Evidence(TRUE.note(0), FORGED.note(9), growth_hashes(FORGED.subtree, 5, 9)),
    ],
    ids=["the same", "larger first", "a hash too many", "no hashes", "other tree", "empty"],
)
def test_what_does_not_show_it_is_no_evidence(evidence: Evidence) -> None:
    """The check believes nothing that is not computed."""
    with pytest.raises(Corrupt):
        check_evidence(evidence.text.encode(), LOG_VKEY)


def test_of_two_equal_sizes_one_order_is_right() -> None:
    """There is one spelling: the smaller root stands first."""
    evidence = found(find_evidence(TRUE.note(9), FORGED.note(9)))
    assert found(find_evidence(FORGED.note(9), TRUE.note(9))) == evidence
    with pytest.raises(Corrupt, match="do not contradict"):
        check_evidence(Evidence(evidence.larger, evidence.smaller).text.encode(), LOG_VKEY)


def test_evidence_is_against_one_key() -> None:
    """Checkpoints that somebody else signed do not convict this log."""
    stranger = Identity.create()
    notes = [sign_checkpoint(h.checkpoint(9), stranger).full_text for h in (TRUE, FORGED)]
    text = found(find_evidence(notes[0], notes[1])).text.encode()
    with pytest.raises(Corrupt, match="not signed by"):
        check_evidence(text, LOG_VKEY)
    check_evidence(text, key_of(ORIGIN, stranger.public).text)


def test_witnesses_that_cosigned_both_are_named() -> None:
    """A witness that vouched for either side is convicted together with the log."""
    identities = [identity_of(100 + number) for number in range(3)]
    keys = [cosigner_key(name_of(n), each.public) for n, each in enumerate(identities)]
    notes = []
    for history, signers in ((TRUE, (0, 1)), (FORGED, (1, 2))):
        text = history.checkpoint(9).text
        lines = [cosign(text, name_of(n), identities[n], 1).line for n in signers]
        notes.append(history.note(9) + "".join(lines))
    shown = check_evidence(found(find_evidence(notes[0], notes[1])).text.encode(), LOG_VKEY, keys)
    assert shown.cosigned_both == (name_of(1),)


def test_every_flipped_bit_of_evidence_is_noticed() -> None:
    """Each single flipped bit makes it no evidence."""
    evidence = find_evidence_in(FORGED.subtree, TRUE.note(5), FORGED.note(9))
    whole = found(evidence).text.encode()
    check_evidence(whole, LOG_VKEY)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            check_evidence(bytes(flipped), LOG_VKEY)


@given(st.binary(max_size=300))
def test_noise_is_no_evidence(noise: bytes) -> None:
    """Arbitrary bytes are refused in our own words."""
    with pytest.raises(BranchlineError):
        check_evidence(noise, LOG_VKEY)


def test_a_history_forged_from_its_first_entry_on_is_convicted() -> None:
    """Size 1 is the smallest that can contradict anything."""
    true, forged = fork(shared=0, size=9)
    evidence = find_evidence_in(forged.subtree, true.note(1), forged.note(9))
    shown = check_evidence(found(evidence).text.encode(), LOG_VKEY)
    assert shown.sentence == f"{ORIGIN} signed 9 entries that do not begin with the 1 it had signed"
    evidence = find_evidence(true.note(1), forged.note(1))
    shown = check_evidence(found(evidence).text.encode(), LOG_VKEY)
    assert shown.sentence == f"{ORIGIN} signed two different histories of 1 entries"


def test_evidence_is_bounded() -> None:
    """Hashes of 32 bytes, at most 64 of them, and two million bytes."""
    note = TRUE.note(5)
    whole = Evidence(note, note, (bytes(32),) * 64).text.encode()
    assert len(parse_evidence(whole).hashes) == 64
    for hashes in ((bytes(31),), (bytes(32),) * 65):
        with pytest.raises(Corrupt):
            parse_evidence(Evidence(note, note, hashes).text.encode())
    padded = whole + b"x" * (2_000_000 - len(whole))
    assert parse_evidence(padded).text.encode() == padded
    with pytest.raises(Corrupt, match="at most 2000000"):
        parse_evidence(padded + b"x")
