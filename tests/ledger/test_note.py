"""Notes, checkpoints and receipts: the published vectors, and every altered byte refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.vectors import (
    LOG_LINE,
    LOG_VKEY,
    NOTE,
    NOTE_VKEY,
    ORIGIN,
    RECEIPT,
    ROOTS,
    WITNESS_LINE,
    log_identity,
)

from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.proof.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from branchline.ledger.proof.merkle import EMPTY_ROOT
from branchline.ledger.proof.note import (
    from_base64,
    key_of,
    open_note,
    parse_key,
    parse_note,
    sign_note,
    to_base64,
)
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt

SIGNED = RECEIPT.partition("\n\n")[2]
OURS_ALONE = RECEIPT.replace(WITNESS_LINE, "")


def test_the_example_of_signed_note_verifies() -> None:
    """The specification's own example is accepted, and reads back byte for byte."""
    note = open_note(NOTE.encode(), [parse_key(NOTE_VKEY)])
    assert note.text == "This is an example message.\n"
    assert note.full_text == NOTE


def test_signing_gives_the_signature_of_the_vector() -> None:
    """The vectors' log key signs the checkpoint of size 5 to the byte."""
    checkpoint = Checkpoint(ORIGIN, 5, from_base64(ROOTS[5]))
    assert key_of(ORIGIN, log_identity().public).text == LOG_VKEY
    assert sign_checkpoint(checkpoint, log_identity()).full_text == SIGNED.replace(WITNESS_LINE, "")


def test_a_foreign_signature_line_is_kept_and_proves_nothing() -> None:
    """A cosignature is carried along verbatim, and alone it opens no checkpoint."""
    key = parse_key(LOG_VKEY)
    assert parse_note(SIGNED.encode()).full_text == SIGNED
    assert open_checkpoint(SIGNED.encode(), key).size == 5
    with pytest.raises(Corrupt, match="not signed by"):
        open_checkpoint(SIGNED.replace(LOG_LINE, "").encode(), key)


def test_a_known_key_that_fails_refuses_the_note() -> None:
    """A second, wrong line by a known key is not outweighed by its right one."""
    wrong = sign_note("another text\n", ORIGIN, log_identity()).signatures[0].line
    with pytest.raises(Corrupt, match="does not hold"):
        open_checkpoint((SIGNED + wrong).encode(), parse_key(LOG_VKEY))


def test_a_text_may_hold_empty_lines() -> None:
    """The last empty line separates; the ones before belong to the text."""
    text = "one\n\ntwo\n\n\nthree\n"
    data = sign_note(text, "name", log_identity()).full_text.encode()
    assert open_note(data, [key_of("name", log_identity().public)]).text == text


def test_a_hundred_signatures_are_accepted_and_no_more() -> None:
    """Many cosigners are fine; an unbounded number is not."""
    others = [sign_note("t\n", f"w{n}", Identity.create()).signatures[0].line for n in range(100)]
    keys = [key_of("w0", Identity.create().public), key_of("name", log_identity().public)]
    ours = sign_note("t\n", "name", log_identity()).full_text
    assert len(open_note((ours + "".join(others[:99])).encode(), keys).signatures) == 100
    with pytest.raises(Corrupt):
        parse_note((ours + "".join(others)).encode())


def test_a_million_bytes_are_read_and_no_more() -> None:
    """Longer ones are refused before anybody looks into them."""
    line = sign_note("t\n", "name", log_identity()).signatures[0].line
    rest = len(line.encode()) + 2
    assert parse_note(("x" * (1_000_000 - rest) + f"\n\n{line}").encode()).signatures
    with pytest.raises(Corrupt, match="at most 1000000"):
        parse_note(("x" * (1_000_001 - rest) + f"\n\n{line}").encode())


