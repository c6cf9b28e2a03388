"""Cosignatures: the published vector to the byte, and every altered byte refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.vectors import (
    COSIGNED_AT,
    LOG_VKEY,
    ORIGIN,
    ROOTS,
    SIGNED_BY_BOTH,
    WITNESS,
    WITNESS_LINE,
    WITNESS_VKEY,
    witness_identity,
)

from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.cosignature import (
    LATEST_TIME,
    cosign,
    cosign_ml_dsa,
    cosignatures,
    cosigner_key,
    ml_dsa_key,
    parse_cosigner_key,
    verify_cosignature,
)
from branchline.ledger.proof.note import (
    Note,
    Signature,
    VerifierKey,
    from_base64,
    parse_key,
    parse_note,
    parse_signatures,
)

TEXT = Checkpoint(ORIGIN, 5, from_base64(ROOTS[5])).text
KEY = parse_cosigner_key(WITNESS_VKEY)
PRIVATE = MLDSA44PrivateKey.from_seed_bytes(bytes([2]) * 32)


def test_the_witness_of_the_vectors_cosigns_to_the_byte() -> None:
    """Key, line and time are those that Go accepts."""
    assert cosigner_key(WITNESS, witness_identity().public) == KEY
    assert KEY.text == WITNESS_VKEY
    assert cosign(TEXT, WITNESS, witness_identity(), COSIGNED_AT).line == WITNESS_LINE
    (found,) = cosignatures(parse_note(SIGNED_BY_BOTH.encode()), [KEY])
    assert (found.key, found.at, found.signature.line) == (KEY, COSIGNED_AT, WITNESS_LINE)


def test_a_cosigners_key_is_not_a_logs_key() -> None:
    """The type is part of the key: neither stands where the other is asked for."""
    with pytest.raises(Refused, match="type 0x04 or 0x06"):
        parse_cosigner_key(LOG_VKEY)
    with pytest.raises(Refused, match="type 0x01"):
        parse_key(WITNESS_VKEY)
    log_key = VerifierKey(WITNESS, KEY.key)
    assert log_key.id != KEY.id
    assert not KEY.verifies(witness_identity().sign(TEXT.encode()), TEXT)


@pytest.mark.parametrize("size", [31, 33])
def test_a_cosigners_key_has_its_length(size: int) -> None:
    """A key of another length than its type has is refused."""
    with pytest.raises(Refused):
        parse_cosigner_key(VerifierKey("w", bytes(size), 4).text)


def test_lines_by_others_are_ignored() -> None:
    """A cosignature by a stranger proves nothing and disturbs nothing."""
    stranger = cosign(TEXT, WITNESS, Identity.create(), COSIGNED_AT)
    note = parse_note(SIGNED_BY_BOTH.encode())
    crowded = Note(note.text, (stranger, *note.signatures))
    assert [found.at for found in cosignatures(crowded, [KEY])] == [COSIGNED_AT]
    assert cosignatures(crowded, []) == []


def test_every_flipped_bit_of_a_cosignature_is_noticed() -> None:
    """Time and signature are covered, each bit of them."""
    (line,) = parse_signatures(WITNESS_LINE)
    for bit in range(len(line.signature) * 8):
        flipped = bytearray(line.signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt, match="does not hold"):
            verify_cosignature(Signature(line.name, line.key_id, bytes(flipped)), KEY, TEXT)


@pytest.mark.parametrize("change", [("name", "other"), ("key_id", b"1234"), ("signature", b"")])
def test_a_line_of_another_key_is_not_this_ones(change: tuple[str, object]) -> None:
    """Name and id must both be the key's."""
    (line,) = parse_signatures(WITNESS_LINE)
    parts = {"name": line.name, "key_id": line.key_id, "signature": line.signature}
    parts[change[0]] = change[1]  # type: ignore[assignment]
    with pytest.raises(Corrupt):
        verify_cosignature(Signature(**parts), KEY, TEXT)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, -1, 2**63, 2**64])
def test_a_time_that_no_cosignature_bears_is_refused(at: int) -> None:
    """Zero says that no statement is made of the time; a clock so wrong cosigns nothing."""
    with pytest.raises(Refused, match="clock"):
        cosign(TEXT, WITNESS, witness_identity(), at)
    with pytest.raises(Refused, match="clock"):
        cosign_ml_dsa(TEXT, WITNESS, PRIVATE, at)


