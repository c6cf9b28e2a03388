"""Write the test vectors of entries, topics and tag trees: ``python tests/ledger/entry_vectors.py``.

What is random in them (a personal key, a parcel) differs from run to run: they are made once, and
the tests read them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.jws import sign_jws
from branchline.foundation.keys import Identity
from branchline.ledger.classes import (
    ActorSecret,
    Classes,
    entry_key,
    seal_by_class,
)
from branchline.ledger.edge import Edge
from branchline.ledger.entry import ENTRY_TYPE, make_entry
from branchline.ledger.grants import one_field, seal_grant
from branchline.ledger.light import LightEntry, LightProof
from branchline.ledger.proof.checkpoint import Checkpoint, sign_checkpoint
from branchline.ledger.proof.merkle import inclusion_path, leaf_hash
from branchline.ledger.proof.note import key_of
from branchline.ledger.statements import make_statement
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tagproof import TagTreeHead, statement_topic
from branchline.ledger.tagtree import NewTags, TagTree
from branchline.ledger.topics import LOOK_AHEAD, tag_of

FILE = Path(__file__).parents[2] / "docs" / "formats" / "entry-vectors.json"
ORIGIN = "log.example/branchline"
FIELDS: dict[str, Any] = {
    "act": "stop.released",
    "at": "2026-11-21T01:02:03.000Z",
    "who": "Dr Möbius",
    "round": 3,
    "sums": [1.5, None, True],
    "digest": "sha256:" + "0" * 64,
    "note": "",
    "price": {"amount": "12.50", "currency": "EUR"},
}
CLASSES = Classes(
    {"who": "people", "digest": "technical", "sums": "technical", "price": "money"},
    personal=["people"],
    otherwise="core",
)


def identity(seed: int) -> Identity:
    """Return the keys whose private halves are one byte, 32 times."""
    raw = bytes([seed]) * 32
    return Identity(
        Ed25519PrivateKey.from_private_bytes(raw), X25519PrivateKey.from_private_bytes(raw)
    )


def vectors() -> dict[str, Any]:
    """Make all vectors."""
    return {
        "entry": _entry(),
        "classes": _classes(),
        "topics": _topics(),
        "tag tree": _tag_tree(),
        "statements": [_statement(covered) for covered in (0, 256, 70_144)],
        "light proof": _light_proof(),
        "not entries": _not_entries(),
    }


def _entry() -> dict[str, Any]:
    salts = {name: bytes([at]) * 16 for at, name in enumerate(FIELDS)}
    tags = [tag_of(bytes([3]) * 32, number) for number in range(2)]
    entry = make_entry(FIELDS, identity(4), tags=tags, salts=salts.__getitem__)
    return {
        "seed": "04" * 32,
        "sign": identity(4).public.sign,
        "fields": FIELDS,
        "salts": {name: salt.hex() for name, salt in salts.items()},
        "tags": tags,
        "jws": entry.jws,
        "disclosures": list(entry.disclosures),
        "id": entry.id,
    }


def _classes() -> dict[str, Any]:
    actor, secret = identity(4), ActorSecret(7, bytes([5]) * 32)
    entry, beside = seal_by_class(FIELDS, actor, secret=secret, classes=CLASSES)
    names = sorted(beside.classes)
    recipient = identity(6)
    sealed = seal_grant(
        [
            secret.class_key("technical"),
            entry_key(entry, beside, "people", secret),
            one_field(entry, "act"),
        ],
        actor,
        recipient.public,
        datetime(2026, 11, 21, tzinfo=UTC),
    )
    return {
        "seed": "04" * 32,
        "secret": secret.secret.hex(),
        "epoch": secret.epoch,
        "fields": FIELDS,
        "class of": {name: CLASSES.class_of(name) for name in FIELDS},
        "jws": entry.jws,
        "beside": json.loads(beside.data),
        "class keys": {name: secret.class_key(name).key.hex() for name in names},
        "entry keys": {name: entry_key(entry, beside, name, secret).key.hex() for name in names},
        "erased": json.loads(beside.erased("people").data),
        "grant": {
            "recipient seed": "06" * 32,
            "sealed": to_base64url(bytes(sealed)),
            "opens": sorted({"act", "sums", "digest", "who"}),
        },
    }


def _topics() -> dict[str, Any]:
    numbers = [0, 1, 2, 3, 255, 256, 2**32, 2**64 - 1]
    return {
        "secret": "03" * 32,
        "tags": [{"number": number, "tag": tag_of(bytes([3]) * 32, number)} for number in numbers],
        "tag tree statements": {"origin": ORIGIN, "secret": statement_topic(ORIGIN).hex()},
    }


def _tag_tree() -> list[dict[str, Any]]:
    secret = bytes([3]) * 32
    trees = [[], [0], [0, 1, 2], [0, 0, 1], list(range(70))]
    return [_one_tree(secret, numbers) for numbers in trees]


def _one_tree(secret: bytes, numbers: list[int]) -> dict[str, Any]:
    """Make the tree of tags that stand at every second position of a ledger."""
    placed = [(tag_of(secret, number), 2 * at) for at, number in enumerate(numbers)]
    covered = max(2 * len(numbers) - 1, 0)
    tree = TagTree(b"".join(from_base64url(tag) + at.to_bytes(8) for tag, at in placed), covered)
    asked = [tag_of(secret, number) for number in (0, 1, 3, 70)]
    return {
        "tags": [{"tag": tag, "position": at} for tag, at in placed],
        "size": tree.size,
        "root": tree.head.root.hex(),
        "covered": covered,
        "proof": to_base64url(tree.prove(asked).data),
        "proves": {tag: tree.positions(tag) for tag in asked},
    }


def _statement(covered: int) -> dict[str, Any]:
    """State some head of a tag tree."""
    head = TagTreeHead(covered // 2, sha256(str(covered).encode()).digest(), covered)
    entry = make_statement(head, ORIGIN, identity(1))
    return {
        "origin": ORIGIN,
        "vkey": key_of(ORIGIN, identity(1).public).text,
        "size": head.size,
        "root": head.root.hex(),
        "covered": covered,
        "positions": [covered, (covered // 256 + 257) * 256 - 1],
        "leaf": entry.jws,
        "disclosures": list(entry.disclosures),
    }


def _light_proof() -> dict[str, Any]:
    """Show three entries of a topic in a ledger of 257, of which the last states the tag tree."""
    secret, log, actor = bytes([3]) * 32, identity(1), identity(4)
    leaves = [b"entry %d" % position for position in range(256)]
    for number, position in enumerate((10, 20, 200)):
        fields = {f"field {n}": n for n in range(8)}  # as many as there are digests: no decoys
        tags = [tag_of(secret, number)]
        leaves[position] = make_entry(fields, actor, tags=tags, salts=lambda _: bytes(16)).leaf
    gathered = NewTags()
    gathered.take(0, leaves)
    tree = TagTree().grown(gathered)
    leaves.append(make_statement(tree.head, ORIGIN, log).leaf)
    edge = Edge()
    files = {name.path: data for name, data in edge.extend(map(leaf_hash, leaves))}
    subtree = StoredTiles(files.__getitem__).subtrees(edge)
    checkpoint = Checkpoint(ORIGIN, len(leaves), edge.root())
    asked = [tag_of(secret, number) for number in range(3 + LOOK_AHEAD)]
    statement, *entries = (
        LightEntry(at, leaves[at], inclusion_path(subtree, at, len(leaves)))
        for at in (256, 10, 20, 200)
    )
    note = sign_checkpoint(checkpoint, log).full_text
    proof = LightProof(note, tree.head, statement, tree.prove(asked).data, tuple(entries))
    return {
        "vkey": key_of(ORIGIN, log.public).text,
        "secret": secret.hex(),
        "sign": actor.public.sign,
        "question": {"tags": asked},
        "answer": msgspec.to_builtins(proof),
        "positions": [10, 20, 200],
    }


def _not_entries() -> list[dict[str, str]]:
    tag, other = sorted(tag_of(bytes([3]) * 32, number) for number in range(2))
    digest = "uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY"
    payloads = {
        "tags not sorted": f'{{"v":1,"tags":["{other}","{tag}"],"_sd_alg":"sha-256","_sd":[]}}',
        "a tag twice": f'{{"v":1,"tags":["{tag}","{tag}"],"_sd_alg":"sha-256","_sd":[]}}',
        "a tag cut": f'{{"v":1,"tags":["{tag[:-1]}"],"_sd_alg":"sha-256","_sd":[]}}',
        "a digest twice": f'{{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":["{digest}","{digest}"]}}',
        "a blank": '{"v":1, "tags":[],"_sd_alg":"sha-256","_sd":[]}',
        "another order": '{"tags":[],"v":1,"_sd_alg":"sha-256","_sd":[]}',
        "a name twice": '{"v":1,"tags":[],"tags":[],"_sd_alg":"sha-256","_sd":[]}',
        "a field in the clear": '{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[],"iss":"x"}',
        "another version": '{"v":2,"tags":[],"_sd_alg":"sha-256","_sd":[]}',
        "another hash": '{"v":1,"tags":[],"_sd_alg":"sha-512","_sd":[]}',
    }
    signed = [
        {"why": why, "leaf": sign_jws(payload.encode(), identity(4), typ=ENTRY_TYPE)}
        for why, payload in payloads.items()
    ]
    typed = sign_jws(b'{"v":1,"tags":[],"_sd_alg":"sha-256","_sd":[]}', identity(4), typ="other")
    return [*signed, {"why": "another type", "leaf": typed}]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
