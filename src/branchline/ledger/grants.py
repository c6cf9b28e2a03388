"""Grants: an actor lets somebody see a class, one entry's part in a class, or single fields.

A grant is signed by the actor, so that it can be shown where the keys come from, and sealed to
its recipient. It names who it is for: passed on, it is refused. A grant of a class ends with the
actor's epoch, since the next secret gives other keys; what was seen cannot be unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.clock import parse_time, rfc3339
from branchline.foundation.digest import Bytes, WireDigest
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import read_kid, sign_jws, verify_jws
from branchline.foundation.keys import Identity, PublicKeys
from branchline.foundation.sealing import seal, unseal
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ClassKey, EntryKey, open_beside
from branchline.ledger.entry import (
    Entry,
    disclosed_name,
    disclosure_digest,
    read_leaf,
)

GRANT_TYPE = "bl-grant+jws"
"""The ``typ`` of a grant's JWS."""

MAX_GRANT = 1 << 23
"""The most bytes of a grant that are read."""


class OneField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opens one field of one entry.

    Args:
        entry: The entry's name.
        disclosure: The field's disclosure.
    """

    entry: WireDigest
    disclosure: str

    def __repr__(self) -> str:
        return "OneField(…)"


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one actor lets one party see.

    Args:
        v: The version of this format.
        actor: The key that signs the actor's entries, and signed this.
        to: The key of the party it is for.
        at: When it was made, by the actor's clock.
        classes: Each opens one class in all the actor's entries of one epoch.
        entries: Each opens one class in one entry.
        fields: Each opens one field of one entry.
    """

    v: Literal[1]
    actor: str
    to: str
    at: str
    classes: tuple[ClassKey, ...] = ()
    entries: tuple[EntryKey, ...] = ()
    fields: tuple[OneField, ...] = ()

    def key_for(self, entry: Entry, beside: Beside, name: str) -> bytes | None:
        """Return the key of an entry's part in a class, if it is granted and was not erased."""
        if not self.is_actors(entry):
            return None
        openers: tuple[ClassKey | EntryKey, ...] = (*self.entries, *self.classes)
        for opener in openers:
            if (key := opener.key_for(entry, beside, name)) is not None:
                return key
        return None

    def is_actors(self, entry: Entry) -> bool:
        """Tell whether an entry says to be the actor's; its signature is not verified."""
        return read_leaf(entry.leaf).kid == self.actor


def seal_grant(
    items: Iterable[ClassKey | EntryKey | OneField],
    identity: Identity,
    recipient: PublicKeys,
    at: datetime,
) -> Bytes:
    """Sign a grant and seal it to its recipient.

    Args:
        items: What to open: ``ActorSecret.class_key``, ``classes.entry_key``, ``one_field``.
        identity: The actor that signed, or will sign, the entries.
        recipient: Who may open the grant, and nobody else.
        at: The time.

    Raises:
        Refused: Nothing is granted, or something twice, or too much at once.
    """
    given = list(items)
    grant = Grant(
        v=1,
        actor=identity.id,
        to=recipient.id,
        at=rfc3339(at),
        classes=tuple(item for item in given if isinstance(item, ClassKey)),
        entries=tuple(item for item in given if isinstance(item, EntryKey)),
        fields=tuple(item for item in given if isinstance(item, OneField)),
    )
    _check(grant)
    payload = canonical_json(grant)
    if len(payload) > MAX_GRANT:
        raise Refused(
            f"A grant of {len(given)} things has {len(payload)} bytes; at most {MAX_GRANT} are read",
            advice="Give several grants, or one of a class",
        )
    token = sign_jws(payload, identity, typ=GRANT_TYPE)
    return seal(token.encode(), [recipient.seal])


def one_field(entry: Entry, name: str) -> OneField:
    """Return what opens one field of an entry, to be granted.

    Raises:
        Refused: The entry, as held here, does not disclose the field.
    """
    (disclosure,) = entry.disclosing([name]).disclosures
    return OneField(entry.id, disclosure)


