"""The published vectors of entries, classes, topics and tag trees are what this program does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from tests.ledger import entry_vectors
from tests.ledger.vectors import log_identity

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import PublicKeys
from branchline.ledger.beside import parse_beside
from branchline.ledger.classes import ActorSecret, open_beside
from branchline.ledger.entry import Entry, leaf_tags, make_entry, open_entry, read_leaf
from branchline.ledger.grants import open_grant, open_granted, try_grant
from branchline.ledger.light import LightProof, LightWanted, read_lightly
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import key_policy
from branchline.ledger.standalone import verify as standalone
from branchline.ledger.statements import check_statement, make_statement, stated_in
from branchline.ledger.tagproof import TagTreeHead, check_tags, parse_tag_proof, statement_topic
from branchline.ledger.tagtree import TagTree
from branchline.ledger.topics import tag_of

VECTORS: dict[str, Any] = json.loads(entry_vectors.FILE.read_text())
ACTOR = entry_vectors.identity(4)


def test_the_vectors_say_what_the_generator_says() -> None:
    """What is not random in the published file is what the generator writes today."""
    made = json.loads(json.dumps(entry_vectors.vectors()))
    for name in ("entry", "topics", "tag tree", "statements", "light proof", "not entries"):
        assert made[name] == VECTORS[name]
    same = ("secret", "epoch", "fields", "class of", "class keys")
    assert {k: made["classes"][k] for k in same} == {k: VECTORS["classes"][k] for k in same}


def test_the_entry() -> None:
    """Equal fields, salts, tags and key give the same leaf, which opens to the fields."""
    vector = VECTORS["entry"]
    salts = {name: bytes.fromhex(salt) for name, salt in vector["salts"].items()}
    made = make_entry(vector["fields"], ACTOR, tags=vector["tags"], salts=salts.__getitem__)
    assert (made.jws, list(made.disclosures)) == (vector["jws"], vector["disclosures"])
    assert made.id == vector["id"] == "sha256:" + hashlib.sha256(made.leaf).hexdigest()
    assert open_entry(made, ACTOR.public) == vector["fields"]
    leaf = standalone.Leaf(vector["jws"])
    assert leaf.signed_by(from_base64url(vector["sign"]))
    assert standalone.open_disclosures(leaf, vector["disclosures"]) == vector["fields"]


@pytest.mark.parametrize("vector", VECTORS["not entries"], ids=lambda vector: vector["why"])
def test_what_is_not_an_entry(vector: dict[str, str]) -> None:
    """Signed or not, another shape or spelling is no entry and bears no tags."""
    with pytest.raises(Corrupt):
        open_entry(Entry(vector["leaf"]), ACTOR.public)
    assert leaf_tags(vector["leaf"].encode()) == ()
    assert standalone.leaf_tags(vector["leaf"].encode()) == []


def test_the_classes() -> None:
    """The blob beside opens with the actor's secret, to every field and its class."""
    vector = VECTORS["classes"]
    entry, beside = Entry(vector["jws"]), parse_beside(json.dumps(vector["beside"]).encode())
    secret = ActorSecret(vector["epoch"], bytes.fromhex(vector["secret"]))
    assert open_entry(open_beside(entry, beside, secret), ACTOR.public) == vector["fields"]
    left = parse_beside(json.dumps(vector["erased"]).encode())
    assert left == beside.erased("people")
    rest = {k: v for k, v in vector["fields"].items() if vector["class of"][k] != "people"}
    assert open_entry(open_beside(entry, left, secret), ACTOR.public) == rest


def test_the_classes_by_hand() -> None:
    """Every key, salt and ciphertext follows from the page's formulas and nothing else."""
    vector = VECTORS["classes"]
    leaf_digest = hashlib.sha256(vector["jws"].encode()).digest()
    identifier = base64.b64decode(vector["beside"]["id"])
    committed = read_leaf(vector["jws"].encode()).digests
    opened = {}
    for name, part in vector["beside"]["classes"].items():
        class_key = _hkdf(bytes.fromhex(vector["secret"]), b"bl/v1/class" + name.encode())
        bound = b"bl-beside/v1\n" + leaf_digest + name.encode()
        if "key" in part:
            wrapping = _hkdf(class_key, b"bl/v1/wrap" + identifier)
            key = _decrypt(wrapping, base64.b64decode(part["key"]), bound + b"\nkey")
        else:
            key = _hkdf(class_key, b"bl/v1" + identifier)
        assert class_key.hex() == vector["class keys"][name]
        assert key.hex() == vector["entry keys"][name]
        plain = _decrypt(key, base64.b64decode(part["data"]), bound)
        nonce = hmac.digest(_hkdf(key, b"nonce"), bound + b"\0" + plain, "sha256")[:12]
        assert base64.b64decode(part["data"])[:12] == nonce
        for text in plain.decode().split("~"):
            if text:
                salt, field, value = msgspec.json.decode(from_base64url(text))
                assert salt == to_base64url(_hkdf(key, b"salt" + field.encode())[:16])
                assert to_base64url(hashlib.sha256(text.encode()).digest()) in committed
                assert vector["class of"][field] == name
                opened[field] = value
    assert opened == vector["fields"]


