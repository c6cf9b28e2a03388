"""Sealed entries: what was sealed opens, field by field, and nothing else does."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier
from tests.ledger.vectors import DISCLOSURE, DISCLOSURE_DIGEST, log_identity

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import sign_jws
from branchline.foundation.keys import Identity
from branchline.ledger.entry import (
    ENTRY_TYPE,
    MAX_DISCLOSURE,
    MAX_TAGS,
    Entry,
    leaf_tags,
    make_entry,
    open_entry,
    read_leaf,
)
from branchline.ledger.topics import tag_of

ACTOR = log_identity()
RESERVED = {"v", "tags", "_sd", "_sd_alg", "..."}
NAMES = st.text(max_size=20).filter(lambda name: name not in RESERVED)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def payload_of(entry: Entry) -> dict[str, Any]:
    """Read what everybody sees of an entry."""
    payload: dict[str, Any] = json.loads(from_base64url(entry.jws.split(".")[1]))
    return payload


def sealed(payload: object, disclosures: tuple[str, ...] = ()) -> Entry:
    """Sign any payload as an entry."""
    return Entry(sign_jws(msgspec.json.encode(payload), ACTOR, typ=ENTRY_TYPE), disclosures)


def test_the_digest_of_a_disclosure_is_that_of_the_vector() -> None:
    """RFC 9901's example disclosure, blanks after its commas included, opens by its digest."""
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": [DISCLOSURE_DIGEST]}
    assert open_entry(sealed(payload, (DISCLOSURE,)), ACTOR.public) == {"family_name": "Möbius"}


@given(st.dictionaries(NAMES, VALUES, max_size=20))
def test_what_was_sealed_opens(fields: dict[str, Any]) -> None:
    """Every JSON value under every name comes back, in the order given."""
    entry = make_entry(fields, ACTOR)
    wire = msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
    assert wire == entry
    opened = open_entry(wire, ACTOR.public)
    assert list(opened.items()) == list(fields.items())


@pytest.mark.parametrize(("count", "shown"), [(0, 8), (1, 8), (8, 8), (9, 16), (17, 32), (33, 64)])
def test_the_number_of_fields_is_hidden(count: int, shown: int) -> None:
    """Decoys pad the sorted digests to 8, 16, 32 …, and no field stands in clear."""
    entry = make_entry({f"f{n}": n for n in range(count)}, ACTOR)
    payload = payload_of(entry)
    assert set(payload) == {"v", "tags", "_sd_alg", "_sd"}
    assert len(set(payload["_sd"])) == shown
    assert payload["_sd"] == sorted(payload["_sd"])


def test_equal_fields_are_sealed_unlike() -> None:
    """Two entries of the same fields share no digest: values cannot be guessed or linked."""
    first, second = (make_entry({"sex": "f"}, ACTOR) for _ in range(2))
    assert not set(payload_of(first)["_sd"]) & set(payload_of(second)["_sd"])


def test_fields_are_disclosed_one_by_one() -> None:
    """A narrowed entry keeps its leaf and its name, and opens to the chosen fields only."""
    entry = make_entry({"a": 1, "b": 2, "c": 3}, ACTOR)
    narrowed = entry.disclosing({"c", "a"})
    assert (narrowed.leaf, narrowed.id) == (entry.leaf, entry.id)
    assert open_entry(narrowed, ACTOR.public) == {"a": 1, "c": 3}
    assert open_entry(entry.disclosing(()), ACTOR.public) == {}
    with pytest.raises(Refused, match="no field 'b'"):
        narrowed.disclosing({"b"})


def test_a_third_party_verifies_the_signature() -> None:
    """The leaf is an ordinary compact JWS for any JOSE library."""
    entry = make_entry({"a": 1}, ACTOR)
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": ACTOR.public.sign})
    opened = jws.deserialize_compact(entry.leaf, key, algorithms=["Ed25519"])
    assert opened.headers() == {"alg": "Ed25519", "kid": ACTOR.id, "typ": ENTRY_TYPE}


def test_an_entry_by_another_key_is_refused() -> None:
    """An entry opens with its signer's keys only."""
    with pytest.raises(Corrupt):
        open_entry(make_entry({"a": 1}, ACTOR), Identity.create().public)


def test_another_signed_statement_is_no_entry() -> None:
    """A statement of another type by the same key is refused, whatever it says."""
    token = sign_jws(b'{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[]}', ACTOR, typ="bl-train+jws")
    with pytest.raises(Corrupt):
        open_entry(Entry(token), ACTOR.public)


def disclosure(*parts: object) -> str:
    """Write any JSON array as a disclosure."""
    return to_base64url(json.dumps(parts).encode())


def digest(text: str) -> str:
    """Compute a disclosure's digest (RFC 9901 §4.2.3)."""
    return to_base64url(sha256(text.encode()).digest())


