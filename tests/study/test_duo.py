"""Use terms meet purposes as DUO says; what is unknown is never a yes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.study.frame import NOW

from branchline.study.duo import CODES, Purpose, Term, match, parse_term

VOTE = NOW + timedelta(days=30)

TABLE = [
    # dataset's terms, study's purpose, verdict
    ("NRES", "HMB", "allow"),
    ("GRU", "GRU", "allow"),
    ("GRU", "POA", "allow"),
    ("GRU", "", "human"),
    ("GRU", "HMB POA", "human"),
    ("HMB", "HMB", "allow"),
    ("HMB", "DS:MONDO:1", "allow"),
    ("HMB", "GRU", "deny"),
    ("HMB", "POA", "deny"),
    ("DS:MONDO:1", "DS:MONDO:1", "allow"),
    ("DS:MONDO:1", "DS:MONDO:11", "allow"),
    ("DS:MONDO:1", "DS:MONDO:2", "deny"),
    ("DS:MONDO:1 DS:MONDO:2", "DS:MONDO:2", "allow"),
    ("DS:MONDO:1", "DS:MONDO:1 DS:MONDO:2", "deny"),
    ("DS:MONDO:1", "HMB", "deny"),
    ("DS:MONDO:1", "DS", "human"),
    ("DS", "DS:MONDO:1", "human"),
    ("POA", "POA", "allow"),
    ("POA", "HMB", "deny"),
    ("GRU NPOA", "HMB", "allow"),
    ("GRU NPOA", "POA", "deny"),
    ("NRES NPOA", "", "human"),
    ("GRU NMDS", "HMB NMDS", "allow"),
    ("GRU NMDS", "HMB", "human"),
    ("GRU GSO", "HMB GSO", "allow"),
    ("GRU GSO", "HMB", "human"),
    ("GRU RS:genes", "HMB RS:genes", "allow"),
    ("GRU RS:genes", "HMB RS:other", "deny"),
    ("GRU RS:genes", "HMB", "human"),
    ("GRU RS", "HMB RS:genes", "human"),
    ("GRU NPU", "HMB NPU", "allow"),
    ("GRU NPU", "HMB NPUNCU", "allow"),
    ("GRU NPU", "HMB NCU", "human"),
    ("GRU NCU", "HMB NCU", "allow"),
    ("GRU NPUNCU", "HMB NPU", "human"),
    ("GRU NPUNCU", "HMB NCU", "human"),
    ("GRU NPUNCU", "HMB NPU NCU", "allow"),
    ("GRU NPUNCU", "HMB NPUNCU", "allow"),
    ("GRU IRB", "HMB", "allow"),
    ("GRU COL", "HMB COL", "allow"),
    ("GRU COL", "HMB", "human"),
    ("GRU PUB", "HMB PUB", "allow"),
    ("GRU RTN", "HMB", "human"),
    ("GRU MOR:2027-01-01", "HMB MOR", "allow"),
    ("GRU MOR:2027-01-01", "HMB", "human"),
    ("GRU MOR:soon", "HMB MOR", "human"),
    ("GRU TS:2026-11-21", "HMB", "allow"),
    ("GRU TS:2026-11-20", "HMB", "deny"),
    ("GRU TS", "HMB", "human"),
    ("GRU TS:never", "HMB", "human"),
    ("GRU GS:DE GS:FR", "HMB GS:FR", "allow"),
    ("GRU GS:DE", "HMB GS:DE GS:US", "deny"),
    ("GRU GS:DE", "HMB", "human"),
    ("GRU GS", "HMB GS:DE", "human"),
    ("GRU US:ada", "HMB US:ada", "allow"),
    ("GRU IS:clinic", "HMB IS:other", "deny"),
    ("GRU PS:one", "HMB PS:one", "allow"),
    ("GRU CC", "HMB CC", "allow"),
    ("GRU CC", "HMB", "human"),
    ("DUO:0000042 DUO:0000045", "DUO:0000006 DUO:0000018", "allow"),
    # malformed, unknown or contradictory terms
    ("", "HMB", "human"),
    ("NPU", "HMB NPU", "human"),
    ("GRU HMB", "HMB", "human"),
    ("GRU DUO:00000044", "HMB", "human"),
    ("GRU DUO_0000044", "HMB", "human"),
    ("GRU duo:0000044", "HMB", "human"),
    ("GRU gru", "HMB", "human"),
    ("GRU NPU:x", "HMB NPU", "human"),
    ("GRU DS:", "DS:MONDO:1", "human"),
    ("HMB XYZ", "POA", "deny"),
]


def _purpose(text: str) -> Purpose:
    terms = tuple(t for t in map(parse_term, text.split()) if t is not None)
    return Purpose(terms, VOTE, lambda disease, kind: disease.startswith(kind))


@pytest.mark.parametrize(("terms", "purpose", "verdict"), TABLE)
def test_matches_by_hand(terms: str, purpose: str, verdict: str) -> None:
    """Each line of the hand-made table."""
    assert match(terms.split(), _purpose(purpose), NOW) == verdict


def test_every_code_is_in_the_table() -> None:
    """The hand-made table exercises all twenty-three codes."""
    seen = {t.code for terms, _, _ in TABLE for t in map(parse_term, terms.split()) if t}
    assert seen == set(CODES)
    assert len(CODES) == 23


def test_ethics_votes_expire() -> None:
    """IRB: no vote is for a human, an expired one is a no, to the second."""
    terms = (Term("HMB"),)
    assert match(["GRU", "IRB"], Purpose(terms), NOW) == "human"
    assert match(["GRU", "IRB"], Purpose(terms, NOW), NOW) == "deny"
    assert match(["GRU", "IRB"], Purpose(terms, NOW + timedelta(seconds=1)), NOW) == "allow"


def test_another_disease_without_a_tree_is_for_a_human() -> None:
    """Where nobody supplies a disease tree, kinds of a disease cannot be judged."""
    assert match(["DS:MONDO:1"], Purpose((Term("DS", "MONDO:11"),)), NOW) == "human"


@given(st.text(max_size=12), st.sampled_from(sorted(CODES)), st.sampled_from(["HMB", "GRU", "POA"]))
def test_random_codes_are_never_a_yes(noise: str, code: str, research: str) -> None:
    """A term nobody knows, beside any known one, never lets a purpose pass."""
    if parse_term(noise) is None:
        assert match([code, noise], _purpose(f"{research} {code}"), NOW) != "allow"


@given(
    st.lists(st.sampled_from(sorted(CODES)), max_size=6), st.lists(st.sampled_from(sorted(CODES)))
)
def test_more_terms_never_permit_more(terms: list[str], purpose: list[str]) -> None:
    """Adding a term to a permission can only narrow what is allowed."""
    stated = _purpose(" ".join(purpose))
    if match(["GRU", *terms], stated, NOW) == "allow":
        assert match(["GRU"], stated, NOW) == "allow"
