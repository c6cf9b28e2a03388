"""Trust policies: every rule of the format, and what a quorum is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.vectors import (
    LOG_VKEY,
    RECEIPT,
    SIGNED_BY_BOTH,
    WITNESS_VKEY,
    entries,
    log_identity,
)

from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import Note, Signature, VerifierKey, key_of, parse_key
from branchline.ledger.proof.policy import (
    MAJORITY,
    TWO_THIRDS,
    Policy,
    WitnessLine,
    default_policy,
    dishonest_tolerated,
    key_policy,
    parse_policy,
    quorum_of,
)
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt


def witness_keys(count: int) -> list[VerifierKey]:
    """Make keys of witnesses w0, w1 …"""
    return [cosigner_key(f"w{number}", Identity.create().public) for number in range(count)]


KEYS = witness_keys(6)
LOG = parse_key(LOG_VKEY)


def policy_text(*groups: str, log: str = LOG_VKEY, witnesses: int = 6) -> bytes:
    """Write a policy over w0 … with these last lines."""
    lines = [f"log {log}", *(f"witness {key.name} {key.text}" for key in KEYS[:witnesses]), *groups]
    return "".join(f"{line}\n" for line in lines).encode()


NESTED = policy_text(
    "group X 2 w0 w1 w2", "group Y any w3 w4 w5", "group X-and-Y all X Y", "quorum X-and-Y"
)


def test_the_policy_of_the_specification_counts_as_it_says() -> None:
    """Two of the first three and one of the others are a quorum; nothing less is."""
    policy = parse_policy(NESTED)
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(range(6), count) for count in range(7)
    ):
        enough = sum(n < 3 for n in chosen) >= 2 and any(n >= 3 for n in chosen)
        assert policy.satisfied_by([f"w{n}" for n in chosen]) is enough


def test_a_policy_has_one_canonical_text_and_digest() -> None:
    """Blanks and comments do not change what a policy is; another order of members does."""
    policy = parse_policy(NESTED)
    assert policy.text.encode() == NESTED
    spaced = b"# who watches\n\n \t\n" + NESTED.replace(b" ", b" \t ").replace(b"\n", b"  \n")
    assert parse_policy(spaced) == policy
    assert parse_policy(spaced).digest == policy.digest
    other = parse_policy(NESTED.replace(b"w0 w1 w2", b"w1 w0 w2"))
    assert other.digest != policy.digest


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ((), "has no quorum"),
        (("quorum none", "quorum none"), "Line 9 .*quorum already"),
        (("quorum w7",), "'w7' is not defined above"),
        (("quorum g", "group g any w0"), "'g' is not defined above"),
        (("group g any g", "quorum g"), "'g' is not defined above"),
        (("group g any h", "group h any w0", "quorum g"), "'h' is not defined above"),
        (("group g any", "quorum none"), "neither"),
        (("group g 0 w0", "quorum g"), "'0' is not"),
        (("group g 01 w0", "quorum g"), "'01' is not"),
        (("group g +1 w0", "quorum g"), "is not"),
        (("group g most w0", "quorum g"), "'most' is not"),
        (("group g 3 w0 w1", "quorum g"), "a group of 2 cannot need 3"),
        (("group g any w0 w0", "quorum g"), "is a member already"),
        (("group g any w0", "group h any w0 w1", "quorum g"), "is a member already"),
        (("group g any none", "quorum g"), "'none' is not defined above"),
        (("group none any w0", "quorum none"), "'none' is taken"),
        (("group w0 any w1", "quorum none"), "'w0' is taken"),
        (("group g any w0", "group g any w1", "quorum g"), "'g' is taken"),
        ((f"witness none {WITNESS_VKEY}", "quorum none"), "'none' is taken"),
        ((f"witness w0 {WITNESS_VKEY}", "quorum none"), "'w0' is taken"),
        ((f"witness again {KEYS[0].text}", "quorum none"), "key of this witness"),
        ((f"witness w {LOG_VKEY}", "quorum none"), "not a key of type 0x04 or 0x06"),
        ((f"witness w {WITNESS_VKEY} url more", "quorum none"), "neither"),
        (("witness w", "quorum none"), "neither"),
        ((f"log {LOG_VKEY}", "quorum none"), "key of this log"),
        ((f"log {WITNESS_VKEY}", "quorum none"), "not a key of type 0x01"),
        ((f"log {LOG_VKEY[:-1]}", "quorum none"), "verifier key"),
        ((f"log {LOG_VKEY} url more", "quorum none"), "neither"),
        (("log", "quorum none"), "neither"),
        (("quorum",), "neither"),
        (("quorum none # really",), "neither"),
        (("Quorum none",), "neither"),
        (("quorum\u00a0none",), "neither"),
        (("quorum none\x07",), "control characters"),
        (("quorum none\r",), "control characters"),
        (("quorum none\x7f",), "control characters"),
    ],
)
def test_a_broken_rule_is_named_with_its_line(groups: tuple[str, ...], says: str) -> None:
    """Every rule of tlog-policy refuses what breaks it, in a sentence."""
    with pytest.raises(Refused, match=says):
        parse_policy(policy_text(*groups))


def test_the_last_line_ends_too() -> None:
    """A policy that was cut within its last line is not read as a shorter one."""
    with pytest.raises(Refused, match="does not end"):
        parse_policy(policy_text("quorum none")[:-1])


@pytest.mark.parametrize(("size", "refused"), [(1_000_000, False), (1_000_001, True)])
def test_a_policy_has_a_million_bytes_at_most(size: int, refused: bool) -> None:
    """A comment may fill it to the last byte and no further."""
    text = NESTED + b"#"
    data = text + b"x" * (size - len(text) - 1) + b"\n"
    assert len(data) == size
    if refused:
        with pytest.raises(Refused, match="at most 1000000 bytes"):
            parse_policy(data)
    else:
        assert parse_policy(data) == parse_policy(NESTED)


def test_a_log_alone_is_two_lines() -> None:
    """Nobody else is asked for, and no address is invented."""
    assert key_policy(LOG).text == f"log {LOG_VKEY}\nquorum none\n"
    assert WitnessLine("w", KEYS[0]).url == ""


def test_the_same_key_under_another_name_is_the_same_key() -> None:
    """Two lines with one key would give one party two voices."""
    renamed = VerifierKey("other", KEYS[0].key, KEYS[0].type)
    with pytest.raises(Refused, match="key of this witness"):
        parse_policy(policy_text(f"witness other {renamed.text}", "quorum none"))
    log = VerifierKey("other", LOG.key)
    with pytest.raises(Refused, match="key of this log"):
        parse_policy(policy_text(f"log {log.text}", "quorum none"))


def test_names_are_octets() -> None:
    """K and the Kelvin sign are two names, and bytes that are no text are a name, too."""
    names = [b"K", b"\xe2\x84\xaa", b"\xff\xfe"]
    lines = [b"witness %s %s" % (n, k.text.encode()) for n, k in zip(names, KEYS, strict=False)]
    data = b"\n".join([*lines, b"group g 2 " + b" ".join(names), b"quorum g", b""])
    policy = parse_policy(data)
    assert policy.text.encode(errors="surrogateescape") == data
    assert policy.satisfied_by(["K", "\u212a"])
    assert policy.digest.startswith("sha256:")


def test_a_key_name_that_is_no_text_is_refused() -> None:
    """A verifier key's name is UTF-8; other octets name nobody."""
    with pytest.raises(Refused, match="Line 1"):
        parse_policy(b"log \xff+d5d7c810+" + LOG_VKEY.partition("+")[2].encode()[9:] + b"\n")