def open_grant(data: Bytes, identity: Identity, actor: PublicKeys) -> Grant:
    """Return a grant that an actor made for this party.

    1. It is sealed to this party and was not changed.
    2. The actor signed it, as a grant.
    3. It is of the one shape, grants something and nothing twice.
    4. It names this party and this actor.

    Raises:
        Corrupt: A step fails; the sentence says which.
    """
    token = bytes(unseal(data, identity.seal_private))
    payload = verify_jws(token.decode("ascii", errors="replace"), actor, typ=GRANT_TYPE)
    try:
        grant = parse_json(payload, Grant, what="grant", limit=MAX_GRANT)
        parse_time(grant.at)
        _check(grant)
    except Refused as error:
        raise Corrupt(f"A grant is malformed: {error.refused}") from error
    if grant.to != identity.id:
        raise Corrupt("A grant was made for somebody else and passed on")
    if grant.actor != actor.id:
        raise Corrupt("A grant is of another actor's entries than its signer's")
    return grant


def granted_by(data: Bytes, identity: Identity) -> str:
    """Return the id of the key that a grant says to be signed with, to find out whose it is.

    Nothing but that it is sealed to this party is checked: ``open_grant`` is to follow.

    Raises:
        Corrupt: It is not sealed to this party, or was changed.
    """
    return read_kid(bytes(unseal(data, identity.seal_private)).decode("ascii", errors="replace"))


def open_granted(entry: Entry, beside: Beside | None, grant: Grant) -> Entry:
    """Return an entry with the disclosures that a grant opens; those of others stay closed.

    Args:
        entry: The entry, or its leaf alone.
        beside: What lies beside it; None if there is nothing, or nobody has it.
        grant: The grant.

    Raises:
        Corrupt: As ``open_beside``; or a field granted is none that the entry commits to.
    """
    opened = entry if beside is None else open_beside(entry, beside, grant)
    if not grant.is_actors(entry):
        return opened
    committed = set(read_leaf(entry.leaf).digests)
    disclosures = dict.fromkeys(opened.disclosures)
    for field in grant.fields:
        if field.entry == entry.id:
            if disclosure_digest(field.disclosure) not in committed:
                raise Corrupt("A grant discloses a field that the entry does not commit to")
            disclosures[field.disclosure] = None
    return Entry(entry.jws, tuple(disclosures))


class Opened(msgspec.Struct, frozen=True):
    """What a grant opened of one entry.

    Args:
        entry: The entry's name.
        classes: The classes opened, by name.
        fields: The names of all fields opened.
    """

    entry: WireDigest
    classes: tuple[str, ...]
    fields: tuple[str, ...]


def try_grant(grant: Grant, entries: Sequence[tuple[Entry, Beside | None]]) -> list[Opened]:
    """Check on entries that a grant opens all it says, and tell what it opens.

    Args:
        grant: The grant.
        entries: Entries with what lies beside them.

    Raises:
        Corrupt: Something that the grant says to open does not open; the entry is named.
        Refused: An entry that the grant names is not among those given.
    """
    known = {entry.id for entry, _ in entries}
    named = [key.entry for key in grant.entries] + [field.entry for field in grant.fields]
    if missing := [name for name in named if name not in known]:
        raise Refused(f"The grant names the entry {missing[0]}, which is not at hand")
    return [opened for entry, beside in entries if (opened := _try(grant, entry, beside)).fields]


def _try(grant: Grant, entry: Entry, beside: Beside | None) -> Opened:
    closed = Entry(entry.jws)
    try:
        disclosures = open_granted(closed, beside, grant).disclosures
    except Corrupt as error:
        raise Corrupt(f"A grant does not open the entry {entry.id} as it says") from error
    names = sorted(beside.classes) if beside is not None else ()
    classes = [name for name in names if beside and grant.key_for(closed, beside, name)]
    return Opened(entry.id, tuple(classes), tuple(map(disclosed_name, disclosures)))


def _check(grant: Grant) -> None:
    """Refuse a grant of nothing, or of something twice."""
    items = list(_items(grant))
    if not items:
        raise Refused("A grant opens nothing")
    if len(set(items)) != len(items):
        raise Refused("A grant opens the same thing twice")


def _items(grant: Grant) -> Iterator[tuple[str | int, ...]]:
    for key in grant.classes:
        yield "class", key.epoch, key.name
    for part in grant.entries:
        yield "entry", part.entry, part.name
    for field in grant.fields:
        try:
            yield "field", field.entry, disclosed_name(field.disclosure)
        except Corrupt as error:
            raise Refused(error.refused) from error
