"""Sealed entries: a signed commitment to fields that can be shown one by one (SD-JWT, RFC 9901).

The leaf in the ledger is the signed JWS alone. Whoever is also given a field's disclosure can
check that the signer committed to it; nobody else learns more than a padded number of fields.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import Any, Literal

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import sign_jws, verify_jws
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.tiles import check_leaf

ENTRY_TYPE = "bl-entry+sd-jwt"
"""The ``typ`` of an entry's JWS."""

_SALT_BYTES = 16
_LEAST_DIGESTS = 8
_RESERVED = frozenset({"v", "tags", "_sd", "_sd_alg", "..."})
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed entry with the disclosures that its holder has.

    Args:
        jws: The signed commitments, a compact JWS.
        disclosures: One base64url text for each field that can be opened.
    """

    jws: str
    disclosures: tuple[str, ...] = ()

    @property
    def leaf(self) -> bytes:
        """What stands in the ledger: the JWS alone, in ASCII.

        Raises:
            Corrupt: The JWS is not ASCII.
        """
        try:
            return self.jws.encode("ascii")
        except UnicodeEncodeError as error:
            raise Corrupt("An entry is not a compact JWS") from error

    @property
    def id(self) -> Digest:
        """The entry's name: the digest of its leaf."""
        return digest_of(self.leaf)

    def disclosing(self, names: Collection[str]) -> Entry:
        """Return the entry with the disclosures of these fields only.

        Raises:
            Refused: A field named is not among the disclosures held.
            Corrupt: A disclosure is malformed.
        """
        held = {_open(text)[0]: text for text in self.disclosures}
        if missing := sorted(set(names) - set(held)):
            raise Refused(f"The entry discloses no field {missing[0]!r}")
        return Entry(self.jws, tuple(text for name, text in held.items() if name in set(names)))


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of an entry's JWS: what everybody may see."""

    v: Literal[1]
    tags: list[str]
    sd_alg: Literal["sha-256"] = msgspec.field(name="_sd_alg")
    sd: list[str] = msgspec.field(name="_sd")


def make_entry(fields: Mapping[str, Any], identity: Identity) -> Entry:
    """Seal fields into a signed entry; every field can be disclosed on its own.

    Args:
        fields: Names and JSON values. The number of digests is padded with decoys to 8, 16, 32 …
        identity: Who signs.

    Raises:
        Refused: A reserved name, a value that JSON does not have, or a leaf over 65,535 bytes.
    """
    disclosures = tuple(_disclose(name, value) for name, value in fields.items())
    padded = max(_LEAST_DIGESTS, 1 << (len(disclosures) - 1).bit_length())
    digests = [_digest(text) for text in disclosures]
    digests += [to_base64url(secrets.token_bytes(32)) for _ in range(padded - len(digests))]
    sealed = _Sealed(v=1, tags=[], sd_alg="sha-256", sd=sorted(digests))
    entry = Entry(sign_jws(msgspec.json.encode(sealed), identity, typ=ENTRY_TYPE), disclosures)
    check_leaf(entry.leaf)
    return entry


def open_entry(entry: Entry, keys: PublicKeys) -> dict[str, Any]:
    """Return the disclosed fields of an entry that these keys signed.

    1. The signature holds, for this type of statement.
    2. The payload has the one shape that entries have, and names no digest twice.
    3. Every disclosure is committed to in the payload, and no field is disclosed twice.

    Raises:
        Corrupt: A step fails; the sentence says which, never with a field's value.
    """
    payload = verify_jws(entry.jws, keys, typ=ENTRY_TYPE)
    try:
        sealed = parse_json(payload, _Sealed, what="payload of an entry")
    except Refused as error:
        raise Corrupt("The payload of an entry is not of the shape that entries have") from error
    committed = set(sealed.sd)
    if len(committed) != len(sealed.sd):
        raise Corrupt("An entry commits to the same digest twice")
    fields: dict[str, Any] = {}
    for name, value in _open_all(entry.disclosures, committed):
        if name in fields:
            raise Corrupt(f"An entry discloses the field {name[:80]!r} twice")
        fields[name] = value
    return fields


def _open_all(disclosures: Collection[str], committed: set[str]) -> Iterator[tuple[str, Any]]:
    for number, text in enumerate(disclosures, 1):
        name, value = _open(text)
        if _digest(text) not in committed:
            raise Corrupt(f"Disclosure {number} of an entry is not what its signer committed to")
        yield name, value


def _disclose(name: str, value: Any) -> str:
    """Return base64url(JSON [salt, name, value]) (RFC 9901 §4.2.1)."""
    if name in _RESERVED:
        raise Refused(f"A field of an entry cannot be named {name!r}; the format uses that name")
    try:
        text = _encoder.encode([secrets.token_urlsafe(_SALT_BYTES), name, value])
        return to_base64url(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"The field {name!r} of an entry has a value that JSON does not") from error


def _open(text: str) -> tuple[str, Any]:
    """Read a disclosure into the field's name and value."""
    try:
        salt, name, value = decode_json(from_base64url(text), tuple[str, str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(
            "A disclosure of an entry is not a JSON array of salt, name, value"
        ) from error
    if not salt or name in _RESERVED:
        raise Corrupt("A disclosure of an entry has no salt, or a name that the format uses")
    return name, value


def _digest(disclosure: str) -> str:
    """Return base64url(SHA256(ASCII(disclosure))) (RFC 9901 §4.2.3)."""
    return to_base64url(sha256(disclosure.encode()).digest())