def test_64_logs_witnesses_and_groups_are_read() -> None:
    """More than the 32 that the specification asks for."""
    logs = [key_of(f"log{n}", Identity.create().public) for n in range(64)]
    keys = witness_keys(64)
    lines = [f"log {log.text} https://log.example/" for log in logs]
    lines += [f"witness {key.name} {key.text} https://w.example/" for key in keys]
    lines.append("group g0 any w0")
    lines += [f"group g{n} all g{n - 1} w{n}" for n in range(1, 64)]
    policy = parse_policy("".join(f"{line}\n" for line in [*lines, "quorum g63"]).encode())
    assert not policy.satisfied_by([f"w{n}" for n in range(1, 64)])
    assert policy.satisfied_by([f"w{n}" for n in range(64)])
    assert "https://log.example/" in policy.text
    assert "https://w.example/" in policy.text


@given(st.data())
def test_every_policy_reads_back(data: st.DataObject) -> None:
    """Whatever groups there are, the canonical text gives the same policy again."""
    free = [key.name for key in KEYS]
    groups = []
    for number in range(data.draw(st.integers(0, 5))):
        if not free:
            break
        members = data.draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        count = data.draw(st.integers(1, len(members)))
        groups.append(f"group g{number} {count} {' '.join(members)}")
        free = [name for name in free if name not in members] + [f"g{number}"]
    quorum = data.draw(st.sampled_from([*free, "none"]))
    policy = parse_policy(policy_text(*groups, f"quorum {quorum}"))
    assert parse_policy(policy.text.encode()) == policy


