"""Receipts as COSE: checked back by ourselves, and by hand from the structure's definition."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.histories import History
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, log_identity

from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.foundation.keys import Identity
from branchline.ledger.proof.cose import check_cose_receipt, cose_receipt
from branchline.ledger.proof.note import key_of
from branchline.ledger.proof.receipt import Receipt

LOG = History(entries(40))


def made(position: int = 2, size: int = 5) -> bytes:
    """Make the COSE receipt of an entry."""
    return cose_receipt(LOG.receipt(position, size), log_identity())


@given(st.integers(1, 40), st.data())
def test_every_receipt_is_checked_back(size: int, data: st.DataObject) -> None:
    """Whatever position and size, the receipt proves its entry and no other."""
    position = data.draw(st.integers(0, size - 1))
    receipt = made(position, size)
    root = check_cose_receipt(receipt, b"entry %d" % position, LOG_VKEY)
    assert root == LOG.checkpoint(size).root
    with pytest.raises(Corrupt, match="does not hold for this entry"):
        check_cose_receipt(receipt, b"entry %d" % (position + 1), LOG_VKEY)


def test_a_receipt_has_the_structure_of_the_specification() -> None:
    """COSE_Sign1, labels 395 and 396, detached root, and a signature over Signature1."""
    tagged = cbor2.loads(made())
    assert tagged.tag == 18
    protected, unprotected, payload, signature = tagged.value
    header = cbor2.loads(protected)
    assert (header[1], header[395]) == (-8, 1)
    assert header[15] == {1: ORIGIN}
    assert header[4].decode() == log_identity().id
    assert payload is None
    size, index, path = cbor2.loads(unprotected[396][-1][0])
    assert (size, index, tuple(path)) == (5, 2, LOG.receipt(2, 5).path)
    signed = cbor2.dumps(["Signature1", protected, b"", LOG.checkpoint(5).root])
    log_identity().public.verify(signature, signed)


def test_every_flipped_bit_is_noticed_but_in_what_is_not_signed() -> None:
    """Each single flipped bit is refused, or says another size under the same signed root."""
    whole = made()
    accepted = []
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            check_cose_receipt(bytes(flipped), b"entry 2", LOG_VKEY)
        except Corrupt:
            continue
        accepted.append(cbor2.loads(cbor2.loads(bytes(flipped)).value[1][396][-1][0]))
    assert {size for size, _, _ in accepted} == {7}
    assert all((index, path) == (INDEX, PATH) for _, index, path in accepted)


def test_it_is_checked_against_the_key_asked_for() -> None:
    """Another key, or another name of the same key, did not sign this."""
    for key in (key_of(ORIGIN, Identity.create().public), key_of("other", log_identity().public)):
        with pytest.raises(Corrupt):
            check_cose_receipt(made(), b"entry 2", key.text)


def remade(change: dict[str, Any]) -> bytes:
    """Make a receipt with another part, its signature right for the protected header."""
    protected, unprotected, _, signature = cbor2.loads(made()).value
    header = {**cbor2.loads(protected), **change.get("header", {})}
    protected = change.get("protected", cbor2.dumps(header, canonical=True))
    signed = ["Signature1", protected, b"", LOG.checkpoint(5).root]
    signature = change.get("signature", log_identity().sign(cbor2.dumps(signed, canonical=True)))
    parts = [protected, change.get("unprotected", unprotected), change.get("payload"), signature]
    return cbor2.dumps(cbor2.CBORTag(change.get("tag", 18), parts), canonical=True)


PROOF = cbor2.loads(made()).value[1][396][-1][0]
SIZE, INDEX, PATH = cbor2.loads(PROOF)


def proof(*parts: Any) -> dict[str, Any]:
    """Return a change of the proof."""
    return {"unprotected": {396: {-1: [cbor2.dumps(list(parts), canonical=True)]}}}


@pytest.mark.parametrize(
    "change",
    [
        {"tag": 17},
        {"header": {1: -7}},
        {"header": {395: 2}},
        {"header": {15: {1: "other"}}},
        {"protected": cbor2.dumps([1, 2])},
        {"protected": b"\xff"},
        {"payload": LOG.checkpoint(5).root},
        {"signature": bytes(64)},
        {"signature": b""},
        {"unprotected": {}},
        {"unprotected": {396: {-1: []}}},
        {"unprotected": {396: {-1: [PROOF, PROOF]}}},
        {"unprotected": {396: {-1: [PROOF]}, 1: 1}},
        {"unprotected": {396: {-2: [PROOF]}}},
        proof(SIZE, INDEX),
        proof(SIZE, INDEX, PATH[:-1]),
        proof(SIZE, INDEX, [*PATH[:-1], bytes(31)]),
        proof(SIZE, INDEX, [*PATH[:-1], "x" * 32]),
        proof(SIZE, -1, PATH),
        proof(SIZE, SIZE, PATH),
        proof(str(SIZE), INDEX, PATH),
        proof(SIZE, INDEX, PATH, 1),
    ],
)
def test_another_shape_is_refused(change: dict[str, Any]) -> None:
    """What is not exactly such a receipt is none, well signed or not."""
    check_cose_receipt(remade({}), b"entry 2", LOG_VKEY)
    with pytest.raises(Corrupt):
        check_cose_receipt(remade(change), b"entry 2", LOG_VKEY)


@pytest.mark.parametrize("data", [b"", made() + b"\x00", made()[:-1], b"\x9f\xff", b"\xf6"])
def test_another_spelling_is_refused(data: bytes) -> None:
    """One value in deterministic CBOR, and nothing after it."""
    with pytest.raises(Corrupt):
        check_cose_receipt(data, b"entry 2", LOG_VKEY)


def test_a_header_has_one_order() -> None:
    """A well-signed receipt whose protected header is in another order is refused."""
    header = cbor2.loads(cbor2.loads(made()).value[0])
    turned = dict(reversed(header.items()))
    with pytest.raises(Corrupt, match="deterministic"):
        check_cose_receipt(remade({"protected": cbor2.dumps(turned)}), b"entry 2", LOG_VKEY)


def test_a_receipt_has_65_536_bytes_at_most() -> None:
    """That many are read, and no more."""
    filling = 1 << 16
    for _ in range(2):  # the length of the filling shows in the lengths around it
        filling -= len(remade({"header": {99: bytes(filling)}})) - (1 << 16)
    largest = remade({"header": {99: bytes(filling)}})
    assert len(largest) == 65_536
    check_cose_receipt(largest, b"entry 2", LOG_VKEY)
    with pytest.raises(Corrupt):
        check_cose_receipt(remade({"header": {99: bytes(filling + 1)}}), b"entry 2", LOG_VKEY)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    """Arbitrary bytes are refused in our own words."""
    with pytest.raises(BranchlineError):
        check_cose_receipt(noise, b"entry 2", LOG_VKEY)


def test_a_receipt_with_a_malformed_checkpoint_is_not_exported() -> None:
    """There is no root to sign."""
    with pytest.raises(Corrupt):
        cose_receipt(Receipt(0, (), "no note"), log_identity())
