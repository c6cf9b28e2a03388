"""Sealing: the age format, with the Rust age as the judge of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branchline.foundation.digest import LARGE, payload_digest_of
from branchline.foundation.encoding import to_bech32
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import CHUNK, TAG, seal, seal_into, seal_named, unseal
from branchline.foundation.spares import Spares

ME, OTHER = Identity.create(), Identity.create()
THEIRS = pyrage.x25519.Identity.from_str(
    to_bech32("age-secret-key-", ME.seal_private.private_bytes_raw()).upper()
)
RECIPIENT = pyrage.x25519.Recipient.from_str(ME.public.seal)

borders = st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 1, 3 * CHUNK])
payloads = st.binary(max_size=200) | borders.map(lambda size: bytes(i % 251 for i in range(size)))


@settings(max_examples=30)
@given(payloads)
@example(bytes(CHUNK))
def test_what_we_seal_age_opens(data: bytes) -> None:
    """Any age program opens our parcels, at every size around a chunk's border."""
    assert pyrage.decrypt(bytes(seal(data, [ME.public.seal])), [THEIRS]) == data


@settings(max_examples=30)
@given(payloads)
@example(bytes(2 * CHUNK))
def test_what_age_seals_we_open(data: bytes) -> None:
    """Our programs open the parcels of any age program."""
    assert unseal(pyrage.encrypt(data, [RECIPIENT]), ME.seal_private) == data


@pytest.mark.parametrize("count", [1, 2, 50, 64])
def test_every_recipient_opens_and_nobody_else(count: int) -> None:
    """A parcel opens with each key it is sealed to, and with no other."""
    everybody = [Identity.create() for _ in range(count)]
    sealed = seal(b"state", [who.public.seal for who in everybody])
    for who in (everybody[0], everybody[-1]):
        assert unseal(sealed, who.seal_private) == b"state"
    with pytest.raises(Corrupt, match="not sealed to this key"):
        unseal(sealed, OTHER.seal_private)


@pytest.mark.parametrize("count", [0, 65])
def test_no_recipient_or_too_many_are_refused(count: int) -> None:
    """A parcel for nobody makes no sense."""
    with pytest.raises(Refused, match="1 to 64"):
        seal(b"", [ME.public.seal] * count)


def test_a_malformed_recipient_is_refused() -> None:
    """A key with a wrong character is noticed before anything is sealed."""
    with pytest.raises(Corrupt):
        seal(b"", [ME.public.seal[:-1] + ("q" if ME.public.seal[-1] != "q" else "p")])


def test_every_flipped_bit_is_refused() -> None:
    """No bit of a sealed parcel can be changed unnoticed."""
    sealed = bytes(seal(b"three rows", [ME.public.seal]))
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            with pytest.raises(Corrupt):
                unseal(changed, ME.seal_private)


@settings(max_examples=60)
@given(st.data())
def test_every_flipped_bit_of_a_long_parcel_is_refused(data: st.DataObject) -> None:
    """Every chunk counts."""
    sealed = bytearray(LONG)
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt):
        unseal(sealed, ME.seal_private)


LONG = bytes(seal(bytes(2 * CHUNK + 7), [OTHER.public.seal, ME.public.seal]))
EXACT = bytes(seal(bytes(2 * CHUNK), [ME.public.seal]))


@settings(max_examples=60)
@given(st.integers(0, len(LONG) - 1))
@example(len(LONG) - 7 - TAG)
def test_a_cut_parcel_is_refused(length: int) -> None:
    """Truncation is noticed wherever it is, at a chunk's border too."""
    with pytest.raises(Corrupt):
        unseal(LONG[:length], ME.seal_private)


@given(st.binary(min_size=1, max_size=40))
def test_an_extended_parcel_is_refused(more: bytes) -> None:
    """Nothing can be added behind the end."""
    for sealed in (LONG, EXACT):
        with pytest.raises(Corrupt):
            unseal(sealed + more, ME.seal_private)