@given(st.binary(max_size=200))
def test_noise_is_no_policy(noise: bytes) -> None:
    """Arbitrary bytes are refused in our own words."""
    with pytest.raises(BranchlineError):
        parse_policy(noise)


@given(st.data())
def test_more_witnesses_never_break_a_quorum(data: st.DataObject) -> None:
    """Whoever sees all quorums leaves none outside; a quorum stays one when others join."""
    policy = parse_policy(NESTED)
    names = [key.name for key in KEYS]
    some = data.draw(st.sets(st.sampled_from(names)))
    more = some | data.draw(st.sets(st.sampled_from(names)))
    assert policy.satisfied_by(more) or not policy.satisfied_by(some)
    assert policy.sees_all_quorums(some) is not policy.satisfied_by(set(names) - some)


def test_a_quorum_of_nobody_is_seen_by_nobody() -> None:
    """Where no cosignature is asked for, no witness can vouch that nothing was missed."""
    assert not key_policy(LOG).sees_all_quorums(["w0"])


def test_the_quorums_of_ours_are_those_of_the_table() -> None:
    """A majority below four entities, 1 + ⌊2n/3⌋ from four on; what each resists is computed."""
    assert [quorum_of(n) for n in range(1, 11)] == [1, 2, 2, 3, 4, 5, 5, 6, 7, 7]
    assert [dishonest_tolerated(n, quorum_of(n)) for n in range(1, 11)] == [
        0, 1, 0, 1, 2, 3, 2, 3, 4, 3,
    ]  # fmt: skip
    assert dishonest_tolerated(4, 2) == -1


@pytest.mark.parametrize("count", range(1, 8))
def test_what_is_tolerated_is_tolerated(count: int) -> None:
    """With f dishonest witnesses no two disjoint sets of honest ones give two quorums; f + 1 do."""
    for threshold in range(1, count + 1):
        tolerated = dishonest_tolerated(count, threshold)
        for dishonest in range(count + 1):
            honest = count - dishonest
            # Each honest witness signs one history, each dishonest one both.
            split = any(
                part + dishonest >= threshold and honest - part + dishonest >= threshold
                for part in range(honest + 1)
            )
            assert split is (dishonest > tolerated)


def test_the_default_policy_gives_every_entity_one_voice() -> None:
    """Two witnesses of one hospital count once."""
    policy = default_policy(
        LOG, {"north": KEYS[:2], "south": KEYS[2:3], "east": KEYS[3:4], "west": KEYS[4:5]}
    )
    assert policy.quorum == TWO_THIRDS == "two-thirds"
    assert not policy.satisfied_by(["w0", "w1", "w2"])
    assert policy.satisfied_by(["w1", "w2", "w4"])
    assert parse_policy(policy.text.encode()) == policy


