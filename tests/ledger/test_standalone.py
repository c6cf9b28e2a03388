"""The verifier that packages carry: a second implementation, held against the first one."""

from __future__ import annotations

import ast
import sys
from hashlib import sha512
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st
from tests.ledger import packages as world
from tests.ledger.vectors import LOG_VKEY, NOTE, NOTE_VKEY, RECEIPT

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import BranchlineError
from branchline.foundation.jws import sign_jws
from branchline.ledger.entry import (
    ENTRY_TYPE,
    Entry,
    disclosure_digest,
    leaf_tags,
    make_entry,
    open_entry,
    read_leaf,
)
from branchline.ledger.package import verifier_source
from branchline.ledger.proof.note import parse_key, parse_note
from branchline.ledger.proof.policy import parse_policy
from branchline.ledger.standalone.verify import (
    Failed,
    Key,
    Leaf,
    Policy,
    open_disclosures,
    verify_ed25519,
)
from branchline.ledger.standalone.verify import leaf_tags as other_leaf_tags
from branchline.ledger.standalone.verify import parse_note as other_parse_note

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032 §7.1: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
        "f9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        b"\x72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        b"\xaf\x82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
        "4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        sha512(b"abc").digest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c664"
        "31e0303dca179c138ac17ad9bef1177331a704",
    ),
]