def test_chunks_cannot_change_places() -> None:
    """Each chunk is bound to its number."""
    body, size = len(EXACT) - 2 * (CHUNK + TAG), CHUNK + TAG
    swapped = EXACT[:body] + EXACT[body + size :] + EXACT[body : body + size]
    for changed in (swapped, EXACT[: body + size], EXACT + EXACT[body + size :]):
        with pytest.raises(Corrupt):
            unseal(changed, ME.seal_private)


def test_an_empty_last_chunk_is_refused() -> None:
    """A payload has one spelling: only an empty one ends in an empty chunk (age spec)."""
    assert unseal(seal(b"", [ME.public.seal]), ME.seal_private) == b""
    body = len(EXACT) - 2 * (CHUNK + TAG)
    with pytest.raises(Corrupt, match="cut"):
        unseal(EXACT[: body + CHUNK + TAG] + bytes(TAG), ME.seal_private)


@given(st.binary(max_size=300))
def test_what_is_no_parcel_is_refused(data: bytes) -> None:
    """Garbage is refused in a sentence, with and without the right beginning."""
    for tried in (data, b"age-encryption.org/v1\n" + data, LONG[:150] + data):
        with pytest.raises(Corrupt):
            unseal(tried, ME.seal_private)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.replace(b"-> X25519 ", b"-> X25519  ", 1),
        lambda s: s.replace(b"\n--- ", b"\n---  ", 1),
        lambda s: s.replace(b"v1\n", b"v1\r\n", 1),
        lambda s: s.replace(b"\n--- ", b"\n\n--- ", 1),
        lambda s: s.replace(b"-> X25519 ", b"-> x25519 ", 1),
    ],
)
def test_another_spelling_of_the_header_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    """A parcel has one spelling, else two digests would name one content."""
    sealed = bytes(seal(b"x", [ME.public.seal]))
    assert spoil(sealed) != sealed
    with pytest.raises(Corrupt):
        unseal(spoil(sealed), ME.seal_private)


def test_two_parcels_of_one_payload_differ() -> None:
    """Whoever sees parcels cannot tell whether their contents are equal."""
    assert seal(b"same", [ME.public.seal]) != seal(b"same", [ME.public.seal])


@pytest.mark.parametrize("before", [10, 3 * CHUNK, 900_000])
def test_a_file_that_nobody_needs_becomes_the_next_parcel(before: int, tmp_path: Path) -> None:
    """Nothing of what was in it is left, whether it was shorter or longer."""
    old, file = tmp_path / "old", tmp_path / "parcel"
    old.write_bytes(b"x" * before)
    spares = Spares(tmp_path / "spares")
    spares.keep(old)
    assert not old.exists()
    data = bytes(range(256)) * 1000
    sealed = seal_into(file, data, [ME.public.seal], spares=spares)
    assert not list((tmp_path / "spares").iterdir())
    assert file.read_bytes() == sealed.data
    assert unseal(sealed.data, ME.seal_private, sealed.digest) == data
    again = seal_into(tmp_path / "next", data, [ME.public.seal], spares=spares)
    assert unseal(again.data, ME.seal_private, again.digest) == data


@pytest.mark.parametrize("size", [LARGE - 500, LARGE])
def test_a_parcel_and_its_content_are_named_by_what_their_sizes_ask_for(size: int) -> None:
    """Whoever opens a parcel under the name of another is told."""
    sealed = seal_named(bytes(size), [ME.public.seal])
    assert sealed.digest == payload_digest_of(sealed.data)
    assert sealed.content == payload_digest_of(bytes(size))
    assert unseal(sealed.data, ME.seal_private, sealed.digest) == bytes(size)
    with pytest.raises(Corrupt, match="not the one"):
        unseal(sealed.data, ME.seal_private, sealed.content)


def test_any_kind_of_bytes_is_sealed_without_copying_types() -> None:
    """Bytes, bytearray and memoryview give the same content."""
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        assert unseal(memoryview(seal(data, [ME.public.seal])), ME.seal_private) == b"abc"


def test_a_key_of_small_order_is_no_recipient() -> None:
    """A recipient whose shared secret would be zero cannot be sealed to."""
    zero = to_bech32("age", bytes(32))
    with pytest.raises(Corrupt):
        seal(b"", [zero])
    assert X25519PrivateKey.generate().private_bytes_raw() != bytes(32)
