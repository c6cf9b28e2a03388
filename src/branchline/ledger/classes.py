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

import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from branchline.foundation.digest import WireDigest
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.ids import Name, check_name
from branchline.foundation.keys import Identity
from branchline.ledger.beside import (
    ID_BYTES,
    KEY_BYTES,
    Beside,
    Key,
    SealedClass,
    decrypt_class,
    derive,
    encrypt_class,
    unwrap_key,
    wrap_key,
)
from branchline.ledger.entry import (
    SALT_BYTES,
    Entry,
    disclosed_name,
    disclosure_digest,
    make_entry,
    read_leaf,
)

_CLASS, _ENTRY, _WRAP = b"bl/v1/class", b"bl/v1", b"bl/v1/wrap"


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
            return derive(self.key, _ENTRY + beside.id)
        wrapping = derive(self.key, _WRAP + beside.id)
        return unwrap_key(wrapping, entry, name, sealed.key)


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
        return ClassKey(self.epoch, name, derive(self.secret, _CLASS + name.encode()))

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

    def parted(self, entry: Entry) -> tuple[Entry, tuple[str, ...]]:
        """Return an entry without its open fields about people, and their disclosures apart.

        Raises:
            Corrupt: A disclosure is malformed.
            Refused: A field is in no class.
        """
        named = [(self.class_of(disclosed_name(text)), text) for text in entry.disclosures]
        rest = tuple(text for name, text in named if name not in self.personal)
        return Entry(entry.jws, rest), tuple(t for name, t in named if name in self.personal)

    def without(self, entry: Entry, name: str) -> Entry:
        """Return an entry without its open fields of one class.

        Raises:
            Corrupt: A disclosure is malformed.
            Refused: A field is in no class.
        """
        kept = (text for text in entry.disclosures if self.class_of(disclosed_name(text)) != name)
        return Entry(entry.jws, tuple(kept))


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
        else derive(secret.class_key(name).key, _ENTRY + identifier)
        for name in sorted(set(named.values()))
    }

    def salt(field: str) -> bytes:
        return derive(keys[named[field]], b"salt" + field.encode(errors="replace"))[:SALT_BYTES]

    entry = make_entry(fields, identity, tags=tags, salts=salt)
    parts: dict[str, SealedClass] = {}
    for name, key in keys.items():
        texts = [text for text in entry.disclosures if named[disclosed_name(text)] == name]
        wrapped = None
        if name in classes.personal:
            wrapping = derive(secret.class_key(name).key, _WRAP + identifier)
            wrapped = wrap_key(wrapping, entry, name, key)
        parts[name] = SealedClass(encrypt_class(key, entry, name, texts), wrapped)
    return Sealed(entry, Beside(1, identifier, secret.epoch, parts))


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
        for text in decrypt_class(key, entry, name, sealed.data):
            if disclosure_digest(text) not in committed:
                raise Corrupt(f"The class {name!r} beside an entry is not what its signer sealed")
            disclosures[text] = None
    return Entry(entry.jws, tuple(disclosures))