def test_a_default_policy_below_four_entities_is_named_a_majority() -> None:
    """Its name says that it resists no dishonest witness."""
    policy = default_policy(LOG, {"north": KEYS[:1], "south": KEYS[1:2], "east": KEYS[2:3]})
    assert policy.quorum == MAJORITY == "majority"
    assert policy.satisfied_by(["w0", "w2"])
    assert not policy.satisfied_by(["w0"])
    assert default_policy(LOG, {}).quorum == "none"


@pytest.mark.parametrize(
    "witnesses",
    [
        {"north": KEYS[:1], "south": KEYS[:1]},
        {"north": []},
        {"w0": KEYS[:1]},
        {"with space": KEYS[:1]},
        {"north": [VerifierKey("w", LOG.key, 4)]},
    ],
    ids=["one key twice", "no witness", "name taken", "name", "the log itself"],
)
def test_a_default_policy_that_would_mislead_is_refused(
    witnesses: dict[str, Sequence[VerifierKey]],
) -> None:
    """No entity without a witness, no witness with two voices, no log as its own witness."""
    with pytest.raises(Refused):
        default_policy(LOG, witnesses)


VECTOR_POLICY = parse_policy(
    f"log {LOG_VKEY}\nwitness a {WITNESS_VKEY}\nwitness w0 {KEYS[0].text}\n"
    "group both all a w0\nquorum a\n".encode()
)


def test_the_receipt_of_the_vectors_has_its_quorum() -> None:
    """The published receipt satisfies the policy that names its witness."""
    verified = VECTOR_POLICY.open(SIGNED_BY_BOTH.encode())
    assert verified.checkpoint.size == 5
    assert verified.cosigned["a"].at == 1_764_600_000
    receipt = parse_receipt(RECEIPT)
    leaf = entries(3)[2]
    assert verify_receipt(receipt, leaf, VECTOR_POLICY, cosigned_by=["a"]).size == 5
    with pytest.raises(Corrupt, match="not cosigned by w0"):
        verify_receipt(receipt, leaf, VECTOR_POLICY, cosigned_by=["a", "w0"])


def _without_log(note: str) -> str:
    return note.replace("— log.example/branchline ", "— log.example/branchlinf ")


def _other_time(note: str) -> str:
    return note.replace("/YKQqAAAAABpLajA", "/YKQqAAAAABpLajB")


@pytest.mark.parametrize(
    ("policy", "change", "says"),
    [
        ("both", str, "the policy asks for both"),
        ("a", _without_log, "not signed by"),
        ("a", _other_time, "cosignature by station-a.example/witness .* does not hold"),
    ],
)
def test_a_checkpoint_without_its_quorum_is_refused(
    policy: str, change: Callable[[str], str], says: str
) -> None:
    """Too few, no log, or a known cosignature that fails: nothing outweighs that."""
    asked = Policy(VECTOR_POLICY.logs, VECTOR_POLICY.witnesses, VECTOR_POLICY.groups, quorum=policy)
    with pytest.raises(Corrupt, match=says):
        asked.open(change(SIGNED_BY_BOTH).encode())


def test_a_log_speaks_for_its_own_origin_only() -> None:
    """A text of one origin signed by another log of the policy is refused."""
    other = VerifierKey("other.example", LOG.key)
    policy = Policy(
        (*VECTOR_POLICY.logs, *key_policy(other).logs), VECTOR_POLICY.witnesses, (), "none"
    )
    assert policy.open(SIGNED_BY_BOTH.encode()).checkpoint.size == 5
    forged = _resigned(SIGNED_BY_BOTH, other)
    with pytest.raises(Corrupt, match=r"is of log\.example/branchline, which none of its signers"):
        policy.open(forged)


def _resigned(note: str, key: VerifierKey) -> bytes:
    text = note.partition("\n\n")[0] + "\n"
    line = Signature(key.name, key.id, log_identity().sign(text.encode()))
    return Note(text, (line,)).full_text.encode()