def _hkdf(key: bytes, info: bytes) -> bytes:
    """Derive one block with HKDF-SHA-256 without a salt (RFC 5869 §2)."""
    pseudorandom = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    plain = ChaCha20Poly1305(_hkdf(key, b"enc")).decrypt(data[:12], data[12:], bound)
    expected = hmac.digest(_hkdf(key, b"nonce"), bound + b"\0" + plain, "sha256")[:12]
    assert data[:12] == expected
    return plain


def test_the_grant() -> None:
    """Sealed to its recipient, it opens what is said of it, and no more."""
    vector = VECTORS["classes"]
    entry, beside = Entry(vector["jws"]), parse_beside(json.dumps(vector["beside"]).encode())
    sealed = from_base64url(vector["grant"]["sealed"])
    grant = open_grant(sealed, entry_vectors.identity(6), ACTOR.public)
    fields = open_entry(open_granted(entry, beside, grant), ACTOR.public)
    assert sorted(fields) == vector["grant"]["opens"]
    assert [set(one.fields) for one in try_grant(grant, [(entry, beside)])] == [set(fields)]


def test_the_topics() -> None:
    """Tags of small and large numbers, and the topic that everybody knows."""
    vector = VECTORS["topics"]
    secret = bytes.fromhex(vector["secret"])
    for one in vector["tags"]:
        assert tag_of(secret, one["number"]) == one["tag"]
        assert standalone.tag_of(secret, one["number"]) == one["tag"]
    known = vector["tag tree statements"]
    assert statement_topic(known["origin"]).hex() == known["secret"]


@pytest.mark.parametrize("vector", VECTORS["tag tree"], ids=lambda vector: str(vector["size"]))
def test_the_tag_trees(vector: dict[str, Any]) -> None:
    """Roots, proofs and what they prove, by both implementations."""
    parts = (from_base64url(t["tag"]) + t["position"].to_bytes(8) for t in vector["tags"])
    tree = TagTree(b"".join(parts), vector["covered"])
    head = TagTreeHead(vector["size"], bytes.fromhex(vector["root"]), vector["covered"])
    assert tree.head == head
    data = from_base64url(vector["proof"])
    asked = list(vector["proves"])
    assert check_tags(parse_tag_proof(data), head, asked) == vector["proves"]
    other = standalone.TagProof(data, head.size, head.root, head.covered)
    assert {tag: other.positions(tag) for tag in asked} == vector["proves"]


@pytest.mark.parametrize("vector", VECTORS["statements"], ids=lambda vector: str(vector["covered"]))
def test_the_statements(vector: dict[str, Any]) -> None:
    """A statement is determined by its head; where it may stand, from the first position to the last."""
    log = parse_key(vector["vkey"])
    head = TagTreeHead(vector["size"], bytes.fromhex(vector["root"]), vector["covered"])
    leaf, (first, last) = vector["leaf"].encode(), vector["positions"]
    made = make_statement(head, vector["origin"], log_identity())
    assert (made.leaf, list(made.disclosures)) == (leaf, vector["disclosures"])
    for position in (first, last):
        check_statement(leaf, position, head, log)
    for position in (first - 1, last + 1):
        assert stated_in(leaf, position, log) is None
    with pytest.raises(Corrupt):
        check_statement(leaf, first, msgspec.structs.replace(head, size=head.size + 1), log)


def test_the_light_proof() -> None:
    """The question asked of a topic's secret, the answer checked, and what it shows."""
    vector = VECTORS["light proof"]
    secret, actor = bytes.fromhex(vector["secret"]), PublicKeys(vector["sign"], "")
    questions = []

    def answer(wanted: LightWanted) -> LightProof:
        questions.append(json.loads(msgspec.json.encode(wanted)))
        return msgspec.convert(vector["answer"], LightProof)

    policy = key_policy(parse_key(vector["vkey"]))
    found = read_lightly(answer, secret, {actor.id: actor}, policy, known=vector["positions"])
    assert [each.position for each in found.report.entries] == vector["positions"]
    assert (found.report.complete, found.report.covered, found.report.count) == (True, 256, 3)
    assert questions == [vector["question"]]
