"""One record of one action: what it holds, how it is signed, named and written; pure."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_of
from branchline.foundation.encoding import from_base64url, to_base64url
from branchline.foundation.errors import Corrupt
from branchline.foundation.ids import Id
from branchline.foundation.keys import Identity, PublicKeys

LARGEST = 1 << 20
"""The most bytes of one record; what is larger is a blob that it names."""

_CONTEXT = b"branchline activity record v1\n"
"""Stands before what is signed, so that no other statement can be taken for a record."""

ACTIONS: dict[str, tuple[str, ...]] = {
    "note": ("create", "edit", "hide", "show"),
    "milestone": ("create", "edit"),
    "project": ("create", "adopt", "export"),
    "environment": ("resolve", "build", "verify", "change"),
    "code": ("create", "edit", "delete"),
    "execution": ("run", "fail", "interrupt", "re-run", "compare"),
    "data": ("add", "edit", "delete", "get", "send", "drop", "verify", "link", "unlink", "list"),
    "check": ("pass", "fail"),
    "release": ("ask", "release", "send-back", "withhold"),
    "access": ("ask", "approve", "refuse", "expire", "use"),
    "journey": ("depart", "accept", "decline", "run", "stop", "return"),
    "branch": ("create", "merge", "reset", "rollback"),
    "sync": ("create", "merge", "reset"),
    "gap": ("record",),
    "ledger": ("anchor", "verify", "raise"),
}
"""What a record can be about, and what can have been done."""

Kind = Literal[
    "text", "attachment", "spec", "lock", "image", "sbom", "rebuild-check", "file", "diff", "code",
    "stdout", "stderr", "result", "figure", "error", "resources", "seed", "environment", "inputs",
    "outputs", "manifest", "location", "metadata", "command", "comparison", "disclosure-check",
    "grant", "purpose", "reviewer", "train", "station", "stop", "parcel", "ref", "conflict",
    "choice", "checkpoint", "receipt", "alarm", "proof", "lists", "checks",
]  # fmt: skip


class Detail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One part of what a record tells.

    Args:
        kind: What it is.
        value: The thing itself, where it is small: plain JSON values.
        digest: Or its name among the project's ``activity/blobs``.
        size: The blob's bytes.
        media: The blob's media type.
    """

    kind: Kind
    value: Any = None
    digest: WireDigest | None = None
    size: int | None = None
    media: str = ""


class By(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who did it: the name is claimed, the key has signed.

    Args:
        name: As git has it.
        key: The Ed25519 public key, base64url.
    """

    name: str
    key: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one action did.

    Args:
        project: The project's identifier.
        clone: The clone it was done in.
        seq: Its number in that clone, from 0.
        previous: The digest of the record before it in that clone; None for the first.
        at: When, RFC 3339 in UTC.
        by: Who.
        type: What it is about; see `ACTIONS`.
        action: What was done.
        message: One line for people.
        outcome: Whether it went well.
        commit: The commit it was done on; None before the first.
        tree: The git tree of the project as it was saved with this record, without ``activity``.
        branch: The branch checked out.
        about: The record that this one is about.
        details: Its parts.
        tags: Words to find it by.
        v: The version of this form.
    """

    project: Id
    clone: Id
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    previous: WireDigest | None
    at: str
    by: By
    type: str
    action: str
    message: Annotated[str, msgspec.Meta(max_length=4000)]
    outcome: Literal["done", "failed", "interrupted"] = "done"
    commit: str | None = None
    tree: str | None = None
    branch: str | None = None
    about: WireDigest | None = None
    details: tuple[Detail, ...] = ()
    tags: tuple[str, ...] = ()
    v: Literal[1] = 1

    def detail(self, kind: Kind) -> Any:
        """Return the value of the first detail of a kind; None if there is none."""
        return next((each.value for each in self.details if each.kind == kind), None)


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A record with its signature.

    Args:
        record: What was done.
        signature: Ed25519 over the record's canonical JSON, base64url.
    """

    record: Record
    signature: str

    @cached_property
    def _canonical(self) -> bytes:
        return canonical_json(self)

    @property
    def digest(self) -> Digest:
        """The record's name: the digest of its canonical JSON, signature included."""
        return digest_of(self._canonical)

    @property
    def name(self) -> str:
        """Its file below ``activity``."""
        record = self.record
        short = self.digest.removeprefix("sha256:")[:16]
        return f"{record.clone}/{record.at[:7]}/{record.seq:06d}-{short}.json"

    @property
    def text(self) -> bytes:
        """Its file's content: readable, and the one spelling that is accepted."""
        return msgspec.json.format(self._canonical, indent=1) + b"\n"


def sign(record: Record, identity: Identity) -> Signed:
    """Sign a record."""
    if record.action not in ACTIONS.get(record.type, ()):
        raise ValueError(f"no action {record.action!r} for {record.type!r}")
    return Signed(record, to_base64url(identity.sign(_CONTEXT + canonical_json(record))))


def check_signature(signed: Signed) -> None:
    """Check that the key a record names signed it.

    Raises:
        Corrupt: It did not.
    """
    key = PublicKeys(sign=signed.record.by.key, seal="")
    key.verify(from_base64url(signed.signature), _CONTEXT + canonical_json(signed.record))


def read_record(text: bytes, what: str) -> Signed:
    """Read a record's file; every byte of it counts.

    Raises:
        Refused: It is no record.
        Corrupt: It is not spelled as records are.
    """
    signed = parse_json(text, Signed, what=what, limit=LARGEST)
    if signed.text != text:
        raise Corrupt(f"The {what} is not spelled as records are")
    return signed
