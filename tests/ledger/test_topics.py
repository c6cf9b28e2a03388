"""Topics: tags that only the holder of the secret can tell apart from chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.ledger.topics import LOOK_AHEAD, TopicCounter, is_tag, tag_of

SECRET = bytes([3]) * 32
TAGS = (
    "lY3mkG0PQIM4tCW5SzIzMQ",
    "KP2arDPvZmYw_5NGPn-UfQ",
    "emXk9bQVDfU68046ida3tA",
    "lA-HJYEOXT-VG4xzFoZ6Yw",
)


def test_tags_are_those_of_the_vectors() -> None:
    """The first four tags of the published secret, spelled as published."""
    assert tuple(tag_of(SECRET, number) for number in range(4)) == TAGS


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1))
def test_a_tag_is_sixteen_bytes_in_its_one_spelling(secret: bytes, number: int) -> None:
    """Whatever the secret and the number, a tag is a tag."""
    tag = tag_of(secret, number)
    assert is_tag(tag)
    assert len(from_base64url(tag)) == 16


@given(
    st.text(alphabet="AQgwBab-_+/= é", min_size=20, max_size=24)
    | st.binary(min_size=15, max_size=17).map(to_base64url)
)
def test_only_the_canonical_spelling_is_a_tag(text: str) -> None:
    """A text is a tag exactly if reading it as base64url and writing it again gives it back."""
    try:
        canonical = len(from_base64url(text)) == 16
    except Corrupt:
        canonical = False
    assert is_tag(text) == canonical


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_of_another_length_is_refused(secret: bytes) -> None:
    """A cut secret gives no tags, rather than weaker ones."""
    with pytest.raises(Refused, match="32"):
        tag_of(secret, 0)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_number_outside_the_format_is_refused(number: int) -> None:
    """Numbers are what fits into eight bytes."""
    with pytest.raises(Refused):
        tag_of(SECRET, number)


def test_a_counter_shows_the_next_tag() -> None:
    """Each advance, and nothing else, moves on to the next number."""
    counter = TopicCounter(SECRET)
    assert counter.tag == counter.tag == TAGS[0]
    assert counter.advanced().tag == TAGS[1]


@given(st.integers(0, 40), st.sets(st.integers(0, 60)))
def test_an_old_counter_catches_up(known: int, present: set[int]) -> None:
    """After a restored backup no number in the ledger is used again, as long as gaps are short."""
    tags = {tag_of(SECRET, number) for number in present}
    number = TopicCounter(SECRET, known).caught_up(tags.__contains__).next
    assert number >= known
    assert not present & set(range(number, number + LOOK_AHEAD))
    assert number == known or number - 1 in present


@pytest.mark.parametrize(("number", "seen"), [(15, True), (16, False)])
def test_sixteen_free_numbers_end_a_topic(number: int, seen: bool) -> None:
    """A number after fewer free ones is found, after sixteen it is not looked for."""
    present = {tag_of(SECRET, number)}
    caught_up = TopicCounter(SECRET).caught_up(present.__contains__)
    assert caught_up.next == (number + 1 if seen else 0)
