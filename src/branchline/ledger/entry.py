"""Sealed entries: a signed commitment to fields that can be shown one by one (SD-JWT, RFC 9901).

The leaf in the ledger is the signed JWS alone. Whoever is also given a field's disclosure can
check that the signer committed to it; nobody else learns more than a padded number of fields.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from operator import lt
from typing import Any, Literal

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import ALGORITHM, sign_jws, verify_jws
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.tiles import MAX_LEAF, check_leaf
from branchline.ledger.topics import is_tag

ENTRY_TYPE = "bl-entry+sd-jwt"
"""The ``typ`` of an entry's JWS."""

MAX_TAGS = 16
"""The most tags an entry may bear."""

SALT_BYTES = 16
"""The length of the salt that hides a field's value."""

Salts = Callable[[str], bytes]
"""Give the 16 bytes of salt for a field; no two fields of all entries may share theirs."""

MAX_DISCLOSURE = 1 << 20
"""The most characters a disclosure may have."""

_LEAST_DIGESTS = 8
_RESERVED = frozenset({"v", "tags", "_sd", "_sd_alg", "..."})
_HASH, _TAG = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", "[A-Za-z0-9_-]{21}[AQgw]"
_TEXTS = r'\[((?:"{0}"(?:,"{0}")*)?)\]'
_LEAF = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{85}[AQgw]")
_HEADER = re.compile(
    rf'{{"alg":"{ALGORITHM}","kid":"({_HASH})","typ":"{re.escape(ENTRY_TYPE)}"}}'.encode()
)
_PAYLOAD = re.compile(
    f'{{"v":1,"tags":{_TEXTS.format(_TAG)},'
    f'"_sd_alg":"sha-256","_sd":{_TEXTS.format(_HASH)}}}'.encode()
)
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

    @property
    def tags(self) -> tuple[str, ...]:
        """Its places in topics, which stand in the clear; the signature is not verified.

        Raises:
            Corrupt: The JWS is not that of an entry.
        """
        return read_leaf(self.leaf).tags

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


class Leaf(msgspec.Struct, frozen=True):
    """What everybody sees of an entry in the ledger; no signature is verified.

    Args:
        kid: The key that it says to be signed with.
        tags: Its places in topics, each 16 bytes in base64url, ascending.
        digests: Commitments to fields, and decoys, ascending.
    """

    kid: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of an entry's JWS."""

    v: Literal[1]
    tags: tuple[str, ...]
    sd_alg: Literal["sha-256"] = msgspec.field(name="_sd_alg")
    sd: tuple[str, ...] = msgspec.field(name="_sd")


def random_salt(name: str) -> bytes:
    """Return a salt that was never used before and can be derived from nothing."""
    return secrets.token_bytes(SALT_BYTES)


def make_entry(
    fields: Mapping[str, Any],
    identity: Identity,
    *,
    tags: Iterable[str] = (),
    salts: Salts = random_salt,
) -> Entry:
    """Seal fields into a signed entry; every field can be disclosed on its own.

    Args:
        fields: Names and JSON values. The number of digests is padded with decoys to 8, 16, 32 …
        identity: Who signs.
        tags: Its places in topics (``topics.tag_of``), in any order: they are sorted, so that
            their order says nothing of what they are about.
        salts: Where the salts come from: chance, or a key from which they are derived.

    Raises:
        Refused: A reserved name, a value that JSON does not have, a malformed or doubled tag, too
            many tags, or a leaf over 65,535 bytes.
    """
    disclosures = tuple(disclosure(name, value, salts(name)) for name, value in fields.items())
    padded = max(_LEAST_DIGESTS, 1 << (len(disclosures) - 1).bit_length())
    digests = [disclosure_digest(text) for text in disclosures]
    digests += [to_base64url(secrets.token_bytes(32)) for _ in range(padded - len(digests))]
    payload = _Payload(v=1, tags=_check_tags(tags), sd_alg="sha-256", sd=tuple(sorted(digests)))
    entry = Entry(sign_jws(msgspec.json.encode(payload), identity, typ=ENTRY_TYPE), disclosures)
    check_leaf(entry.leaf)
    return entry


def open_entry(entry: Entry, keys: PublicKeys) -> dict[str, Any]:
    """Return the disclosed fields of an entry that these keys signed.

    1. The signature holds, for this type of statement and the one algorithm.
    2. The leaf has the one shape and spelling that entries have, and names no digest twice.
    3. Every disclosure is committed to in the payload, and no field is disclosed twice.

    Raises:
        Corrupt: A step fails; the sentence says which, never with a field's value.
    """
    verify_jws(entry.jws, keys, typ=ENTRY_TYPE)
    return committed_fields(entry)


