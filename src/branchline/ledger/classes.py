"""Fields by class: who is given a class's key opens that class, in every entry or in one.

Each actor has one secret for an epoch. From it follow a key for each class, from that a key for
each entry's part in the class, and from that the salts of its fields and the key under
which their disclosures are encrypted. What is encrypted lies beside the ledger (``Beside``), with
whoever stores it; the ledger holds the commitments only.

Fields about people are different: their key is random and only *wrapped* by the class's key, so
that deleting the wrapped key erases them. The commitment stays, nothing opens it, and every
proof stays valid.

Which classes there are, which fields are in them and which are personal is handed in.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import WireDigest, sha256_of
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.ids import Name, check_name
from branchline.foundation.keys import Identity
from branchline.ledger.entry import (
    SALT_BYTES,
    Entry,
    disclosed_name,
    disclosure_digest,
    make_entry,
    read_leaf,
)

KEY_BYTES = 32
"""The length of every secret and key here."""

ID_BYTES = 16
"""The length of the random number that tells one actor's entries apart before they are signed."""

Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
"""A key as it stands in messages, its length checked while parsing."""

MAX_BESIDE = 1 << 23
"""The most bytes of what lies beside an entry."""

_NONCE_BYTES = 12
_PADDING = 256
_CLASS, _ENTRY, _WRAP = b"bl/v1/class", b"bl/v1", b"bl/v1/wrap"
_LABEL = b"bl-beside/v1\n"


class SealedClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The disclosures of one class of an entry, encrypted.

    Args:
        data: A nonce and the ciphertext; empty once erased.
        key: A personal class's random key, wrapped by the class's key; None for a key that is
            derived.
        erased: The key and the ciphertext were deleted.
    """

    data: bytes = b""
    key: bytes | None = None
    erased: bool = False


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies beside an entry in the ledger: its disclosures, encrypted by class.

    Args:
        v: The version of this format.
        id: 16 random bytes, chosen before the entry was signed; the keys depend on it.
        epoch: Which of the actor's secrets the keys follow from.
        classes: By their names. The names, and about how much is in each, are public to whoever
            stores this.
    """

    v: Literal[1]
    id: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    epoch: int
    classes: dict[Name, SealedClass]

    @property
    def data(self) -> bytes:
        """The blob to be stored, in its one spelling."""
        return canonical_json(self)

    def erased(self, name: str) -> Beside:
        """Return what is left once a personal class is erased for good.

        Every copy of the blob has to be replaced by it, backups too. Who was shown the fields
        before remembers them.

        Raises:
            NotFound: The entry has no fields of this class.
            Refused: The class is not personal: its key can be derived again.
        """
        found = self._class(name)
        if found.key is None and not found.erased:
            raise Refused(
                f"The class {name!r} of an entry cannot be erased: its key can be derived again",
                advice="Only fields that were put into a personal class can be erased",
            )
        left = {**self.classes, name: SealedClass(erased=True)}
        return msgspec.structs.replace(self, classes=left)

    def _class(self, name: str) -> SealedClass:
        if name not in self.classes:
            raise NotFound(f"The entry has no fields of the class {name!r}")
        return self.classes[name]


class Opener(Protocol):
    """Whoever has some of the keys."""

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key of an entry's part in a class, or None if these keys do not give it."""
        ...


class _Secretive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value whose text names no key."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class ClassKey(_Secretive, frozen=True):
    """Opens one class in all entries of one actor in one epoch.

    Args:
        epoch: The epoch.
        name: The class.
        key: 32 bytes.
    """

    epoch: int
    name: Name
    key: Key

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key of an entry's part in this class, unless it was erased."""
        if (beside.epoch, name) != (self.epoch, self.name):
            return None
        sealed = beside.classes.get(name, SealedClass(erased=True))
        if sealed.erased:
            return None
        if sealed.key is None:
            return _derive(self.key, _ENTRY + beside.id)
        wrapping = _derive(self.key, _WRAP + beside.id)
        return _decrypt(wrapping, sealed.key, _bound(entry, name) + b"\nkey")


class EntryKey(_Secretive, frozen=True):
    """Opens one class in one entry.

    Args:
        entry: The entry's name.
        name: The class.
        key: 32 bytes.
    """

    entry: WireDigest
    name: Name
    key: Key

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key if it is this entry and this class, unless it was erased."""
        sealed = beside.classes.get(name, SealedClass(erased=True))
        fits = (entry.id, name) == (self.entry, self.name)
        return self.key if fits and not sealed.erased else None


class ActorSecret(_Secretive, frozen=True):
    """What all keys of one actor in one epoch follow from; it never leaves the actor.

    A new epoch needs a new secret that does not follow from the old one: that is what ends the
    grants of class keys.

    Args:
        epoch: Counts the actor's secrets.
        secret: 32 random bytes.
    """

    epoch: int
    secret: Key

    def class_key(self, name: str) -> ClassKey:
        """Return the key of a class."""
        check_name(name, "class")
        return ClassKey(self.epoch, name, _derive(self.secret, _CLASS + name.encode()))

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key of an entry's part in any class of this epoch, unless it was erased."""
        return self.class_key(name).key_for(entry, beside, name)


class Classes(msgspec.Struct, frozen=True):
    """Which class each field is in.

    Args:
        of: The class of each field by its name.
        personal: The classes of fields about people, which can be erased.
        otherwise: The class of fields that are not named; None to refuse them.
    """

    of: Mapping[str, str]
    personal: Collection[str] = ()
    otherwise: str | None = None

    def class_of(self, field: str) -> str:
        """Return a field's class.

        Raises:
            Refused: The field has none.
        """
        name = self.of.get(field, self.otherwise)
        if name is None:
            raise Refused(
                f"The field {field!r} of an entry is in no class",
                advice="Say in which; who may see it follows from that",
            )
        return check_name(name, "class")