@pytest.mark.parametrize(
    "mangled",
    [
        b"",
        b"text\n",
        NOTE.encode()[:-1],
        NOTE.encode() + b"\n",
        NOTE.encode() + b"trailing",
        NOTE.replace("\n", "\r\n").encode(),
        NOTE.replace("— ", "- ").encode(),
        NOTE.replace("— example.com/foo ", "— example.com/foo  ").encode(),
        NOTE.replace("— example.com/foo ", "—  ").encode(),
        NOTE.replace("— example.com/foo ", "— example.com+foo ").encode(),
        NOTE.replace("QM=\n", "QN=\n").encode(),
        NOTE.replace("QM=\n", "QM\n").encode(),
        NOTE.encode() + "— x \n".encode(),
        NOTE.encode() + "— x AAAAAA==\n".encode(),
        b"\xff" + NOTE.encode(),
        b"x" * 1_000_001 + NOTE.encode(),
    ],
)
def test_a_mangled_note_is_refused(mangled: bytes) -> None:
    """Every departure from the one spelling of a note is refused."""
    with pytest.raises(Corrupt):
        open_note(mangled, [parse_key(NOTE_VKEY)])


@pytest.mark.parametrize("character", ["\x00", "\x07", "\r", "\t", "\x1f"])
def test_a_control_character_is_refused_even_where_it_was_signed(character: str) -> None:
    """A note shows the same text to everybody: nothing below the space but line ends."""
    with pytest.raises(Corrupt):
        parse_note(sign_note(f"te{character}xt\n", "name", log_identity()).full_text.encode())


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        NOTE_VKEY.replace("530d903a", "530d903b"),
        NOTE_VKEY.replace("530d903a", "530D903A"),
        NOTE_VKEY.replace("+Aeky", "+Beky"),
        NOTE_VKEY[:-1],
        NOTE_VKEY + "\n",
        NOTE_VKEY.replace("example.com/foo", "example.com foo"),
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_a_mangled_verifier_key_is_refused(vkey: str) -> None:
    """A verifier key with another id, type, length or name is refused in a sentence."""
    with pytest.raises(Refused):
        parse_key(vkey)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "with space",
        "plus+sign",
        "line\nend",
        "no\u00a0break",
        f"x{chr(0xD800)}",
        f"x{chr(0xDFFF)}",
    ],
)
def test_a_name_that_would_break_the_line_cannot_sign(name: str) -> None:
    """A signer's name is text, is not empty and holds neither spaces nor a plus sign."""
    assert key_of("x\ud7ff\ue000", log_identity().public).id
    with pytest.raises(Refused):
        key_of(name, log_identity().public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n5\n",
        f"origin\n05\n{ROOTS[5]}\n",
        f"origin\n-5\n{ROOTS[5]}\n",
        f"origin\n5\n{ROOTS[5]}\nextension\n",
        f"origin\n5\n{ROOTS[5]}",
        f"\n5\n{ROOTS[5]}\n",
        "origin\n5\nAAAA\n",
        f"origin\n0\n{ROOTS[5]}\n",
        f"origin\n{10**19}\n{ROOTS[5]}\n",
        f"origin\n{2**63}\n{ROOTS[5]}\n",
    ],
)
def test_a_mangled_checkpoint_is_refused(text: str) -> None:
    """A checkpoint has an origin, a plain size, a root that can be its own, and nothing else."""
    assert parse_checkpoint(f"origin\n{2**63 - 1}\n{ROOTS[5]}\n").size == 2**63 - 1
    with pytest.raises(Corrupt):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_ledger_is_refused() -> None:
    """A text signed under our name that speaks for another origin is not ours."""
    note = sign_note(Checkpoint("other", 0, EMPTY_ROOT).text, ORIGIN, log_identity())
    with pytest.raises(Corrupt, match="is of other"):
        open_checkpoint(note.full_text.encode(), parse_key(LOG_VKEY))


@given(
    origin=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1).filter(
        lambda name: "+" not in name
    ),
    size=st.integers(1, 10**18),
    root=st.binary(min_size=32, max_size=32),
)
def test_every_signed_checkpoint_opens_again(origin: str, size: int, root: bytes) -> None:
    """What was signed comes back, for every origin, size and root."""
    checkpoint = Checkpoint(origin, size, root)
    data = sign_checkpoint(checkpoint, log_identity()).full_text.encode()
    assert open_checkpoint(data, key_of(origin, log_identity().public)) == checkpoint


