"""Statements: the entries that name the head of a ledger's tag tree, and nothing a mirror cannot check.

An entry hides its fields, and which of its digests are decoys: what one reader is shown need not be
what another is. A statement hides nothing. It has as many fields as digests, and all its salts follow
from the ledger's name: whoever makes the tree anew from the entries computes every digest of the
statement, and one other digest is a lie. It is signed by the ledger's own key.

Statement number k covers the first 256·k entries, and bears the k-th tag of the ledger's statement
topic. So whoever reads the leaves finds it without having been told anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Any

from branchline.foundation.encoding import to_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.entry import Entry, disclosure, disclosure_digest, make_entry, read_leaf
from branchline.ledger.proof.note import VerifierKey, to_base64
from branchline.ledger.tagproof import TagTreeHead, statement_topic
from branchline.ledger.tiles import TILE_WIDTH
from branchline.ledger.topics import tag_of

REACH = 256
"""A statement stands at most so many bundles after the entries that it covers."""

KIND = "ledger.tags-stated"
"""What a statement says of itself, in the field ``act``."""


def make_statement(head: TagTreeHead, ledger: str, identity: Identity) -> Entry:
    """State the head of a tag tree.

    Args:
        head: It covers a multiple of 256 entries.
        ledger: The ledger's name.
        identity: The ledger's own key.

    Raises:
        Refused: It covers another number of entries.
    """
    number, rest = divmod(head.covered, TILE_WIDTH)
    if rest:
        raise Refused(f"A statement covers a multiple of {TILE_WIDTH} entries, not {head.covered}")
    secret = statement_topic(ledger)
    return make_entry(
        _fields(head, ledger),
        identity,
        tags=[tag_of(secret, number)],
        salts=lambda name: _salt(secret, number, name),
    )


def keys_of(log: VerifierKey) -> PublicKeys:
    """Return the keys that state the heads of a ledger's tag trees: the ledger's own."""
    return PublicKeys(to_base64url(log.key), "")


def keeper_of(log: VerifierKey) -> str:
    """Return the id of the key that states the heads of a ledger's tag trees."""
    return keys_of(log).id


def stated_in(leaf: bytes, position: int, log: VerifierKey) -> int | None:
    """Return how many entries the statement in a leaf covers; None if the leaf is none.

    Args:
        leaf: An entry's leaf, or any other.
        position: Where it stands.
        log: The ledger's key.
    """
    try:
        found = read_leaf(leaf)
    except Corrupt:
        return None
    if found.kid != keeper_of(log):
        return None
    numbers = _numbers(log.name, position // TILE_WIDTH)
    covered = [numbers[tag] * TILE_WIDTH for tag in found.tags if tag in numbers]
    return covered[0] if covered else None


def check_statement(leaf: bytes, position: int, head: TagTreeHead, log: VerifierKey) -> None:
    """Check that a leaf states this head of the tag tree, and can be shown to state no other.

    Whether it is the right one is another question: see ``witness/statements``.

    Args:
        leaf: The entry's leaf.
        position: Where it stands.
        head: The head that it is said to state.
        log: The ledger's key.

    Raises:
        Corrupt: It does not.
    """
    covered = stated_in(leaf, position, log)
    if covered != head.covered or read_leaf(leaf).digests != tuple(_digests(head, log.name)):
        raise Corrupt(f"The entry {position} is no statement of this head of the tag tree")


def opened(leaf: bytes, head: TagTreeHead, ledger: str) -> Entry:
    """Return a statement with all of its fields open, as everybody can who knows the head."""
    return Entry(leaf.decode("ascii"), tuple(_disclosures(head, ledger)))


def _fields(head: TagTreeHead, ledger: str) -> dict[str, Any]:
    """Return eight fields, as many as an entry has digests at least: none is a decoy."""
    return {
        "act": KIND,
        "ledger": ledger,
        "size": head.size,
        "root": to_base64(head.root),
        "covered": head.covered,
        "tree": "RFC 6962",
        "hash": "SHA-256",
        "record": "tag16 || uint64be(position)",
    }


def _salt(secret: bytes, number: int, name: str) -> bytes:
    return hmac.digest(secret, b"salt" + number.to_bytes(8) + name.encode(), sha256)[:16]


def _digests(head: TagTreeHead, ledger: str) -> Iterable[str]:
    return sorted(map(disclosure_digest, _disclosures(head, ledger)))


def _disclosures(head: TagTreeHead, ledger: str) -> Iterator[str]:
    """Spell the disclosures of a statement, whoever signs it."""
    secret, number = statement_topic(ledger), head.covered // TILE_WIDTH
    for name, value in _fields(head, ledger).items():
        yield disclosure(name, value, _salt(secret, number, name))


@lru_cache(maxsize=64)
def _numbers(ledger: str, bundle: int) -> dict[str, int]:
    """Return the numbers of the statements that may stand in a bundle, by their tags."""
    secret = statement_topic(ledger)
    return {tag_of(secret, number): number for number in range(max(0, bundle - REACH), bundle + 1)}
