"""A small world to make packages of: a log, four witnesses, a station, an auditor."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.ledger.ledgers import Ledger
from tests.ledger.vectors import ORIGIN, log_identity

from branchline.foundation.digest import digest_of
from branchline.foundation.keys import Identity
from branchline.ledger.entry import Entry, make_entry
from branchline.ledger.package import Head, Package, Shown, Tags, topic_of, write_package
from branchline.ledger.proof.checkpoint import sign_checkpoint
from branchline.ledger.proof.cosignature import cosign, cosigner_key
from branchline.ledger.proof.note import Note, key_of
from branchline.ledger.proof.policy import Policy, default_policy
from branchline.ledger.statements import make_statement
from branchline.ledger.tagtree import TagTree
from branchline.ledger.topics import LOOK_AHEAD, tag_of

TIME = 1_764_600_000
MADE = datetime(2026, 11, 21, tzinfo=UTC)
SECRET = bytes([3]) * 32
ENTRIES = 7


def identity(seed: int) -> Identity:
    """Return keys that are the same on every run."""
    raw = bytes([seed]) * 32
    return Identity(
        Ed25519PrivateKey.from_private_bytes(raw), X25519PrivateKey.from_private_bytes(raw)
    )


STATION, CENTRAL, STRANGER = identity(11), identity(12), identity(13)
WITNESSES = {f"site-{n}": identity(20 + n) for n in range(4)}


@cache
def policy() -> Policy:
    """Return the policy: one log, four witnesses of four entities, three have to cosign."""
    keys = {
        name: [cosigner_key(f"{name}.example/witness", witness.public)]
        for name, witness in WITNESSES.items()
    }
    return default_policy(key_of(ORIGIN, log_identity().public), keys)


def cosigned(ledger: Ledger, count: int = 3) -> str:
    """Sign a ledger's checkpoint as the log and so many of its witnesses."""
    note = sign_checkpoint(ledger.checkpoint, log_identity())
    lines = [
        cosign(note.text, f"{name}.example/witness", witness, TIME)
        for name, witness in list(WITNESSES.items())[:count]
    ]
    return Note(note.text, (*note.signatures, *lines)).full_text


@cache
def own(number: int) -> Entry:
    """Return the station's act with a number."""
    fields = {"act": "stop.released", "at": f"day {number}", "by": "Dr A", "round": number}
    return make_entry(fields, STATION, tags=[tag_of(SECRET, number), tag_of(bytes(32), number)])


def _leaves() -> list[bytes]:
    """Return 300 leaves, the station's acts among them."""
    leaves = [b"another's entry %d" % number for number in range(300)]
    for number in range(ENTRIES):
        leaves[40 * number + 3] = own(number).leaf
    leaves[-2] = make_entry({}, CENTRAL, tags=[tag_of(bytes([9]) * 32, 0)]).leaf
    return leaves


@cache
def head_entry() -> Entry:
    """State the head of the tag tree over the first 256 leaves; this entry stands last."""
    return make_statement(_tree().head, ORIGIN, log_identity())


@cache
def _tree() -> TagTree:
    return Ledger(_leaves()[:256]).tag_tree()


@cache
def ledger() -> Ledger:
    """Return the ledger of 300 entries, the head of its tag tree last."""
    return Ledger([*_leaves()[:-1], head_entry().leaf])


def package(
    *,
    full: bool,
    evidence: Mapping[str, bytes] | None = None,
    count: int = 3,
    head: Entry | None = None,
    keeper: str = "",
) -> Package:
    """Put together what an auditor of the station's topic gets.

    Args:
        full: With the whole ledger; else with a proof by the tag tree.
        evidence: Further files.
        count: Witnesses that cosigned.
        head: Another entry that states the tag tree's head.
        keeper: Who signed it; the ledger's own key by default.
    """
    world = ledger() if head is None else Ledger([*ledger().leaves[:-1], head.leaf])
    head, note = head or head_entry(), cosigned(world, count)
    positions = [40 * number + 3 for number in range(ENTRIES)]
    entries = [
        Shown(own(number).disclosing({"act", "round"}), world.receipt(position, note))
        for number, position in enumerate(positions)
    ]
    last = len(world.leaves) - 1
    if not full:
        entries.append(Shown(head, world.receipt(last, note)))
    tags = [tag_of(SECRET, number) for number in range(ENTRIES + LOOK_AHEAD)]
    return Package(
        recipient="auditor",
        made=MADE,
        about="All acts upon the dataset stays.",
        policy=policy(),
        checkpoint=note.encode(),
        keys={"station-a": STATION.public, "central": CENTRAL.public, "log": log_identity().public},
        entries=entries,
        topics=[topic_of("dataset/stays", SECRET, {"station-a": STATION.public}, ENTRIES)],
        read=world.read if full else None,
        tags=None if full else Tags(Head(last, keeper or log_identity().id), _tree().prove(tags)),
        evidence=evidence or {},
    )


def written(what: Package) -> bytes:
    """Return a package's bytes."""
    target = io.BytesIO()
    write_package(target, what)
    return target.getvalue()


@cache
def sample(full: bool) -> bytes:
    """Return a package that holds."""
    return written(package(full=full))


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return a package's files."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Mapping[str, bytes], *, listed: bool = True) -> bytes:
    """Pack files, and list their digests as they are now."""
    if listed:
        files = {
            **files,
            "contents.json": edited(
                files["contents.json"],
                lambda contents: contents.update(
                    files={
                        name: digest_of(data)
                        for name, data in files.items()
                        if name != "contents.json"
                    }
                ),
            ),
        }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return target.getvalue()


def edited(contents: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    """Return a list of contents after a change."""
    plain = json.loads(contents)
    change(plain)
    return json.dumps(plain).encode()