def committed_fields(entry: Entry) -> dict[str, Any]:
    """Return the disclosed fields that a leaf commits to, whoever signed it.

    For those who know that the leaf stands in a ledger, and not whose the key is. Steps 2 and 3 of
    ``open_entry``.

    Raises:
        Corrupt: A step fails.
    """
    committed = set(read_leaf(entry.leaf).digests)
    fields: dict[str, Any] = {}
    for name, value in _open_all(entry.disclosures, committed):
        if name in fields:
            raise Corrupt(f"An entry discloses the field {name[:80]!r} twice")
        fields[name] = value
    return fields


def read_leaf(leaf: bytes) -> Leaf:
    """Read what stands in the clear in an entry's leaf; the signature is not verified.

    Each entry has one spelling only, so that all who read a ledger agree on which tags are in it.

    Raises:
        Corrupt: The leaf is not that of an entry, or not in its one spelling.
    """
    match = _LEAF.fullmatch(leaf.decode("latin-1"))
    if match is None or len(leaf) > MAX_LEAF:
        raise Corrupt("A leaf of the ledger is not an entry: no compact JWS with Ed25519")
    payload = _PAYLOAD.fullmatch(from_base64url(match[2]))
    if payload is None:
        raise Corrupt("The payload of an entry is not of the one shape and spelling there is")
    tags, digests = _listed(payload[1]), _listed(payload[2])
    if len(tags) > MAX_TAGS:
        raise Corrupt(f"An entry bears {len(tags)} tags; at most {MAX_TAGS} are accepted")
    return Leaf(_kid(match[1]), tags, digests)


def leaf_tags(leaf: bytes) -> tuple[str, ...]:
    """Return the tags that a leaf adds to the ledger: none if it is not an entry."""
    try:
        return read_leaf(leaf).tags
    except Corrupt:
        return ()


def disclosure_digest(disclosure: str) -> str:
    """Return base64url(SHA256(ASCII(disclosure))) (RFC 9901 §4.2.3)."""
    return to_base64url(sha256(disclosure.encode()).digest())


def disclosed_name(disclosure: str) -> str:
    """Return the name of the field that a disclosure opens.

    Raises:
        Corrupt: The disclosure is malformed.
    """
    return _open(disclosure)[0]


@lru_cache(maxsize=4096)
def _kid(segment: str) -> str:
    """Return the key that a header names."""
    header = _HEADER.fullmatch(from_base64url(segment))
    if header is None:
        raise Corrupt("The header of an entry is not of the one shape and spelling there is")
    return header[1].decode()


def _listed(items: bytes) -> tuple[str, ...]:
    """Return the texts of a JSON list, given without its brackets."""
    texts = tuple(items.decode()[1:-1].split('","')) if items else ()
    if not _ascending(texts):
        raise Corrupt("The tags or the digests of an entry are not distinct and sorted")
    return texts


def _check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    ordered = tuple(sorted(tags))
    if not all(map(is_tag, ordered)):
        raise Refused("A tag of an entry is not 16 bytes in base64url")
    if not _ascending(ordered):
        raise Refused("An entry cannot bear the same tag twice")
    if len(ordered) > MAX_TAGS:
        raise Refused(f"An entry bears at most {MAX_TAGS} tags; got {len(ordered)}")
    return ordered


def _ascending(texts: Sequence[str]) -> bool:
    return all(map(lt, texts, texts[1:]))


def _open_all(disclosures: Collection[str], committed: set[str]) -> Iterator[tuple[str, Any]]:
    for number, text in enumerate(disclosures, 1):
        name, value = _open(text)
        if disclosure_digest(text) not in committed:
            raise Corrupt(f"Disclosure {number} of an entry is not what its signer committed to")
        yield name, value


def disclosure(name: str, value: Any, salt: bytes) -> str:
    """Return base64url(JSON [salt, name, value]) (RFC 9901 §4.2.1).

    Raises:
        Refused: A reserved name, a value that JSON does not have, or one too large.
    """
    if name in _RESERVED:
        raise Refused(f"A field of an entry cannot be named {name!r}; the format uses that name")
    try:
        text = _encoder.encode([to_base64url(salt), name, value])
        spelled = to_base64url(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"The field {name!r} of an entry has a value that JSON does not") from error
    if len(spelled) > MAX_DISCLOSURE:
        raise Refused(
            f"The field {name!r} of an entry is too large",
            advice="Store it elsewhere and enter its digest",
        )
    return spelled


def _open(text: str) -> tuple[str, Any]:
    """Read a disclosure into the field's name and value."""
    if len(text) > MAX_DISCLOSURE:
        raise Corrupt(f"A disclosure of an entry has more than {MAX_DISCLOSURE} characters")
    try:
        salt, name, value = decode_json(from_base64url(text), tuple[str, str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(
            "A disclosure of an entry is not a JSON array of salt, name, value"
        ) from error
    if not salt or name in _RESERVED:
        raise Corrupt("A disclosure of an entry has no salt, or a name that the format uses")
    return name, value
