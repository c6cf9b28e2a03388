"""Cosignatures: what a witness says of a checkpoint, and when (C2SP tlog-cosignature v1.0.1).

A cosignature on a checkpoint states: at this time, this was the largest tree that I have seen of
this log, and it continues every one I saw before. Ed25519 (type 0x04) and ML-DSA-44 (type 0x06).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import PublicKeys
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.note import (
    COSIGNATURE,
    ML_DSA_44,
    Note,
    Signature,
    Signer,
    VerifierKey,
    key_of,
    made_by,
    parse_key,
)

COSIGNER_TYPES = (COSIGNATURE, ML_DSA_44)
"""The signature types of cosignatures."""

LATEST_TIME = 2**63 - 1
"""The last second that a cosignature can bear."""

_TIME_BYTES = 8
_LABEL = b"subtree/v1\n\0"


class Cosigned(msgspec.Struct, frozen=True):
    """A cosignature that was verified.

    Args:
        key: Who made it.
        at: When, by the cosigner's clock, in seconds since 1970.
        signature: The line, to be kept and handed on.
    """

    key: VerifierKey
    at: int
    signature: Signature


def cosigner_key(name: str, public: PublicKeys) -> VerifierKey:
    """Name a party's Ed25519 key for cosignatures; it must sign nothing else.

    Raises:
        Refused: The name is empty or holds a space or a plus sign.
    """
    return VerifierKey(key_of(name, public).name, from_base64url(public.sign), COSIGNATURE)


def parse_cosigner_key(text: str) -> VerifierKey:
    """Read a cosigner's verifier key, of either type.

    Raises:
        Refused: Malformed, of another type, or with an id that is not the key's.
    """
    return parse_key(text, COSIGNER_TYPES)


def cosign(text: str, name: str, signer: Signer, at: int) -> Signature:
    """Cosign a checkpoint's text with Ed25519.

    Args:
        text: The whole signed text, with its last line end.
        name: The cosigner's name.
        signer: The cosigner's key, used for cosignatures only: what is signed names no cosigner.
        at: Seconds since 1970.

    Raises:
        Refused: The time is not one that a cosignature can bear.
    """
    return Signature(
        name,
        cosigner_key(name, signer.public).id,
        _time_bytes(at) + signer.sign(_timed_text(text, at)),
    )


def ml_dsa_key(name: str, private: MLDSA44PrivateKey) -> VerifierKey:
    """Name an ML-DSA-44 key for cosignatures."""
    return VerifierKey(name, private.public_key().public_bytes_raw(), ML_DSA_44)


def cosign_ml_dsa(text: str, name: str, private: MLDSA44PrivateKey, at: int) -> Signature:
    """Cosign a checkpoint's text with ML-DSA-44 (FIPS 204), which outlives quantum computers.

    Raises:
        Refused: The time is not one that a cosignature can bear.
        Corrupt: The text is no checkpoint.
    """
    time = _time_bytes(at)
    signed = private.sign(_tree_message(text, name, at))
    return Signature(name, ml_dsa_key(name, private).id, time + signed)


def verify_cosignature(signature: Signature, key: VerifierKey, text: str) -> Cosigned:
    """Check one cosignature line over a checkpoint's text.

    Raises:
        Corrupt: The line is not of this key, bears no time, or does not hold.
    """
    at = int.from_bytes(signature.signature[:_TIME_BYTES])
    signed = signature.signature[_TIME_BYTES:]
    named = (signature.name, signature.key_id) == (key.name, key.id)
    if not (named and 0 < at <= LATEST_TIME and _holds(key, signed, text, at)):
        raise Corrupt(f"The cosignature by {key.name} on a checkpoint does not hold")
    return Cosigned(key, at, signature)


def cosignatures(note: Note, keys: Iterable[VerifierKey]) -> list[Cosigned]:
    """Return the cosignatures on a checkpoint by these keys; lines by others are ignored.

    Raises:
        Corrupt: A line by one of these keys does not hold: the note is malformed (signed-note).
    """
    known = {(key.name, key.id): key for key in keys}
    found = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            found.append(verify_cosignature(signature, key, note.text))
    return found


def _holds(key: VerifierKey, signed: bytes, text: str, at: int) -> bool:
    if key.type == COSIGNATURE:
        return made_by(key.key, signed, _timed_text(text, at))
    if key.type != ML_DSA_44:
        return False
    try:
        public = MLDSA44PublicKey.from_public_bytes(key.key)
        public.verify(signed, _tree_message(text, key.name, at))
    except InvalidSignature:
        return False
    return True


def _time_bytes(at: int) -> bytes:
    if not 0 < at <= LATEST_TIME:
        raise Refused(f"A cosignature cannot bear the time {at}", advice="Set this machine's clock")
    return at.to_bytes(_TIME_BYTES)


def _timed_text(text: str, at: int) -> bytes:
    """Return what an Ed25519 cosigner signs (tlog-cosignature, "Ed25519 signed message")."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _tree_message(text: str, name: str, at: int) -> bytes:
    """Return what an ML-DSA-44 cosigner signs (tlog-cosignature, "ML-DSA-44 signed message")."""
    checkpoint = parse_checkpoint(text)
    whole_tree = bytes(8) + checkpoint.size.to_bytes(8)
    return b"".join(
        (
            _LABEL,
            _short(name),
            at.to_bytes(8),
            _short(checkpoint.origin),
            whole_tree,
            checkpoint.root,
        )
    )


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise Corrupt(f"The name {text[:80]!r} is too long for an ML-DSA-44 cosignature")
    return bytes([len(data)]) + data