@given(st.binary(max_size=300))
def test_noise_is_refused_in_our_own_words(noise: bytes) -> None:
    """Arbitrary bytes are never a note or a receipt, and never break the parser."""
    with pytest.raises(BranchlineError):
        open_note(noise, [parse_key(NOTE_VKEY)])
    with pytest.raises(BranchlineError):
        parse_receipt(noise.decode(errors="surrogateescape"))


def test_the_receipt_of_the_vectors_verifies() -> None:
    """The published receipt of entry 2 in size 5 is accepted and reads back byte for byte."""
    receipt = parse_receipt(RECEIPT)
    assert receipt.text == RECEIPT
    assert verify_receipt(receipt, b"entry 2", LOG_VKEY).size == 5


@pytest.mark.parametrize("leaf", [b"entry 1", b"entry 2 ", b""])
def test_a_receipt_proves_no_other_leaf(leaf: bytes) -> None:
    """Another leaf than the one appended is refused."""
    with pytest.raises(Corrupt, match="does not lead to the root"):
        verify_receipt(parse_receipt(RECEIPT), leaf, LOG_VKEY)


def test_a_receipt_of_another_ledger_is_refused() -> None:
    """A receipt is checked against the key asked for, not the one it names."""
    other = key_of(ORIGIN, Identity.create().public).text
    with pytest.raises(Corrupt, match="not signed by"):
        verify_receipt(parse_receipt(RECEIPT), b"entry 2", other)


def test_an_extra_line_is_refused() -> None:
    """A line that no signature covers has no place in our receipts."""
    with pytest.raises(Corrupt):
        parse_receipt(RECEIPT.replace("index 2", "extra AAAA\nindex 2"))


@pytest.mark.parametrize("size", [1, 31, 33])
def test_a_hash_of_another_length_is_refused(size: int) -> None:
    """Every hash of a path has 32 bytes."""
    with pytest.raises(Corrupt, match="32 bytes"):
        parse_receipt(RECEIPT.replace("\n\n", f"\n{to_base64(bytes(size))}\n\n", 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\nindex 2\n",
        "c2sp.org/tlog-proof@v1\n\nindex 2\n\n",
        "c2sp.org/tlog-proof@v1\nposition 2\n\n",
        "c2sp.org/tlog-proof@v2\nindex 2\n\n",
        "c2sp.org/tlog-proof@v1\nindex 02\n\n",
        "c2sp.org/tlog-proof@v1\nindex 2\n\n" + "x" * 999_969,
    ],
)
def test_what_does_not_begin_as_a_receipt_is_refused(text: str) -> None:
    """Header, position, an empty line, and not more than a note can have."""
    parse_receipt("c2sp.org/tlog-proof@v1\nindex 2\n\n" + "x" * 999_968)
    with pytest.raises(Corrupt):
        parse_receipt(text)


def test_a_path_has_as_many_hashes_as_a_tree_can_have_levels() -> None:
    """63 are read; one more is not."""
    for count in (63, 64):
        hashes = f"{to_base64(bytes(32))}\n" * count
        text = f"c2sp.org/tlog-proof@v1\nindex 2\n{hashes}\n{SIGNED}"
        if count == 63:
            assert parse_receipt(text).text == text
        else:
            with pytest.raises(Corrupt, match="more than 63 hashes"):
                parse_receipt(text)


def test_every_flipped_bit_of_a_receipt_is_noticed() -> None:
    """Each single flipped bit of a receipt is refused."""
    whole = OURS_ALONE.encode()
    verify_receipt(parse_receipt(whole.decode()), b"entry 2", LOG_VKEY)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            text = bytes(flipped).decode(errors="surrogateescape")
            verify_receipt(parse_receipt(text), b"entry 2", LOG_VKEY)