@pytest.mark.parametrize(
    "foreign",
    [
        disclosure("salt", "a", 2),
        disclosure("salt", "a"),
        disclosure("salt", "a", 1, 2),
        disclosure("", "a", 1),
        disclosure("salt", "_sd", 1),
        disclosure("salt", "...", 1),
        disclosure(1, "a", 1),
        disclosure("salt", None, 1),
        to_base64url(b'["salt","a",NaN]'),
        to_base64url(b"\xff"),
        "not base64!",
        "",
    ],
)
def test_a_foreign_disclosure_is_refused(foreign: str) -> None:
    """A disclosure that the signer did not commit to, or of another shape, opens nothing."""
    entry = make_entry({"a": 1}, ACTOR)
    with pytest.raises(Corrupt):
        open_entry(Entry(entry.jws, (*entry.disclosures, foreign)), ACTOR.public)


def test_what_was_not_committed_to_is_named_by_its_place() -> None:
    """A well-formed disclosure of somebody's own: the sentence says which one it is."""
    entry = make_entry({"a": 1}, ACTOR)
    with pytest.raises(Corrupt, match="Disclosure 2 of an entry"):
        open_entry(Entry(entry.jws, (*entry.disclosures, disclosure("salt", "b", 2))), ACTOR.public)


def test_a_salt_has_sixteen_bytes() -> None:
    """As the format says: nobody guesses a value by its digest."""
    (text,) = make_entry({"a": 1}, ACTOR).disclosures
    salt, *_ = json.loads(from_base64url(text))
    assert len(from_base64url(salt)) == 16


def test_what_is_no_ascii_is_no_leaf() -> None:
    """A text that cannot stand in the ledger is refused before it is looked into."""
    with pytest.raises(Corrupt, match="compact JWS"):
        _ = Entry("\N{EM DASH}").leaf


LOW, HIGH = digest("a disclosure"), digest("another")
FIRST, SECOND = sorted((tag_of(bytes(32), 0), tag_of(bytes(32), 1)))
assert LOW < HIGH


def test_tags_stand_in_the_clear_and_sorted() -> None:
    """Whoever has the leaf reads its tags; their order says nothing."""
    entry = make_entry({"a": 1}, ACTOR, tags=(SECOND, FIRST))
    assert entry.tags == leaf_tags(entry.leaf) == (FIRST, SECOND)
    assert payload_of(entry)["tags"] == [FIRST, SECOND]
    assert open_entry(entry, ACTOR.public) == {"a": 1}
    assert read_leaf(entry.leaf).kid == ACTOR.id


def test_an_entry_bears_sixteen_tags() -> None:
    """As many as that, and not one more."""
    tags = [tag_of(bytes(32), number) for number in range(17)]
    assert MAX_TAGS == 16
    assert make_entry({}, ACTOR, tags=tags[:16]).tags == tuple(sorted(tags[:16]))


def test_a_leaf_has_65_535_bytes_at_most() -> None:
    """To the last byte it is an entry; beyond it, it is none, and bears no tags."""
    digests = sorted(digest(str(number)) for number in range(1063))
    sizes = []
    for count in (2, 3):
        tags = sorted(tag_of(bytes(32), number) for number in range(count))
        leaf = sealed({"v": 1, "tags": tags, "_sd_alg": "sha-256", "_sd": digests}).leaf
        sizes.append(len(leaf))
        assert leaf_tags(leaf) == (tuple(tags) if len(leaf) <= 65_535 else ())
    assert sizes[0] == 65_535 < sizes[1]


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_disclosure_has_a_mebibyte_at_most(more: int, fits: bool) -> None:
    """To the last character it is made and opened; one byte more, and it is refused."""
    room = 1_048_576 * 3 // 4 - len(json.dumps(["s" * 22, "a", ""], separators=(",", ":")))
    value = "x" * (room + more)
    if not fits:
        with pytest.raises(Refused, match="too large"):
            make_entry({"a": value}, ACTOR)
        return
    made = make_entry({"a": value}, ACTOR)
    assert len(made.disclosures[0]) == 1_048_576 == MAX_DISCLOSURE
    assert open_entry(made, ACTOR.public) == {"a": value}


@pytest.mark.parametrize("text", ['["","a",1]', '["salt","_sd",1]', '["salt","...",1]'])
def test_a_name_of_the_format_is_not_opened(text: str) -> None:
    """Not even where the signer committed to it; nor a field without a salt."""
    one = to_base64url(text.encode())
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": [digest(one)]}
    with pytest.raises(Corrupt, match="salt"):
        open_entry(sealed(payload, (one,)), ACTOR.public)


