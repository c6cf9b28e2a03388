"""Classes: a key opens what it is for, nothing opens what was erased, and proofs do not change."""

from __future__ import annotations

import hmac
from hashlib import sha256
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.vectors import log_identity

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.ledger import beside as internals
from branchline.ledger.beside import Beside, SealedClass, derive, encrypt_class, parse_beside
from branchline.ledger.classes import (
    ActorSecret,
    Classes,
    ClassKey,
    EntryKey,
    entry_key,
    open_beside,
    seal_by_class,
)
from branchline.ledger.entry import Entry, open_entry
from branchline.ledger.proof.merkle import check_inclusion, inclusion_path, leaf_hash, node_hash

ACTOR = log_identity()
SECRET = ActorSecret(3, bytes([5]) * 32)
NAMES = ("core", "people", "technical", "clinical-meta", "legal", "money")
CLASSES = Classes(
    {"who": "people", "where": "people", "digest": "technical", "price": "money"},
    personal={"people"},
    otherwise="core",
)
FIELDS = {"act": "x", "at": 1, "who": "Dr A", "where": None, "digest": [1, 2], "price": "3.50"}
BY_CLASS = {
    "core": {"act": "x", "at": 1},
    "people": {"who": "Dr A", "where": None},
    "technical": {"digest": [1, 2]},
    "money": {"price": "3.50"},
}


def sealed(fields: dict[str, Any] | None = None) -> tuple[Entry, Beside]:
    """Seal fields; the ledger's reader gets the leaf alone, and what lies beside it."""
    made = seal_by_class(fields or FIELDS, ACTOR, secret=SECRET, classes=CLASSES)
    return Entry(made.entry.jws), parse_beside(made.beside.data)


def opened(entry: Entry, beside: Beside, opener: Any) -> dict[str, Any]:
    """Return the fields that keys open, the signature verified."""
    return open_entry(open_beside(entry, beside, opener), ACTOR.public)


def test_whoever_has_the_secret_opens_all() -> None:
    """The actor itself needs nothing but its secret of the epoch, and what lies beside."""
    entry, beside = sealed()
    assert opened(entry, beside, SECRET) == FIELDS
    assert set(beside.classes) == set(BY_CLASS)


@pytest.mark.parametrize("name", NAMES)
def test_a_class_key_opens_its_class_in_every_entry(name: str) -> None:
    """And no other class; a class without fields opens nothing."""
    for entry, beside in (sealed(), sealed()):
        assert opened(entry, beside, SECRET.class_key(name)) == BY_CLASS.get(name, {})


@pytest.mark.parametrize("name", sorted(BY_CLASS))
def test_an_entry_key_opens_one_class_in_one_entry(name: str) -> None:
    """Nothing of another entry, nothing of another class."""
    (entry, beside), (other, beside_other) = sealed(), sealed()
    key = entry_key(entry, beside, name, SECRET)
    assert opened(entry, beside, key) == BY_CLASS[name]
    assert opened(other, beside_other, key) == {}


def test_a_key_used_against_its_label_opens_nothing() -> None:
    """What a key is for is not its label's word: no key fits another class, entry or epoch."""
    (entry, beside), (other, beside_other) = sealed(), sealed()
    keys: list[tuple[tuple[str, int, str], bytes]] = []
    for name in BY_CLASS:
        keys.append((("class", 3, name), SECRET.class_key(name).key))
        keys.append((("class", 4, name), ActorSecret(4, bytes([6]) * 32).class_key(name).key))
        for at, (one, beside_one) in enumerate(((entry, beside), (other, beside_other))):
            keys.append((("entry", at, name), entry_key(one, beside_one, name, SECRET).key))
    for (kind, which, of), key in keys:
        for name, (at, one, beside_one) in product(
            BY_CLASS, ((0, entry, beside), (1, other, beside_other))
        ):
            for tried in (ClassKey(3, name, key), EntryKey(one.id, name, key)):
                right = kind == "class" if isinstance(tried, ClassKey) else kind == "entry"
                if right and name == of and which in ((3,) if kind == "class" else (at,)):
                    assert opened(one, beside_one, tried) == BY_CLASS[name]
                else:
                    with pytest.raises(Corrupt):
                        open_beside(one, beside_one, tried)


def test_a_new_epoch_ends_a_class_key() -> None:
    """An old key says nothing of entries made under a new secret."""
    new = ActorSecret(4, bytes([6]) * 32)
    made = seal_by_class(FIELDS, ACTOR, secret=new, classes=CLASSES)
    for old in (SECRET, SECRET.class_key("people"), SECRET.class_key("core")):
        assert opened(Entry(made.entry.jws), made.beside, old) == {}
    assert opened(Entry(made.entry.jws), made.beside, new) == FIELDS