@pytest.mark.parametrize("at", [1, 2**63 - 1])
def test_the_first_and_the_last_second_are_borne(at: int) -> None:
    """From 1 on, up to 2^63 - 1."""
    lines = {
        KEY: cosign(TEXT, WITNESS, witness_identity(), at),
        ml_dsa_key(WITNESS, PRIVATE): cosign_ml_dsa(TEXT, WITNESS, PRIVATE, at),
    }
    assert [verify_cosignature(line, key, TEXT).at for key, line in lines.items()] == [at, at]


def test_a_cosignature_at_time_zero_is_refused() -> None:
    """However well it is signed."""
    signed = witness_identity().sign(f"cosignature/v1\ntime 0\n{TEXT}".encode())
    with pytest.raises(Corrupt):
        verify_cosignature(Signature(WITNESS, KEY.id, bytes(8) + signed), KEY, TEXT)


@given(st.integers(1, LATEST_TIME), st.booleans())
def test_every_time_is_kept(at: int, post_quantum: bool) -> None:
    """What was cosigned when comes back, under either algorithm."""
    if post_quantum:
        line = cosign_ml_dsa(TEXT, WITNESS, PRIVATE, at)
        key = ml_dsa_key(WITNESS, PRIVATE)
    else:
        line, key = cosign(TEXT, WITNESS, witness_identity(), at), KEY
    assert parse_signatures(line.line) == (line,)
    assert verify_cosignature(line, key, TEXT).at == at


def test_an_ml_dsa_cosignature_has_the_sizes_of_the_specification() -> None:
    """1,312 bytes of key, 2,420 of signature, and its own id."""
    key = ml_dsa_key(WITNESS, PRIVATE)
    line = cosign_ml_dsa(TEXT, WITNESS, PRIVATE, COSIGNED_AT)
    assert (len(key.key), len(line.signature)) == (1312, 8 + 2420)
    assert parse_cosigner_key(key.text) == key
    assert key.id != KEY.id


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("\n5\n", "\n6\n"),
        TEXT.replace(ORIGIN, "other"),
        TEXT.replace(ROOTS[5], ROOTS[4]),
        "no checkpoint\n",
    ],
    ids=["size", "origin", "root", "not a checkpoint"],
)
def test_a_cosignature_is_over_one_checkpoint(other: str) -> None:
    """Origin, size and root are all covered, under either algorithm."""
    lines = {
        KEY: cosign(TEXT, WITNESS, witness_identity(), COSIGNED_AT),
        ml_dsa_key(WITNESS, PRIVATE): cosign_ml_dsa(TEXT, WITNESS, PRIVATE, COSIGNED_AT),
    }
    for key, line in lines.items():
        verify_cosignature(line, key, TEXT)
        with pytest.raises(Corrupt):
            verify_cosignature(line, key, other)


def test_an_ml_dsa_cosignature_names_its_cosigner() -> None:
    """The same key under another name did not sign this."""
    line = cosign_ml_dsa(TEXT, WITNESS, PRIVATE, COSIGNED_AT)
    other = ml_dsa_key("other", PRIVATE)
    with pytest.raises(Corrupt):
        verify_cosignature(Signature("other", other.id, line.signature), other, TEXT)


def test_a_name_too_long_for_ml_dsa_is_refused() -> None:
    """Its length stands in one byte."""
    cosign_ml_dsa(TEXT, "w" * 255, PRIVATE, COSIGNED_AT)
    with pytest.raises(Corrupt, match="too long"):
        cosign_ml_dsa(TEXT, "w" * 256, PRIVATE, COSIGNED_AT)


def test_a_key_of_no_cosigners_type_cosigns_nothing() -> None:
    """A log's key in the place of a witness's is of no use."""
    key = VerifierKey(WITNESS, KEY.key)
    line = cosign(TEXT, WITNESS, witness_identity(), COSIGNED_AT)
    with pytest.raises(Corrupt):
        verify_cosignature(Signature(WITNESS, key.id, line.signature), key, TEXT)


@pytest.mark.parametrize("lines", ["", "\n", WITNESS_LINE[:-1], WITNESS_LINE + "\n"])
def test_signature_lines_are_lines(lines: str) -> None:
    """What a witness answers is one signature line or more, each with its end."""
    with pytest.raises(Corrupt):
        parse_signatures(lines)
