"""What was removed from a clone, on record: proofs, and what a receipt does not cover."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.data.contents import place_of
from branchline.project.data.lists import Item
from branchline.project.git.keys import log_place, size_of_key
from branchline.project.git.objects import read_objects
from branchline.project.git.proofs import Proof
from branchline.project.git.telling import BRANCH
from branchline.project.place import Project
from branchline.project.saving import commit_only

_PLACE = re.compile(r"^[0-9.]+s 1 (?P<uuid>[0-9A-Za-z-]{8,64})$")
_MARK = "dropping.json"

NOT_COVERED = (
    "copies in other clones and at other places, those named in the receipt among them",
    "backups and snapshots of this machine's file systems",
    "what the disk still holds of a freed block: SSDs move blocks about",
    "copies that programs made elsewhere, and what they printed into records",
    "names, sizes and history: git keeps that there was such a file",
)
"""What the removal of a content says nothing of."""


@dataclass(frozen=True)
class Gone:
    """One content that was removed.

    Args:
        key: Git-annex's name of it.
        paths: Where it stands, or stood.
        proof: Why it was safe; None where its time had ended.
        claimed: The repositories that git-annex's branch says have a copy still; nobody asked them.
    """

    key: str
    paths: tuple[str, ...]
    proof: Proof | None
    claimed: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        found: dict[str, Any] = {"content": self.key, "paths": list(self.paths)}
        if self.proof is not None:
            copies = [{"kind": copy.kind, "uuid": copy.uuid} for copy in self.proof.copies]
            wanted = {"numcopies": self.proof.numcopies, "mincopies": self.proof.mincopies}
            found["proof"] = wanted | {"copies": copies}
        return found | {"size": size_of_key(self.key), "claimed": list(self.claimed)}


@dataclass
class Dropped:
    """What came of it.

    Args:
        gone: What was removed.
        kept: What was not, with the reason, by path.
        alarms: What was removed without a proof that holds, by content.
        record: The receipt; None where nothing was removed.
    """

    gone: list[Gone] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    record: Signed | None = None


def write_receipt(project: Project, identity: Identity, found: Dropped, reason: str) -> Signed:
    """Put on record what was removed, with its proofs and what the record does not cover.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        found: What was removed.
        reason: Why.
    """
    count = f"{len(found.gone)} content{'s' if len(found.gone) != 1 else ''}"
    alarm = f"; {len(found.alarms)} without a proof that holds" if found.alarms else ""
    record = {
        "type": "data",
        "action": "drop",
        "message": f"Removed {count} from this clone{alarm}. {reason}".rstrip(". ")[:1000],
        "outcome": "failed" if found.alarms else "done",
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    recorder = Recorder(project, identity)
    details = [
        recorder.keep_json("proof", [each.as_json() for each in found.gone]),
        Detail("receipt", _said(project, reason)),
    ]
    if found.alarms:
        details.append(recorder.keep_json("alarm", found.alarms))
    signed, paths = recorder.write(record, *details)
    commit_only(project, paths, signed.record.message)
    return signed


def _said(project: Project, reason: str) -> dict[str, Any]:
    return {
        "reason": reason,
        "clone": project.annex.uuid,
        "host": os.uname().nodename,
        "covers": "the contents' files in this clone's .git/annex",
        "does_not_cover": list(NOT_COVERED),
    }


def record_gap(project: Project, identity: Identity) -> Signed | None:
    """Put on record which contents went while nobody was there to write the receipt.

    A removal that was killed leaves word of what it was about to remove.
    """
    file = project.state / _MARK
    if not file.exists():
        return None
    told = decode_json(file.read_bytes(), dict[str, Any])
    paths: dict[str, str] = told["contents"]
    gone = [key for key in paths if place_of(project, Item("", key)) is None]
    message = (
        f"Nobody recorded how a removal of {len(paths)} contents ended; {len(gone)} are not here"
    )
    record = {
        "type": "gap",
        "action": "record",
        "outcome": "failed",
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    recorder = Recorder(project, identity)
    found = [{"content": key, "paths": [paths[key]]} for key in gone]
    said = {"from": told["at"], "reason": told["reason"], "gone": found}
    signed, written = recorder.write(record, recorder.keep_json("location", said))
    commit_only(project, written, message)
    file.unlink()
    return signed


@contextmanager
def begun(project: Project, contents: Mapping[str, str], reason: str) -> Iterator[None]:
    """Leave word of what is about to be removed, until it is on record."""
    file = make_folder(project.state) / _MARK
    told = {"at": rfc3339(SystemClock().now()), "contents": dict(contents), "reason": reason}
    write_durably(file, msgspec.json.encode(told))
    yield
    file.unlink()


def claimed_elsewhere(project: Project, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return who is said to have each content, beside this clone."""
    asked = "".join(f"{BRANCH}:{log_place(key)}\n" for key in keys).encode()
    found = {}
    for key, text in zip(keys, read_objects(project.git, asked, len(keys)), strict=True):
        lines = [_PLACE.match(line) for line in text.decode(errors="replace").splitlines()]
        uuids = {line["uuid"] for line in lines if line} - {project.annex.uuid}
        found[key] = tuple(sorted(uuids))
    return found


def answers_of(printed: bytes) -> list[dict[str, Any]]:
    """Return git-annex's answers, one for each content."""
    return [decode_json(line, dict[str, Any]) for line in printed.splitlines() if line.strip()]


def reason_of(told: Mapping[str, Any]) -> str:
    """Return why git-annex did not do it, in its own words."""
    words = [*told.get("error-messages", []), str(told.get("note", ""))]
    return " ".join(" ".join(words).split())[:300] or "git-annex did not say why"
