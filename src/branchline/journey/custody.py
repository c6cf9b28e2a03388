"""The aggregator's key: made for one journey, never written in clear, kept safe by the stations.

Its host seals the private half to the stations of the route and keeps no copy of its own. After a
restart it asks a station for it, naming a fresh recipient in a statement signed with its own key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.foundation.decoding import decode_json
from branchline.foundation.encoding import to_bech32
from branchline.foundation.errors import Corrupt
from branchline.foundation.ids import Id
from branchline.foundation.jws import sign_jws, verify_jws
from branchline.foundation.keys import SEAL_PREFIX, Identity, PublicKeys
from branchline.foundation.sealing import seal, unseal

STATEMENT = "bl-custody+jws"


class CustodyCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A restarted host's word: give the journey's key to this recipient."""

    journey: Id
    recipient: str


def recipient_of(key: X25519PrivateKey) -> str:
    """Return the age recipient of a key."""
    return to_bech32(SEAL_PREFIX, key.public_key().public_bytes_raw())


def entrust(key: X25519PrivateKey, stations: Sequence[str]) -> bytes:
    """Seal a journey's key to the stations of its route."""
    return bytes(seal(key.private_bytes_raw(), stations))


def call_back(journey: str, fresh: X25519PrivateKey, host: Identity) -> str:
    """Ask for a journey's key, to be sealed to a fresh one."""
    call = CustodyCall(journey, recipient_of(fresh))
    return sign_jws(msgspec.json.encode(call), host, typ=STATEMENT)


def hand_back(statement: str, host: PublicKeys, custody: bytes, station: Identity) -> bytes:
    """Seal a journey's key for its host, at a station that was entrusted with it.

    Raises:
        Corrupt: The statement is not the host's, or the key is not entrusted to this station.
    """
    try:
        call = decode_json(verify_jws(statement, host, typ=STATEMENT), CustodyCall)
    except msgspec.DecodeError as error:
        raise Corrupt("A call for a journey's key is malformed") from error
    return bytes(seal(unseal(custody, station.seal_private), [call.recipient]))


def take_back(sealed: bytes, fresh: X25519PrivateKey, recipient: str) -> X25519PrivateKey:
    """Open a key that came back, and check that it is the journey's.

    Raises:
        Corrupt: It is another key, or cannot be opened.
    """
    raw = bytes(unseal(sealed, fresh))
    if len(raw) != 32:
        raise Corrupt("A key that came back does not hold 32 bytes")
    key = X25519PrivateKey.from_private_bytes(raw)
    if recipient_of(key) != recipient:
        raise Corrupt("The key that came back is not this journey's")
    return key