def openssl(key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify with OpenSSL."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_signatures_of_rfc_8032_hold(key: str, message: bytes, signature: str) -> None:
    """Published keys, messages and signatures, and none of them for another message."""
    raw, signed = bytes.fromhex(key), bytes.fromhex(signature)
    assert verify_ed25519(raw, signed, message)
    assert openssl(raw, signed, message)
    assert not verify_ed25519(raw, signed, message + b"\0")


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 767))
def test_signatures_hold_as_openssl_says(seed: bytes, message: bytes, bit: int) -> None:
    """Every signature made by OpenSSL holds, and none with a bit of it or of its key changed."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify_ed25519(key, signature, message)
    changed = bytearray(signature + key)
    changed[bit // 8] ^= 1 << bit % 8
    key, signature = bytes(changed[64:]), bytes(changed[:64])
    assert not verify_ed25519(key, signature, message)
    assert not openssl(key, signature, message)


def test_a_number_beyond_the_order_is_refused() -> None:
    """The same signature written with a larger number would be a second one."""
    key, message, signature = RFC_8032[1]
    raw = bytes.fromhex(signature)
    larger = int.from_bytes(raw[32:], "little") + ORDER
    again = raw[:32] + larger.to_bytes(32, "little")
    assert not verify_ed25519(bytes.fromhex(key), again, message)


@pytest.mark.parametrize("y", [P, P + 1, P + 2, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_point_in_another_spelling_is_refused(y: int, sign: int) -> None:
    """A coordinate that is not below the prime is one that has a smaller spelling."""
    spelled = (y | sign << 255).to_bytes(32, "little")
    _, message, signature = RFC_8032[0]
    assert not verify_ed25519(spelled, bytes.fromhex(signature), message)


def test_the_neutral_point_has_one_sign() -> None:
    """x = 0 with the sign bit set is no point (RFC 8032 §5.1.3, step 4)."""
    neutral, negative = (1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")
    # With the neutral point as key, the neutral R and the number 0 sign every message.
    assert verify_ed25519(neutral, neutral + bytes(32), b"any") == openssl(
        neutral, neutral + bytes(32), b"any"
    )
    assert not verify_ed25519(negative, neutral + bytes(32), b"any")
    assert not verify_ed25519(neutral, negative + bytes(32), b"any")


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_anything_may_be_handed_in(key: bytes, signature: bytes) -> None:
    """Bytes of whatever length and content are no signature, and break nothing."""
    assert not verify_ed25519(key, signature, b"message")


def test_the_verifier_stands_alone() -> None:
    """It imports the standard library only, and is written for Python 3.9."""
    tree = ast.parse(verifier_source(), feature_version=(3, 9))
    imported = {
        (name.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert imported <= set(sys.stdlib_module_names)


def agree(first: Any, second: Any) -> Any:
    """Do the same with both; either both refuse, or both give the same, which is returned."""
    try:
        one = first()
    except BranchlineError:
        with pytest.raises(Failed):
            second()
        return None
    assert second() == one
    return one


POLICY = f"""# A comment
log {LOG_VKEY} https://log.example
witness\ta  {next(iter(world.policy().witnesses)).key.text}
witness b {world.policy().witnesses[1].key.text} https://b
group both all a b
group g 1 both
quorum g
"""
WORDS = st.sampled_from(
    [
        "log",
        "witness",
        "group",
        "quorum",
        "none",
        "any",
        "all",
        "1",
        "2",
        "01",
        "a",
        "b",
        "both",
        "g",
    ]
    + ["#", "\t", " ", "  ", "\n", "\r", LOG_VKEY, NOTE_VKEY, "é", "\udcff"]
    + [witness.key.text for witness in world.policy().witnesses]
)


@given(st.lists(WORDS, max_size=12), st.integers(0, 40), st.integers(0, 6), st.booleans())
@example([], 0, 0, True)
def test_policies_are_read_alike(words: list[str], at: int, drop: int, ended: bool) -> None:
    """Lines and words put in, left out and exchanged: both read the same policy, or none."""
    parts = POLICY.split(" ")
    parts[at : at + drop] = words
    text = " ".join(parts).encode(errors="surrogateescape") + b"\n" * ended
    agree(lambda: parse_policy(text).digest, lambda: Policy(text).digest)


@given(st.text(alphabet="log.example/+d5c8AYqI49 =\n\u2003", max_size=30) | st.just(LOG_VKEY))
def test_keys_are_read_alike(text: str) -> None:
    """Anything that is no verifier key is none for both."""
    agree(lambda: parse_key(text).id, lambda: Key(text, [1]).id)


@given(
    st.integers(0, len(NOTE) + 3), st.integers(0, 9), st.text(alphabet="\n — AQ=é\x00+", max_size=4)
)
def test_notes_are_read_alike(at: int, drop: int, inserted: str) -> None:
    """A note cut, and with something put in, is the same to both."""
    checkpoint = RECEIPT.partition("\n\n")[2]
    for note in (NOTE, checkpoint):
        data = (note[:at] + inserted + note[at + drop :]).encode()
        agree(
            lambda data=data: [
                (line.name, line.key_id, line.signature) for line in parse_note(data).signatures
            ],
            lambda data=data: other_parse_note(data)[1],
        )


ENTRY = make_entry({"a": 1, "é": [None, "x"]}, world.STATION, tags=["A" * 22, "B" * 21 + "A"])


@given(
    st.integers(0, len(ENTRY.jws)), st.integers(0, 3), st.text(alphabet="AQ.~_-=\n\x80", max_size=3)
)
@example(0, 0, "")
def test_leaves_are_read_alike(at: int, drop: int, inserted: str) -> None:
    """A leaf changed anywhere bears the same tags to both, and is signed or not to both."""
    changed = ENTRY.jws[:at] + inserted + ENTRY.jws[at + drop :]
    leaf = changed.encode("latin-1")
    assert list(leaf_tags(leaf)) == other_leaf_tags(leaf)
    agree(lambda: read_leaf(leaf).kid, lambda: Leaf(changed).kid)


PAYLOADS = [
    b'{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[]}',
    b'{"v":1.0,"tags":[],"_sd_alg":"sha-256","_sd":[]}',
    b'{"v":true,"tags":[],"_sd_alg":"sha-256","_sd":[]}',
    b'{"v":1,"tags":[],"_sd_alg":"sha-512","_sd":[]}',
    b'{"v":1,"tags":[],"tags":[],"_sd_alg":"sha-256","_sd":[]}',
    b'{"v":1,"tags":{},"_sd_alg":"sha-256","_sd":[]}',
    b'{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[null]}',
    b'{"v":1,"tags":[],"_sd":[],"_sd_alg":"sha-256"}',
    b"[]",
    b"1",
    b"{" * 2000,
    b"\xff",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_are_read_alike(payload: bytes) -> None:
    """Only the one spelling is an entry, to both."""
    token = sign_jws(payload, world.STATION, typ=ENTRY_TYPE)
    agree(lambda: read_leaf(token.encode()).kid, lambda: Leaf(token).kid)


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"Ed25519","kid":"KID","typ":"bl-entry+sd-jwt"}'.replace("KID", "A" * 43),
        '{"alg":"Ed25519","kid":"KID","typ":"bl-entry+sd-jwt"}'.replace("KID", "A" * 42 + "B"),
        '{"alg":"EdDSA","kid":"KID","typ":"bl-entry+sd-jwt"}'.replace("KID", "A" * 43),
        '{"alg":"Ed25519","kid":"KID","typ":"bl-entryysd-jwt"}'.replace("KID", "A" * 43),
        '{"alg":"Ed25519","typ":"bl-entry+sd-jwt","kid":"KID"}'.replace("KID", "A" * 43),
        '{"alg": "Ed25519","kid":"KID","typ":"bl-entry+sd-jwt"}'.replace("KID", "A" * 43),
        "{}",
    ],
)
def test_headers_are_read_alike(header: str) -> None:
    """Only the one spelling is an entry, to both, whoever signed it or nobody."""
    _, payload, signature = ENTRY.jws.split(".")
    leaf = f"{to_base64url(header.encode())}.{payload}.{signature}"
    agree(lambda: read_leaf(leaf.encode()).kid, lambda: Leaf(leaf).kid)
    assert list(leaf_tags(leaf.encode())) == other_leaf_tags(leaf.encode())


DISCLOSED = st.sampled_from(
    [
        b'["s","a",1]',
        b'["s","a",1e999]',
        b'["s","a",NaN]',
        b'["s","a","\\ud800"]',
        b'["s","a\\ud800",1]',
        b'["s","a",18446744073709551616]',
        b'["s","a",{"x":1,"x":2}]',
        b'["s","a",-0.0]',
        b'["s","a",1] ',
        b'\xef\xbb\xbf["s","a",1]',
        b'["","a",1]',
        b'["s","_sd",1]',
        b'["s",1,1]',
        b'["s","a"]',
        b'{"s":1,"a":2,"b":3}',
        b'["s","a",' + b"[" * 3000 + b"]" * 3000 + b"]",
        b'["s","a","x"]',
    ]
)


@given(DISCLOSED | st.binary(max_size=12), st.booleans())
def test_disclosures_are_read_alike(text: bytes, committed: bool) -> None:
    """What the signer committed to opens to the same fields, or to none, in both."""
    disclosure = to_base64url(text)
    entry = make_entry({}, world.STATION)
    payload = msgspec.json.decode(from_base64url(entry.jws.split(".")[1]))
    digest = disclosure_digest(disclosure)
    payload["_sd"] = [digest] if committed else payload["_sd"]
    token = sign_jws(msgspec.json.encode(payload), world.STATION, typ=ENTRY_TYPE)
    shown = Entry(token, (disclosure,))
    agree(
        lambda: open_entry(shown, world.STATION.public),
        lambda: open_disclosures(Leaf(token), [disclosure]),
    )