def test_what_was_erased_opens_for_nobody_and_every_proof_stays_valid() -> None:
    """The leaf, its hash and its path are untouched, and all other classes open as before."""
    entry, beside = sealed()
    granted = entry_key(entry, beside, "people", SECRET)
    left = parse_beside(beside.erased("people").data)
    rest = {name: value for name, value in FIELDS.items() if CLASSES.class_of(name) != "people"}
    assert opened(entry, left, SECRET) == rest
    for key in (granted, SECRET.class_key("people")):
        assert opened(entry, left, key) == {}
    with pytest.raises(NotFound, match="people"):
        entry_key(entry, left, "people", SECRET)
    # Nothing that was stored of the class is left to be tried by force.
    assert left.classes["people"] == SealedClass(erased=True)
    assert left.erased("people") == left
    other = leaf_hash(b"another entry")
    hashes = [other, leaf_hash(entry.leaf)]
    path = inclusion_path(lambda level, index: hashes[index], 1, 2)
    check_inclusion(leaf_hash(entry.leaf), 1, 2, path, node_hash(*hashes))


def test_only_personal_classes_are_erased() -> None:
    """Where the key could be derived again, saying that it was erased would be untrue."""
    _, beside = sealed()
    with pytest.raises(Refused, match="derived again"):
        beside.erased("core")
    with pytest.raises(NotFound):
        beside.erased("legal")


def test_personal_salts_follow_from_no_class_key() -> None:
    """After erasure not even the holder of the actor's secret can test a guess of a value."""
    made = seal_by_class(FIELDS, ACTOR, secret=SECRET, classes=CLASSES)
    derived = {}
    for field in FIELDS:
        class_key = SECRET.class_key(CLASSES.class_of(field)).key
        key = derive(class_key, b"bl/v1" + made.beside.id)
        derived[field] = derive(key, b"salt" + field.encode())[:16]
    salts = {}
    for text in made.entry.disclosures:
        salt, field, _ = msgspec.json.decode(from_base64url(text))
        salts[field] = from_base64url(salt)
    same = {field for field in FIELDS if salts[field] == derived[field]}
    assert same == {"act", "at", "digest", "price"}


def test_a_field_in_no_class_is_refused() -> None:
    """Who may see a field is decided before it is signed."""
    with pytest.raises(Refused, match="'b' of an entry is in no class"):
        seal_by_class({"b": 1}, ACTOR, secret=SECRET, classes=Classes({"a": "core"}))
    with pytest.raises(Refused, match="class"):
        seal_by_class({"a": 1}, ACTOR, secret=SECRET, classes=Classes({"a": "No Name"}))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    """A cut secret makes no weaker keys."""
    with pytest.raises(Refused, match="32"):
        seal_by_class(FIELDS, ACTOR, secret=ActorSecret(0, bytes(length)), classes=CLASSES)


def test_what_lies_beside_belongs_to_one_entry() -> None:
    """Exchanged blobs, and classes exchanged within one, are refused."""
    (entry, beside), (_, foreign) = sealed(), sealed()
    with pytest.raises(Corrupt):
        open_beside(entry, foreign, SECRET)
    swapped = {**beside.classes, "core": beside.classes["technical"]}
    with pytest.raises(Corrupt):
        open_beside(entry, msgspec.structs.replace(beside, classes=swapped), SECRET)


def test_every_flipped_bit_beside_an_entry_is_noticed() -> None:
    """Each bit of each ciphertext, wrapped key and of the identifier is authenticated."""
    entry, beside = sealed({"act": "x", "who": "y"})

    def flips(data: bytes) -> list[bytes]:
        whole = int.from_bytes(data)
        return [(whole ^ 1 << bit).to_bytes(len(data)) for bit in range(0, len(data) * 8, 7)]

    changed = [msgspec.structs.replace(beside, id=data) for data in flips(beside.id)]
    for name, part in beside.classes.items():
        parts = [SealedClass(data, part.key) for data in flips(part.data)]
        parts += [SealedClass(part.data, key) for key in flips(part.key or b"")]
        for one in parts:
            classes = {**beside.classes, name: one}
            changed.append(msgspec.structs.replace(beside, classes=classes))
    for blob in changed:
        with pytest.raises(Corrupt):
            open_beside(entry, blob, SECRET)


def test_what_its_signer_did_not_commit_to_is_refused() -> None:
    """Not even the actor can add a field later."""
    made = seal_by_class({"act": "x"}, ACTOR, secret=SECRET, classes=CLASSES)
    longer = seal_by_class({"act": "x", "at": 1}, ACTOR, secret=SECRET, classes=CLASSES)
    smaller = Entry(made.entry.jws)
    key = entry_key(longer.entry, longer.beside, "core", SECRET)
    data = encrypt_class(key.key, smaller, "core", longer.entry.disclosures)
    forged = msgspec.structs.replace(longer.beside, classes={"core": SealedClass(data)})
    with pytest.raises(Corrupt, match="sealed"):
        open_beside(smaller, forged, EntryKey(smaller.id, "core", key.key))


def test_what_is_erased_holds_nothing() -> None:
    """No key and no data, whoever reads it."""
    _, beside = sealed()
    left = parse_beside(beside.erased("people").data).classes["people"]
    assert left == SealedClass(b"", None, erased=True)


