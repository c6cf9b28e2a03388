"""The parts of the verifier that packages carry, each at its edges, held against the first one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger import make_vectors
from tests.ledger import packages as world
from tests.ledger.histories import History, fork
from tests.ledger.vectors import (
    COSIGNED_AT,
    LOG_LINE,
    LOG_VKEY,
    ORIGIN,
    RECEIPT,
    SIGNED_BY_BOTH,
    WITNESS_VKEY,
    entries,
    log_identity,
    witness_identity,
)

from branchline.foundation import encoding
from branchline.foundation.errors import BranchlineError
from branchline.foundation.jws import sign_jws
from branchline.ledger.entry import ENTRY_TYPE, Entry, disclosure_digest, open_entry, read_leaf
from branchline.ledger.proof import checkpoint as first_checkpoint
from branchline.ledger.proof import merkle, note
from branchline.ledger.proof.checkpoint import sign_checkpoint
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.evidence import check_evidence, find_evidence_in
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.standalone import verify as second
from branchline.ledger.tiles import TileName

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
LOG = History(entries(20))
NEUTRAL = (1).to_bytes(32, "little")
ORDER = 2**252 + 27742317777372353535851937790883648493


def agree(one: Callable[[], Any], other: Callable[[], Any]) -> bool:
    """Do the same with both; either both refuse, or both give the same. Tell whether they gave it."""
    try:
        expected = one()
    except BranchlineError:
        with pytest.raises(second.Failed):
            other()
        return False
    assert other() == expected
    return True


# Ed25519.


def test_a_signature_has_its_length() -> None:
    """A zero more changes no number, and is another spelling."""
    text, lines = second.parse_note(SIGNED_BY_BOTH.encode())
    key = second.Key(LOG_VKEY, [1]).raw
    signature = lines[0][2]
    assert second.verify_ed25519(key, signature, text.encode())
    assert not second.verify_ed25519(key, signature + b"\0", text.encode())
    assert not second.verify_ed25519(key + b"\0", signature, text.encode())


def test_the_order_itself_is_no_number() -> None:
    """It would be a second spelling of zero, which signs anything for the neutral point."""
    assert second.verify_ed25519(NEUTRAL, NEUTRAL + bytes(32), b"any")
    assert not second.verify_ed25519(NEUTRAL, NEUTRAL + ORDER.to_bytes(32, "little"), b"any")


def test_the_highest_bit_of_a_number_counts() -> None:
    """2^252 is below the order: what it signs for the neutral point is that multiple of the base."""
    point = second._BASE
    for _ in range(252):
        point = second._double(point)
    signature = second._encode_point(point) + (2**252).to_bytes(32, "little")
    assert second.verify_ed25519(NEUTRAL, signature, b"any")


# Spellings.


@given(st.binary(max_size=40))
def test_bytes_are_spelled_alike(data: bytes) -> None:
    """Both spellings of base64, there and back."""
    assert second.to_base64url(data) == encoding.to_base64url(data)
    assert second.from_base64url(second.to_base64url(data)) == data
    assert second.from_base64(note.to_base64(data)) == data


@pytest.mark.parametrize(
    "text", ["", "AA", "AB", "AA==", "AB==", "AAA", "A", "AAAA\n", "AA A", "-_-_", "+/+/", "é", "x"]
)
def test_one_spelling_only_is_read(text: str) -> None:
    """Padding, bits left over, line ends, the other alphabet."""
    agree(lambda: note.from_base64(text), lambda: second.from_base64(text))
    agree(lambda: encoding.from_base64url(text), lambda: second.from_base64url(text))
    for number in range(256):
        ends = encoding.to_base64url(bytes([0, 0, number]))
        assert second.to_base64url(bytes([0, 0, number])) == ends


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "1",
        "9" * 18,
        str(2**63 - 1),
        str(2**63),
        str(2**62),
        "9" * 19,
        "01",
        "-1",
        "",
        " 1",
        "1e",
    ],
)
def test_numbers_are_read_alike(text: str) -> None:
    """Below 2^63, without sign and leading zeros."""
    agree(
        lambda: first_checkpoint.parse_decimal(text, "number"),
        lambda: second._decimal(text, "number"),
    )


# Trees.


def test_every_inclusion_leads_to_the_root_in_both() -> None:
    """Every position of every size, and none outside; a path too short or too long is refused."""
    for size in range(1, 21):
        root = LOG.checkpoint(size).root
        for position in range(size):
            leaf, path = LOG.hashes[position], LOG.receipt(position, size, "-").path
            assert second.root_from_path(leaf, position, size, path) == root
            for wrong in ((*path, bytes(32)), path[:-1]):
                if wrong != path:
                    with pytest.raises(second.Failed):
                        second.root_from_path(leaf, position, size, wrong)
        for outside in (-1, size, size + 1):
            with pytest.raises(second.Failed, match="outside a ledger"):
                second.root_from_path(LOG.hashes[0], outside, size, ())


def test_every_growth_leads_to_both_roots_in_both() -> None:
    """Every two sizes; with a hash more or less, both give the same, mostly nothing."""
    for new in range(2, 21):
        for old in range(1, new):
            hashes = merkle.growth_hashes(LOG.subtree, old, new)
            roots = (LOG.checkpoint(old).root, LOG.checkpoint(new).root)
            assert second.roots_from_growth(old, new, hashes) == roots
            for wrong in ((), hashes[:-1], hashes[1:], (*hashes, bytes(32)), (*hashes, *hashes)):
                expected = merkle.roots_from_growth(old, new, wrong)
                assert second.roots_from_growth(old, new, wrong) == expected


def test_trees_divide_alike() -> None:
    """At the largest power of two below their size."""
    for low in (0, 8):
        for size in range(2, 20):
            expected = low + max(2**k for k in range(5) if 2**k < size)
            assert second.middle_of(low, low + size) == expected


# Keys, notes, checkpoints.

TYPED = note.parse_key(LOG_VKEY)


def named(name: str, typed: bytes, said: bytes | None = None) -> str:
    """Spell a verifier key with the id that fits the name."""
    name_bytes = name.encode("utf-8", "replace") if said is None else said
    identifier = sha256(name_bytes + b"\n" + typed).digest()[:4].hex()
    return f"{name}+{identifier}+{note.to_base64(typed)}"


NAMES = [
    "a",
    "",
    "a b",
    "a\u2003b",
    "\u00a0",
    "é",
    "\ud7ff",
    "\ue000",
    "a\ud800",
    "\udfff",
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [0, 1, 2, 4, 6])
@pytest.mark.parametrize("length", [31, 32, 33, 1312])
def test_keys_are_read_alike_at_their_edges(name: str, kind: int, length: int) -> None:
    """Every kind of name, type and length."""
    text = named(name, bytes([kind]) + TYPED.key[:31].ljust(length, b"\1"))
    agree(lambda: note.parse_key(text).id, lambda: second.Key(text, [1]).id)
    agree(lambda: parse_cosigner_key(text).id, lambda: second.Key(text, [4, 6]).id)
    other = named(name, bytes([kind]) + TYPED.key[:31].ljust(length, b"\1"), b"other")
    agree(lambda: note.parse_key(other).id, lambda: second.Key(other, [1]).id)


def test_a_key_without_anything_is_none() -> None:
    """Nor is one with nothing behind its name."""
    for text in ("", "a", "a+", "a+00000000+", "a+00000000"):
        assert not agree(partial(note.parse_key, text), partial(second.Key, text, [1]))


def line(name: str, data: bytes, dash: str = "\u2014") -> str:
    """Spell a signature line."""
    return f"{dash} {name} {note.to_base64(data)}\n"


def lines_of(data: bytes) -> list[tuple[str, bytes, bytes]]:
    """Read a note with the first verifier."""
    return [(each.name, each.key_id, each.signature) for each in note.parse_note(data).signatures]


NOTES = [
    "x\n\n",
    "x\n\n\n",
    "x\n\n" + line("a", bytes(5)),
    "x\n\n" + line("a", bytes(4)),
    "x\n\n" + line("a", bytes(6)),
    "x\n\n" + line("a", b""),
    "x\n\n" + line("a", bytes(5), "-"),
    "x\n\n" + line("a", bytes(5)).strip(),
    "x\n\n" + line("a", bytes(5)) + "\n",
    "x\n" + line("a", bytes(5)),
    "x\n\ny\n\n" + line("a", bytes(5)),
    "x\ty\n\n" + line("a", bytes(5)),
    "x\x1f\n\n" + line("a", bytes(5)),
    "x \x7f\n\n" + line("a", bytes(5)),
    "\n\n" + line("a", bytes(5)),
    *("x\n\n" + line(name, bytes(5)) for name in (*NAMES[:8], "a+b", "+", "a++")),
    "x\n\n" + line("a", bytes(5)) * 100,
    "x\n\n" + line("a", bytes(5)) * 101,
    "x" * (1_000_000 - len(("\n\n" + line("a", bytes(5))).encode())) + "\n\n" + line("a", bytes(5)),
    "x" * (1_000_001 - len(("\n\n" + line("a", bytes(5))).encode())) + "\n\n" + line("a", bytes(5)),
    *VECTORS["malformed"]["notes"].values(),
]


@pytest.mark.parametrize("number", range(len(NOTES)))
def test_notes_are_read_alike_at_their_edges(number: int) -> None:
    """Lines, names, lengths, control characters."""
    data = NOTES[number].encode("utf-8", "surrogatepass")
    agree(lambda: lines_of(data), lambda: second.parse_note(data)[1])
    agree(lambda: note.parse_note(data).text, lambda: second.parse_note(data)[0])


def test_bytes_that_are_no_text_are_no_note() -> None:
    """Half a character anywhere."""
    with pytest.raises(second.Failed):
        second.parse_note(b"\xff\n\n" + line("a", bytes(5)).encode())


ROOT = note.to_base64(bytes(32))
EMPTY = note.to_base64(sha256().digest())


@pytest.mark.parametrize(
    "text",
    [
        f"a\n1\n{ROOT}\n",
        f"a\n0\n{ROOT}\n",
        f"a\n0\n{EMPTY}\n",
        f"a\n1\n{EMPTY}\n",
        f"\n1\n{ROOT}\n",
        f"a\n1\n{ROOT}",
        f"a\n1\n{ROOT}\nx",
        f"a\n1\n{ROOT}\nx\n",
        f"a\n1\n{ROOT}\n\n",
        f"a\n1\n{note.to_base64(bytes(31))}\n",
        f"a\n1\n{note.to_base64(bytes(33))}\n",
        f"a\n0\n{note.to_base64(sha256().digest() + b'x')}\n",
        f"a\n01\n{ROOT}\n",
        "a\n1\n",
        "",
    ],
)
def test_checkpoints_are_read_alike(text: str) -> None:
    """Three lines, and the one root of no entries."""

    def first() -> tuple[str, int, bytes]:
        found = first_checkpoint.parse_checkpoint(text)
        return found.origin, found.size, found.root

    agree(first, lambda: second.parse_checkpoint(text))


def test_a_note_is_opened_by_a_key_that_signed_it() -> None:
    """By no other key; and by none, if a line by a known key does not hold."""
    key, other = second.Key(LOG_VKEY, [1]), second.Key(named("b", b"\1" + TYPED.key), [1])
    data = SIGNED_BY_BOTH.encode()
    assert second.open_note(data, [other, key]) == second.parse_note(data)
    for keys in ([], [other]):
        with pytest.raises(second.Failed, match="not signed by any"):
            second.open_note(data, keys)
    text = data.decode().partition("\n\n")[0] + "\n\n"
    forged = text + LOG_LINE + line(key.name, key.id + bytes(64))
    with pytest.raises(second.Failed, match="does not hold"):
        second.open_note(forged.encode(), [key])
    # A line under a known name with another id, or the other way round, is nobody's.
    for strange in (line(key.name, bytes(68)), line("strange", key.id + bytes(64))):
        assert second.open_note((text + LOG_LINE + strange).encode(), [key])


# Policies.


@pytest.mark.parametrize("number", range(len(VECTORS["policies"])))
def test_policies_of_the_vectors_are_judged_as_said(number: int) -> None:
    """Valid or not, with their digests and quorums."""
    told = VECTORS["policies"][number]
    if not told["valid"]:
        with pytest.raises(second.Failed):
            second.Policy(told["text"].encode())
        return
    policy = second.Policy(told["text"].encode())
    assert policy.digest == told["digest"]
    for names, enough in told["quorums"].items():
        assert policy._satisfied(names.split()) is enough


LOG_POLICY_LINE = f"log {LOG_VKEY}\n"
W = f"witness w {WITNESS_VKEY}\n"
V = f"witness v {named('v', bytes([4]) + TYPED.key)}\n"
POLICIES = [
    LOG_POLICY_LINE + "quorum none\n",
    LOG_POLICY_LINE + "quorum none",
    LOG_POLICY_LINE,
    "",
    "\n",
    "quorum none\n",
    "quorum none\nquorum none\n",
    "quorum none none\n",
    "quorum\n",
    "quorum w\n" + W,
    LOG_POLICY_LINE + LOG_POLICY_LINE + "quorum none\n",
    LOG_POLICY_LINE + f"log {named('b', bytes([1]) + TYPED.key)}\nquorum none\n",
    f"log {LOG_VKEY} u\nquorum none\n",
    f"log {LOG_VKEY} u v\nquorum none\n",
    "log\nquorum none\n",
    f"log {WITNESS_VKEY}\nquorum none\n",
    W + "quorum w\n",
    W.replace("\n", " u\n") + "quorum w\n",
    W.replace("\n", " u v\n") + "quorum w\n",
    "witness w\nquorum none\n",
    W + W + "quorum w\n",
    W + W.replace(" w ", " v ") + "quorum w\n",
    f"witness w {LOG_VKEY}\nquorum w\n",
    f"witness w {VECTORS['ml_dsa_witness']['vkey']}\nquorum w\n",
    f"witness none {WITNESS_VKEY}\nquorum none\n",
    W + V + "group g 1 w v\nquorum g\n",
    W + V + "group g any w v\nquorum g\n",
    W + V + "group g 2 w v\nquorum g\n",
    W + V + "group g all w v\nquorum g\n",
    W + V + "group g 3 w v\nquorum g\n",
    W + V + "group g 0 w v\nquorum g\n",
    W + V + "group g 01 w v\nquorum g\n",
    W + V + "group g x w v\nquorum g\n",
    W + V + "group g 1000000000 w v\nquorum g\n",
    W + V + "group g 1 w w\nquorum g\n",
    W + V + "group g 1 w x\nquorum g\n",
    W + V + "group g 1 g\nquorum g\n",
    W + V + "group g 1\nquorum g\n",
    W + V + "group g 1 w\nquorum g\n",
    W + V + "group w 1 v\nquorum w\n",
    W + V + "group none 1 v\nquorum none\n",
    W + V + "group g 1 w\ngroup h 1 w\nquorum g\n",
    W + V + "group g 1 w\ngroup h 2 g v\nquorum h\n",
    W + V + "group g 1 w\ngroup g 1 v\nquorum g\n",
    "# a comment\n  \t\n#\n quorum\tnone \n",
    "x\nquorum none\n",
    "quorum none #\n",
    "quorum none\x01\n",
    "quorum none\x01x\n",
    "quorum none\r\n",
    "quorum none\x7f\n",
    W.replace(" w ", " \xe9 ") + "quorum \xe9\n",
    "# é\x80\nquorum none\n",
    "#" + "x" * (999_999 - len("\nquorum none\n")) + "\nquorum none\n",
    "#" + "x" * (1_000_000 - len("\nquorum none\n")) + "\nquorum none\n",
]


@pytest.mark.parametrize("number", range(len(POLICIES)))
def test_policies_are_read_alike_at_their_edges(number: int) -> None:
    """Every rule of the format, kept and broken."""
    data = POLICIES[number].encode("latin-1")

    def first() -> tuple[Any, ...]:
        policy = parse_policy(data)
        groups = [(group.name, group.threshold, [*group.members]) for group in policy.groups]
        keys = [log.key.text for log in policy.logs]
        return keys, [each.name for each in policy.witnesses], groups, policy.quorum, policy.digest

    def other() -> tuple[Any, ...]:
        policy = second.Policy(data)
        keys = [log.text for log in policy.logs]
        return keys, [*policy.witnesses], policy.groups, policy.quorum, policy.digest

    agree(first, other)


def test_the_line_that_breaks_a_rule_is_named() -> None:
    """Counted from one."""
    with pytest.raises(second.Failed, match=r"^Line 1 of the policy: "):
        second.Policy(b"x\nquorum none\n")
    with pytest.raises(second.Failed, match=r"^Line 2 of the policy: "):
        second.Policy(b"# x\nx\nquorum none\n")


BOTH = LOG_POLICY_LINE + W + "quorum w\n"
TEXT = SIGNED_BY_BOTH.partition("\n\n")[0] + "\n"
WITNESS_KEY = parse_cosigner_key(WITNESS_VKEY)


def cosignature(at: int) -> str:
    """Cosign the checkpoint of the vectors at a time, of whatever sense."""
    signed = witness_identity().sign(f"cosignature/v1\ntime {at}\n{TEXT}".encode())
    return line(WITNESS_KEY.name, WITNESS_KEY.id + at.to_bytes(8) + signed)


@pytest.mark.parametrize("at", [0, 1, COSIGNED_AT, 2**63 - 1, 2**63])
def test_times_are_judged_alike(at: int) -> None:
    """From the first second to the last that a cosignature can bear."""
    data = f"{TEXT}\n{LOG_LINE}{cosignature(at)}".encode()

    def first() -> int:
        return parse_policy(BOTH.encode()).open(data).checkpoint.size

    assert agree(first, lambda: second.Policy(BOTH.encode()).open(data)[1]) == (0 < at < 2**63)


@pytest.mark.parametrize(
    "lines",
    [
        "",
        line(WITNESS_KEY.name, WITNESS_KEY.id + bytes(72)),
        line(WITNESS_KEY.name, bytes(76)),
        line("other", WITNESS_KEY.id + bytes(72)),
    ],
)
def test_cosignatures_are_judged_alike(lines: str) -> None:
    """None, a wrong one, and two by nobody known; and the same where no quorum is asked for."""
    data = f"{TEXT}\n{LOG_LINE}{lines}".encode()
    for text in (BOTH, BOTH.replace("quorum w", "quorum none"), LOG_POLICY_LINE + "quorum none\n"):
        agree(
            partial(_opened_by_first, text.encode(), data),
            partial(_opened_by_second, text.encode(), data),
        )


def _opened_by_first(policy: bytes, data: bytes) -> int:
    return parse_policy(policy).open(data).checkpoint.size


def _opened_by_second(policy: bytes, data: bytes) -> int:
    return second.Policy(policy).open(data)[1]


def test_a_log_speaks_for_its_own_origin_only_in_both() -> None:
    """A second log of the policy signs the first one's checkpoint: it is nobody's."""
    key = second.Key(named("b", b"\1" + TYPED.key), [1])
    signed = line("b", key.id + log_identity().sign(TEXT.encode()))
    text = f"{LOG_POLICY_LINE.replace(LOG_VKEY, key.text)}quorum none\n".encode()
    data = f"{TEXT}\n{signed}".encode()
    with pytest.raises(second.Failed, match="none of its signers"):
        second.Policy(text).open(data)
    assert not agree(lambda: parse_policy(text).open(data), lambda: second.Policy(text).open(data))


# Evidence.


class Log:
    """What the checks of evidence ask of a case: a policy of one log."""

    policy = second.Policy(f"{LOG_POLICY_LINE}quorum none\n".encode())


def _convicted_by_first(data: bytes) -> str:
    return check_evidence(data, LOG_VKEY).sentence


def _convicted_by_second(data: bytes) -> str:
    return second._contradiction(Log, data)  # type: ignore[arg-type]


def test_evidence_is_judged_alike() -> None:
    """That of the vectors, of every fork of small sizes, and each with something changed."""
    texts = [each["evidence"] for each in VECTORS["evidence"]]
    for shared, old, new in [(0, 1, 1), (0, 1, 2), (1, 2, 3), (2, 4, 7), (3, 4, 8), (1, 3, 3)]:
        honest, forged = fork(shared, new)
        for one, other in ((honest, forged), (forged, honest)):
            found = find_evidence_in(other.subtree, one.note(old), other.note(new))
            if found:
                texts.append(found.text)
    assert len(texts) > 12
    # A history that grew: no evidence, whatever hashes come with it.
    grown = "\n".join(map(note.to_base64, merkle.growth_hashes(LOG.subtree, 3, 5)))
    texts.append(f"branchline/ledger-evidence@v1\n{grown}\n\n{LOG.note(3)}\n{LOG.note(5)}")
    texts.append(f"branchline/ledger-evidence@v1\n\n{LOG.note(3)}\n{LOG.note(3)}")
    for text in texts:
        header, _, rest = text.partition("\n")
        hashes, _, notes = f"{header}\n{rest}".partition("\n\n")
        zero = note.to_base64(bytes(32))
        changed = [
            text,
            f"{hashes}\n{zero}\n\n{notes}",
            f"{hashes}\n{note.to_base64(bytes(31))}\n\n{notes}",
            f"{header}\n\n{notes}",
            text + "\n",
            text + "\nx",
            text.replace("log.example", "log.example2", 1),
            f"{header}\n" + f"{zero}\n" * 64 + f"\n{notes}",
            f"{header}\n" + f"{zero}\n" * 65 + f"\n{notes}",
        ]
        parts = notes.split("\n\n")
        if len(parts) == 4:
            first, last = f"{parts[0]}\n\n{parts[1]}", f"{parts[2]}\n\n{parts[3]}"
            changed.append(f"{hashes}\n\n{last}\n{first}\n")
        for data in changed:
            agree(
                partial(_convicted_by_first, data.encode()),
                partial(_convicted_by_second, data.encode()),
            )


@pytest.mark.parametrize("what", VECTORS["malformed"]["receipts"])
def test_a_malformed_receipt_is_refused_by_both(what: str) -> None:
    """Each for the reason that its name gives."""
    assert judged(RECEIPT) == {"entries": 1}
    with pytest.raises(second.Failed):
        judged(VECTORS["malformed"]["receipts"][what])


def judged(receipt: str, position: int = 2) -> dict[str, Any]:
    """Have the second verifier check one receipt of the entry 2."""

    class Shown:
        policy = second.Policy(BOTH.encode())
        checkpoint = policy.open(SIGNED_BY_BOTH.encode())
        entries = {position: second.Entry(position, b"entry 2~", receipt.encode())}  # noqa: RUF012

    return second.check_receipts(Shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("index 2", "index 3"),
        ("index 2", "index 02"),
        ("index 2", "Index 2"),
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 2\n", "index 2\n" + f"{ROOT}\n"),
        ("index 2\n", "index 2\n" + f"{ROOT}\n" * 61),
        ("YcoROfaBWEHVuvLQ0tm9nf7pfImN1ve6DAqpQe5sAes=", note.to_base64(bytes(31))),
        ("YcoROfaBWEHVuvLQ0tm9nf7pfImN1ve6DAqpQe5sAes=", ROOT),
        ("\n\n", "\n"),
    ],
)
def test_a_receipt_changed_is_refused_by_the_second(old: str, new: str) -> None:
    """Its header, its position, its path, the line between."""
    assert old in RECEIPT
    with pytest.raises(second.Failed):
        judged(RECEIPT.replace(old, new, 1))
    with pytest.raises(second.Failed, match="another's"):
        judged(RECEIPT, 1)


def test_who_cosigned_is_named() -> None:
    """Nobody, or those who did."""
    with pytest.raises(second.Failed, match=r"cosigned by nobody; the policy asks for w$"):
        second.Policy(BOTH.encode()).open(f"{TEXT}\n{LOG_LINE}".encode())
    names = "site-0.example/witness, site-1.example/witness"
    with pytest.raises(
        second.Failed, match=rf"cosigned by {names}; the policy asks for two-thirds$"
    ):
        second.Policy(world.policy().text.encode()).open(world.cosigned(world.ledger(), 2).encode())


# Entries.


def token(tags: int, digests: int) -> str:
    """Spell a leaf with so many tags and digests; nobody signed it."""
    payload = {
        "v": 1,
        "tags": sorted(encoding.to_base64url(bytes([7]) * 14 + n.to_bytes(2)) for n in range(tags)),
        "_sd_alg": "sha-256",
        "_sd": sorted(
            encoding.to_base64url(sha256(n.to_bytes(2)).digest()) for n in range(digests)
        ),
    }
    spelled = json.dumps(payload, separators=(",", ":")).encode()
    header = f'{{"alg":"Ed25519","kid":"{"A" * 43}","typ":"bl-entry+sd-jwt"}}'.encode()
    return ".".join((*map(encoding.to_base64url, (header, spelled)), "A" * 86))


def leaf_agrees(leaf: str) -> bool:
    """Read a leaf with both."""

    def first() -> tuple[Any, ...]:
        found = read_leaf(leaf.encode())
        return found.kid, [*found.tags], [*found.digests]

    def other() -> tuple[Any, ...]:
        found = second.Leaf(leaf)
        return found.kid, [*found.tags], [*found.digests]

    return agree(first, other)


def test_leaves_have_the_same_limits() -> None:
    """16 tags, and 65,535 bytes."""
    assert leaf_agrees(token(16, 8))
    assert not leaf_agrees(token(17, 8))
    header, payload, _ = token(1, 1).split(".")
    least = len(encoding.from_base64url(payload))
    lengths = {
        len(header) + 88 + -(-(least + 25 * (tags - 1) + 46 * (digests - 1)) * 4 // 3): (
            tags,
            digests,
        )
        for tags in range(1, 17)
        for digests in range(1040, 1067)
    }
    assert leaf_agrees(token(*lengths[65_535]))
    assert not leaf_agrees(token(*lengths[min(length for length in lengths if length > 65_535)]))


@pytest.mark.parametrize("field", ["tags", "_sd"])
@pytest.mark.parametrize("order", [[1, 0], [0, 0], [0, 1], [1, 1, 0], [0]])
def test_texts_ascend_in_both(field: str, order: list[int]) -> None:
    """Distinct and in order, or it is no entry."""
    header, payload, signature = token(2, 2).split(".")
    plain = json.loads(encoding.from_base64url(payload))
    plain[field] = [plain[field][number] for number in order]
    spelled = encoding.to_base64url(json.dumps(plain, separators=(",", ":")).encode())
    assert leaf_agrees(f"{header}.{spelled}.{signature}") == (order in ([0, 1], [0]))


def opened_alike(*texts: bytes) -> bool:
    """Open disclosures that a signer committed to with both."""
    spelled = [encoding.to_base64url(text) for text in texts]
    digests = sorted({disclosure_digest(text) for text in spelled})
    payload = {"v": 1, "tags": [], "_sd_alg": "sha-256", "_sd": digests}
    data = json.dumps(payload, separators=(",", ":")).encode()
    jws = sign_jws(data, world.STATION, typ=ENTRY_TYPE)
    return agree(
        lambda: open_entry(Entry(jws, tuple(spelled)), world.STATION.public),
        lambda: second.open_disclosures(second.Leaf(jws), spelled),
    )


DISCLOSED = [
    b'["s","a",1]',
    b'["","a",1]',
    b'["s","",1]',
    b'["s",1,1]',
    b'[1,"a",1]',
    b'["s","a"]',
    b'["s","a",1,1]',
    b"[]",
    b"null",
    b"{}",
    b'{"0":"s","1":"a","2":1}',
    b'"sa1"',
    b"\xff",
    b'["s","a",NaN]',
    b'["s","a",Infinity]',
    b'["s","a","\\ud800"]',
    *(b'["s","%s",1]' % name for name in (b"v", b"tags", b"_sd", b"_sd_alg", b"...", b"_SD")),
]


@pytest.mark.parametrize("number", range(len(DISCLOSED)))
def test_every_kind_of_disclosure_is_opened_alike(number: int) -> None:
    """Of whatever shape: both open it, or none does."""
    opened_alike(DISCLOSED[number])


def test_disclosures_have_the_same_limits() -> None:
    """A mebibyte of characters, and one field of each name."""
    for length, fits in ((786_432, True), (786_433, False)):
        assert opened_alike(b'["s","a","' + b"x" * (length - 12) + b'"]') == fits
    assert opened_alike(b'["s","a",1]', b'["a","b",1]')
    assert not opened_alike(b'["s","a",1]', b'["t","a",1]')
    leaf = second.Leaf(token(0, 2))
    with pytest.raises(second.Failed, match="committed to"):
        second.open_disclosures(leaf, [encoding.to_base64url(b'["s","a",1]')])


# The list of contents, and the names of tiles.


@pytest.mark.parametrize(
    ("value", "shape", "fits"),
    [
        (0, int, True),
        (-1, int, False),
        (2**63 - 1, int, True),
        (2**63, int, False),
        (True, int, False),
        (1, bool, False),
        ("x", str, True),
        (1.0, int, False),
        ([], [int], True),
        ([1, 2], [int], True),
        ([1, "x"], [int], False),
        ({}, [int], False),
        ({"a": 1}, {"a": int}, True),
        ({"a": 1, "b": 1}, {"a": int}, False),
        ({}, {"a": int}, False),
        ([], {"a": int}, False),
        ({"head": None}, {"head": {"a": int}}, True),
        ({"tail": None}, {"tail": {"a": int}}, False),
        ({"head": {"a": 1}}, {"head": {"a": int}}, True),
        ({"head": {"a": "x"}}, {"head": {"a": int}}, False),
        ({"x": "y"}, None, True),
        ({"x": 1}, None, False),
        ([], None, False),
    ],
)
def test_contents_have_their_shape(value: Any, shape: Any, fits: bool) -> None:
    """Types, lists of one, exact keys; a head may be null."""
    assert second._fits(value, shape) is fits


@given(st.integers(0, 10**10) | st.sampled_from([0, 999, 1000, 999_999, 1_000_000]))
def test_tiles_are_named_alike(index: int) -> None:
    """Whatever the number."""
    assert second._tile("3", index, 256) == f"log/{TileName(3, index).path}"
    assert second._tile("0", index, 7) == f"log/{TileName(0, index, 7).path}"
    assert second._tile("entries", index, 256) == f"log/{TileName(None, index).path}"


def test_a_path_has_63_hashes_at_most() -> None:
    """As many as a tree can have levels."""
    path, size = tuple(bytes([n]) * 32 for n in range(63)), 2**63 - 1
    root = merkle.root_from_inclusion(merkle.leaf_hash(b"entry 2"), 2, size, path)
    signed = sign_checkpoint(first_checkpoint.Checkpoint(ORIGIN, size, root), log_identity())

    class Shown:
        policy = second.Policy(f"{LOG_POLICY_LINE}quorum none\n".encode())
        checkpoint = (ORIGIN, size, root)
        entries = {  # noqa: RUF012
            2: second.Entry(2, b"entry 2~", Receipt(2, path, signed.full_text).text.encode())
        }

    assert second.check_receipts(Shown) == {"entries": 1}  # type: ignore[arg-type]
