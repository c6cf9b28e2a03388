"""Receipts as COSE, for tools of the SCITT family (RFC 9942, COSE receipts; RFC 9943, SCITT).

A COSE_Sign1 whose payload, left out, is the tree's root; the inclusion path rides unprotected. It
says less than the text receipt, which is the one that counts here: the log signs anew and alone, so
cosignatures do not carry over, and it signs the root only, not the size and not the position.
"""

from __future__ import annotations

import io
from typing import Any

import cbor2

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.merkle import HASH_SIZE, leaf_hash, root_from_inclusion
from branchline.ledger.proof.note import Signer, made_by, parse_key, parse_note
from branchline.ledger.proof.receipt import Receipt

_SIGN1 = 18
_ALG, _KID, _CWT_CLAIMS, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA, _RFC9162_SHA256 = -8, 1
_INCLUSION = -1
_ISSUER = 1
_MAX_RECEIPT = 1 << 16


def cose_receipt(receipt: Receipt, signer: Signer) -> bytes:
    """Write a receipt as COSE, signed by the log.

    Args:
        receipt: The proof; it is not checked here.
        signer: The log's key.

    Raises:
        Corrupt: The receipt's checkpoint is malformed.
    """
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint.encode()).text)
    protected = _encode(
        {
            _ALG: _EDDSA,
            _KID: signer.public.id.encode(),
            _CWT_CLAIMS: {_ISSUER: checkpoint.origin},
            _VDS: _RFC9162_SHA256,
        }
    )
    proof = _encode([checkpoint.size, receipt.index, list(receipt.path)])
    signature = signer.sign(_to_be_signed(protected, checkpoint.root))
    unprotected = {_VDP: {_INCLUSION: [proof]}}
    return _encode(cbor2.CBORTag(_SIGN1, [protected, unprotected, None, signature]))


def check_cose_receipt(data: bytes, leaf: bytes, log_vkey: str) -> bytes:
    """Check, offline, that a leaf is below a root that a log signed; return that root.

    1. It has the one shape that these receipts have, in deterministic CBOR (RFC 8949 §4.2).
    2. The path leads from the leaf to a root, and the log signed that root under its own name.

    Args:
        data: The receipt.
        leaf: The entry's bytes, as they were appended.
        log_vkey: The log's verifier key, from a source that is trusted.

    Raises:
        Corrupt: A step fails; the sentence says which.
        Refused: The verifier key itself is malformed.
    """
    key = parse_key(log_vkey)
    protected, size, index, path, signature = _read(data)
    header = _decode(protected)
    named = header.get(_CWT_CLAIMS) if isinstance(header, dict) else None
    algorithm = (header.get(_ALG), header.get(_VDS)) if isinstance(header, dict) else None
    if algorithm != (_EDDSA, _RFC9162_SHA256) or named != {_ISSUER: key.name}:
        raise Corrupt(f"A COSE receipt is not by {key.name} with EdDSA over an RFC 9162 tree")
    root = root_from_inclusion(leaf_hash(leaf), index, size, path)
    if not made_by(key.key, signature, _to_be_signed(protected, root)):
        raise Corrupt("The signature on a COSE receipt does not hold for this entry")
    return root


def _to_be_signed(protected: bytes, root: bytes) -> bytes:
    """Return the Sig_structure (RFC 9052 §4.4), with the root as detached payload."""
    return _encode(["Signature1", protected, b"", root])


def _read(data: bytes) -> tuple[bytes, int, int, list[bytes], bytes]:
    match _decode(data):
        case cbor2.CBORTag(tag=18, value=[bytes(protected), unprotected, None, bytes(signature)]):
            pass
        case _:
            raise Corrupt("A COSE receipt is not a COSE_Sign1 with a detached payload")
    match unprotected:
        case {396: {-1: [bytes(encoded)]} as proofs} if len(unprotected) == len(proofs) == 1:
            proof = _decode(encoded)
        case _:
            raise Corrupt("A COSE receipt does not hold exactly one proof of inclusion")
    match proof:
        case [int(size), int(index), [*path]] if all(map(_is_hash, path)):
            return protected, size, index, path, signature
        case _:
            raise Corrupt("The proof in a COSE receipt is not [size, index, [hash, …]]")


def _is_hash(item: object) -> bool:
    return isinstance(item, bytes) and len(item) == HASH_SIZE


def _encode(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _decode(data: bytes) -> Any:
    """Read one CBOR value in its one spelling."""
    try:
        value = cbor2.load(stream := io.BytesIO(data[:_MAX_RECEIPT]))
        whole = stream.tell() == len(data) and _encode(value) == data
    except (cbor2.CBORDecodeError, cbor2.CBOREncodeError, ValueError, RecursionError) as error:
        raise Corrupt("A COSE receipt is not CBOR") from error
    if not whole:
        raise Corrupt("A COSE receipt is not one value in deterministic CBOR")
    return value