def test_a_blob_has_8_mebibytes_at_most() -> None:
    """That many are read, and no more."""
    _, beside = sealed()
    largest = beside.data.ljust(1 << 23)
    assert parse_beside(largest) == beside
    with pytest.raises(Refused, match="The blob beside an entry has"):
        parse_beside(largest + b" ")


def test_what_is_no_text_is_no_disclosure() -> None:
    """Well encrypted, but by somebody who put something else in."""
    entry, beside = sealed()
    key = entry_key(entry, beside, "core", SECRET).key
    data = internals._encrypt(key, b"\xff" * 256, internals._bound(entry, "core"))
    with pytest.raises(Corrupt, match="holds no disclosures"):
        internals.decrypt_class(key, entry, "core", data)


def test_nonces_follow_from_the_text() -> None:
    """HMAC-SHA256 by a key of their own over what it is bound to, a zero, and the text."""
    entry, beside = sealed()
    key, data = entry_key(entry, beside, "core", SECRET).key, beside.classes["core"].data
    bound = b"bl-beside/v1\n" + sha256(entry.leaf).digest() + b"core"
    plain = internals._decrypt(key, data, bound)
    assert data[:12] == hmac.digest(derive(key, b"nonce"), bound + b"\0" + plain, sha256)[:12]


def test_a_class_that_an_entry_lacks_has_no_key() -> None:
    """Neither from the secret nor from a key that names it."""
    entry, beside = sealed()
    with pytest.raises(NotFound):
        entry_key(entry, beside, "legal", SECRET)
    assert SECRET.class_key("legal").key_for(entry, beside, "legal") is None
    assert EntryKey(entry.id, "legal", bytes(32)).key_for(entry, beside, "legal") is None


def test_a_class_has_a_name() -> None:
    """Lower-case letters, digits, dashes; wherever it is said."""
    with pytest.raises(Refused, match="class") as raised:
        SECRET.class_key("Not A Name")
    says = str(raised.value)
    with pytest.raises(Refused) as raised:
        Classes({}, otherwise="Not A Name").class_of("field")
    assert str(raised.value) == says


def test_a_field_without_a_spelling_is_refused() -> None:
    """Half a character is no name of a field."""
    with pytest.raises(Refused, match="JSON"):
        sealed({"\ud800": 1})


def test_open_fields_are_parted_by_class() -> None:
    """Those about people from the rest; and those of one class left out."""
    entry = seal_by_class(FIELDS, ACTOR, secret=SECRET, classes=CLASSES).entry
    rest, people = CLASSES.parted(entry)
    assert open_entry(Entry(entry.jws, people), ACTOR.public) == BY_CLASS["people"]
    others = {name: value for name, value in FIELDS.items() if name not in BY_CLASS["people"]}
    assert open_entry(rest, ACTOR.public) == others
    left = CLASSES.without(entry, "money")
    assert open_entry(left, ACTOR.public) == {k: v for k, v in FIELDS.items() if k != "price"}


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(max_size=400), max_size=6))
def test_sizes_are_blurred(fields: dict[str, str]) -> None:
    """What lies beside shows how much there is in steps of 256 bytes only."""
    made = seal_by_class(fields, ACTOR, secret=SECRET, classes=CLASSES)
    assert opened(Entry(made.entry.jws), made.beside, SECRET) == fields
    for part in made.beside.classes.values():
        assert (len(part.data) - 12 - 16) % 256 == 0


def test_equal_entries_are_encrypted_unlike() -> None:
    """No two blobs of equal fields share anything but the class names."""
    (_, first), (_, second) = sealed(), sealed()
    parts = [part for beside in (first, second) for part in beside.classes.values()]
    assert len({part.data for part in parts}) == len(parts)


def test_a_repeated_random_number_repeats_no_nonce() -> None:
    """After a snapshot the same key may come again: another text still has another nonce."""
    data = [internals._encrypt(bytes(32), text, b"bound") for text in (b"one", b"two", b"one")]
    assert data[0][:12] != data[1][:12]
    assert data[0] == data[2]


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"id": "AAAA"},
        {"epoch": "1"},
        {"more": 1},
        {"classes": {"No Name": {"data": ""}}},
        {"classes": {"core": {"data": 1}}},
        {"classes": []},
    ],
)
def test_a_blob_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    """What lies beside is read strictly, by whomever it was stored."""
    _, beside = sealed()
    plain = {**msgspec.to_builtins(beside), **change}
    with pytest.raises(Refused):
        parse_beside(msgspec.json.encode(plain))


def test_no_key_is_ever_shown() -> None:
    """Keys do not come into messages by way of their values' texts."""
    entry, beside = sealed()
    for value in (SECRET, SECRET.class_key("core"), entry_key(entry, beside, "core", SECRET)):
        assert repr(value) == str(value) == f"{type(value).__name__}(…)"


def test_a_stranger_cannot_seal_as_the_actor() -> None:
    """The keys open; only the signature says whose entry it is."""
    made = seal_by_class(FIELDS, Identity.create(), secret=SECRET, classes=CLASSES)
    with pytest.raises(Corrupt):
        open_entry(open_beside(made.entry, made.beside, SECRET), ACTOR.public)