class Sealed(NamedTuple):
    """An entry with what lies beside it."""

    entry: Entry
    beside: Beside


def seal_by_class(
    fields: Mapping[str, Any],
    identity: Identity,
    *,
    secret: ActorSecret,
    classes: Classes,
    tags: Iterable[str] = (),
) -> Sealed:
    """Seal fields into a signed entry, and its disclosures, encrypted by class, beside it.

    Args:
        fields: Names and JSON values.
        identity: Who signs.
        secret: The actor's secret of this epoch.
        classes: Which class each field is in.
        tags: The entry's places in topics.

    Raises:
        Refused: As ``make_entry``; or a field is in no class, or the secret has another length.
    """
    identifier = secrets.token_bytes(ID_BYTES)
    named = {name: classes.class_of(name) for name in fields}
    keys = {
        name: secrets.token_bytes(KEY_BYTES)
        if name in classes.personal
        else _derive(secret.class_key(name).key, _ENTRY + identifier)
        for name in sorted(set(named.values()))
    }

    def salt(field: str) -> bytes:
        return _derive(keys[named[field]], b"salt" + field.encode(errors="replace"))[:SALT_BYTES]

    entry = make_entry(fields, identity, tags=tags, salts=salt)
    parts: dict[str, SealedClass] = {}
    for name, key in keys.items():
        texts = [text for text in entry.disclosures if named[disclosed_name(text)] == name]
        wrapped = None
        if name in classes.personal:
            wrapping = _derive(secret.class_key(name).key, _WRAP + identifier)
            wrapped = _encrypt(wrapping, key, _bound(entry, name) + b"\nkey")
        parts[name] = SealedClass(_encrypt(key, _join(texts), _bound(entry, name)), wrapped)
    return Sealed(entry, Beside(1, identifier, secret.epoch, parts))


def parse_beside(data: bytes) -> Beside:
    """Read what lies beside an entry; nothing is opened.

    Raises:
        Refused: Too large, or not of the shape.
    """
    return parse_json(data, Beside, what="blob beside an entry", limit=MAX_BESIDE)


def entry_key(entry: Entry, beside: Beside, name: str, opener: Opener) -> EntryKey:
    """Return the key that opens one class in one entry, to be granted.

    Raises:
        NotFound: The entry has no fields of this class, or they were erased, or these keys do not
            open them.
    """
    key = opener.key_for(entry, beside, name)
    if key is None:
        raise NotFound(f"The class {name!r} of the entry is not opened by these keys")
    return EntryKey(entry.id, name, key)


def open_beside(entry: Entry, beside: Beside, opener: Opener) -> Entry:
    """Return the entry with the disclosures of all classes that some keys open.

    Classes that they do not open, and erased ones, stay closed without an error. No signature is
    verified: ``open_entry`` does.

    Raises:
        Corrupt: What lies beside was changed or is another entry's, or a key is not what it
            says; or it holds something that the entry does not commit to.
    """
    committed = set(read_leaf(entry.leaf).digests)
    disclosures = dict.fromkeys(entry.disclosures)
    for name, sealed in beside.classes.items():
        key = opener.key_for(entry, beside, name)
        if key is None or sealed.erased:
            continue
        for text in _split(_decrypt(key, sealed.data, _bound(entry, name))):
            if disclosure_digest(text) not in committed:
                raise Corrupt(f"The class {name!r} beside an entry is not what its signer sealed")
            disclosures[text] = None
    return Entry(entry.jws, tuple(disclosures))


def _derive(key: bytes, info: bytes) -> bytes:
    """Derive 32 bytes with HKDF-SHA-256 without a salt (RFC 5869)."""
    if len(key) != KEY_BYTES:
        raise Refused(f"A key of the ledger has {len(key)} bytes; it must have {KEY_BYTES}")
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(key)


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """Encrypt with ChaCha20-Poly1305 (RFC 8439); the nonce stands in front.

    Each key encrypts one text only, so any nonce would do. It is derived from the text all the
    same: a machine set back to a snapshot may repeat its random numbers, and with them the
    key; then two texts still have two nonces, and only an equal text is seen to be equal.
    """
    nonce = hmac.digest(_derive(key, b"nonce"), bound + b"\0" + plain, sha256)[:_NONCE_BYTES]
    return nonce + ChaCha20Poly1305(_derive(key, b"enc")).encrypt(nonce, plain, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce, ciphertext = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
    try:
        return ChaCha20Poly1305(_derive(key, b"enc")).decrypt(nonce, ciphertext, bound)
    except (InvalidTag, ValueError) as error:
        raise Corrupt(
            "What lies beside an entry does not open with the key for it",
            advice="It was changed, is another entry's, or the key is not what it says",
        ) from error


def _bound(entry: Entry, name: str) -> bytes:
    """Return what a ciphertext is bound to: the leaf and the class."""
    return _LABEL + sha256_of(entry.id) + name.encode()


def _join(disclosures: Iterable[str]) -> bytes:
    """Write disclosures, each followed by a tilde, padded with tildes to multiples of 256."""
    joined = "".join(f"{text}~" for text in disclosures).encode()
    return joined + b"~" * (-len(joined) % _PADDING)


def _split(plain: bytes) -> list[str]:
    try:
        return [text for text in plain.decode("ascii").split("~") if text]
    except UnicodeDecodeError as error:
        raise Corrupt("What lies beside an entry holds no disclosures") from error