@pytest.mark.parametrize(
    "tags",
    [
        (FIRST, FIRST),
        (FIRST[:-1],),
        (FIRST[:-1] + "B",),
        (FIRST + "==",),
        ("",),
        tuple(tag_of(bytes(32), number) for number in range(MAX_TAGS + 1)),
    ],
)
def test_tags_that_no_entry_has_are_refused(tags: tuple[str, ...]) -> None:
    """A doubled or malformed tag, or one too many, is refused before anything is signed."""
    with pytest.raises(Refused, match="tag"):
        make_entry({"a": 1}, ACTOR, tags=tags)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"_sd_alg": "sha-512"},
        {"extra": 1},
        {"_sd": [LOW, LOW]},
        {"_sd": [HIGH, LOW]},
        {"_sd": ["a"]},
        {"_sd": [LOW[:-1] + "B"]},
        {"_sd": "a"},
        {"tags": [1]},
        {"tags": ["a"]},
        {"tags": [SECOND, FIRST]},
        {"tags": [FIRST, FIRST]},
        {"tags": sorted(tag_of(bytes(32), number) for number in range(MAX_TAGS + 1))},
    ],
)
def test_a_payload_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """Even a valid signature does not make another payload an entry."""
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": [], **change}
    with pytest.raises(Corrupt):
        open_entry(sealed(payload), ACTOR.public)
    assert leaf_tags(sealed(payload).leaf) == ()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"v":1,"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[]}',
        b'{"v":1,"tags":["' + FIRST.encode() + b'"],"tags":[],"_sd_alg":"sha-256","_sd":[]}',
        b'{"v":1, "tags":[],"_sd_alg":"sha-256","_sd":[]}',
        b'{"tags":[],"v":1,"_sd_alg":"sha-256","_sd":[]}',
        b'{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[]}\n',
        b'{"v":1,"tags":[],"_sd_alg":"sha-25\\u0036","_sd":[]}',
    ],
)
def test_an_entry_has_one_spelling(payload: bytes) -> None:
    """Two readers cannot read different things in one signed leaf: other spellings are refused."""
    entry = Entry(sign_jws(payload, ACTOR, typ=ENTRY_TYPE))
    with pytest.raises(Corrupt):
        open_entry(entry, ACTOR.public)
    assert leaf_tags(entry.leaf) == ()


@given(st.binary(max_size=60) | st.text(alphabet="eyJ.-_A0=\n", max_size=60).map(str.encode))
def test_a_leaf_that_is_no_entry_has_no_tags(leaf: bytes) -> None:
    """Anything may stand in a ledger; what is no entry bears nothing."""
    assert leaf_tags(leaf) == ()


def test_a_field_too_large_is_refused() -> None:
    """A disclosure over the limit is neither made nor opened."""
    with pytest.raises(Refused, match="digest"):
        make_entry({"a": "x" * MAX_DISCLOSURE}, ACTOR)
    large = disclosure("salt", "a", "x" * MAX_DISCLOSURE)
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": [digest(large)]}
    with pytest.raises(Corrupt, match="characters"):
        open_entry(sealed(payload, (large,)), ACTOR.public)


def test_a_committed_name_is_opened_once() -> None:
    """Neither one disclosure given twice nor two committed values for one name are accepted."""
    entry = make_entry({"a": 1}, ACTOR)
    with pytest.raises(Corrupt, match="twice"):
        open_entry(Entry(entry.jws, entry.disclosures * 2), ACTOR.public)
    two = (disclosure("s", "a", 1), disclosure("t", "a", 2))
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": sorted(map(digest, two))}
    with pytest.raises(Corrupt, match="twice"):
        open_entry(sealed(payload, two), ACTOR.public)


def test_every_flipped_bit_of_an_entry_is_noticed() -> None:
    """Each single flipped bit of the leaf or of a disclosure is refused."""
    entry = make_entry({"a": 1}, ACTOR)
    whole = f"{entry.jws}~{entry.disclosures[0]}".encode()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        token, _, rest = bytes(flipped).decode("latin-1").partition("~")
        with pytest.raises(Corrupt):
            open_entry(Entry(token, (rest,)), ACTOR.public)


@pytest.mark.parametrize("value", [math.nan, math.inf, b"bytes", {1, 2}, object(), "\ud800"])
def test_a_value_that_json_lacks_is_refused(value: object) -> None:
    """Nothing is changed silently on its way into an entry."""
    with pytest.raises(Refused, match="'a'"):
        make_entry({"a": value}, ACTOR)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused(name: str) -> None:
    """The names of the format itself cannot be fields."""
    with pytest.raises(Refused):
        make_entry({name: 1}, ACTOR)


def test_an_entry_beyond_the_bundle_format_is_refused() -> None:
    """So many fields that the leaf passes 65,535 bytes are refused with what to do instead."""
    with pytest.raises(Refused, match="digest"):
        make_entry({f"f{n}": n for n in range(1100)}, ACTOR)


@given(st.dictionaries(NAMES.filter(str.isidentifier), VALUES, max_size=6), st.randoms())
def test_a_third_party_opens_the_fields(fields: dict[str, Any], random: Random) -> None:
    """Presented as RFC 9901 says, an entry opens in another implementation of SD-JWT."""
    whole = make_entry(fields, ACTOR, tags=[FIRST])
    entry = whole.disclosing([name for name in fields if random.random() < 0.5])
    key = JWK(kty="OKP", crv="Ed25519", x=ACTOR.public.sign)
    presented = "~".join((entry.jws, *entry.disclosures, ""))
    opened = SDJWTVerifier(presented, lambda issuer, header: key).get_verified_payload()
    assert opened.pop("v") == 1
    assert opened.pop("tags") == [FIRST]
    assert opened == open_entry(entry, ACTOR.public)
