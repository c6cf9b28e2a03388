"""Hold the activity that a push brings against itself, and against all that was pushed before."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchline.central.hub.rights import Standing
from branchline.central.hub.store import HubStore
from branchline.foundation.errors import Conflict, Corrupt, NotAllowed
from branchline.project.activity.record import Signed, check_signature, read_record
from branchline.project.git.command import Git
from branchline.project.git.objects import read_objects

_FOLDER = "activity"
_RECORD = re.compile(
    r"^activity/(?P<name>clone-[a-z2-7]{26}/[0-9]{4}-[0-9]{2}/[0-9]{6,}-[0-9a-f]{16}\.json)$"
)


@dataclass(frozen=True)
class _Link:
    digest: str
    key: str
    at: str


def check_activity(
    git: Git,
    base: str,
    tip: str,
    standing: Standing,
    store: HubStore,
    before: Collection[Signed],
) -> list[Signed]:
    """Return the records that a branch brings, once all of them hold.

    Each must be signed, in its own place, and go on from the one before it in its clone; none that
    was pushed before may be missing, changed, or contradicted.

    Args:
        git: The repository, with what was pushed.
        base: What is known of the branch.
        tip: Where it is to end.
        standing: The hosted project.
        store: Knows the records that were pushed before.
        before: Those that came with other branches of the same push.

    Raises:
        NotAllowed: A record would be taken out, or changed.
        Corrupt: A record does not hold.
        Conflict: A clone's chain would have two records of one number, or a gap.
    """
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tip)
    parts = git.lines(*words, "--", _FOLDER)
    found = [(meta.split(), path) for meta, path in zip(parts[::2], parts[1::2], strict=True)]
    brought = []
    for meta, path in found:
        if not _RECORD.match(path):
            continue
        if meta[4] != "A":
            raise NotAllowed(
                f"The record {path} would be taken out, or changed",
                advice="Activity is only added to; put the file back as it was",
            )
        brought.append((meta[3], path))
    asked = "".join(f"{name}\n" for name, _ in brought).encode()
    texts = read_objects(git, asked, len(brought)) if brought else []
    known = {signed.digest for signed in before}
    made = [_read(text, path, standing) for (_, path), text in zip(brought, texts, strict=True)]
    new = [signed for signed in made if signed.digest not in known]
    _check_chains([*before, *new], store, standing.hosted)
    return new


def _read(text: bytes, path: str, standing: Standing) -> Signed:
    found = _RECORD.match(path)
    assert found is not None, "asked before"
    signed = read_record(text, f"record {path}")
    check_signature(signed)
    if signed.name != found["name"]:
        raise Corrupt(f"The record {path} stands in a place that is not its own")
    if signed.record.project != standing.project:
        raise Corrupt(f"The record {path} is another project's")
    return signed


def _check_chains(records: Sequence[Signed], store: HubStore, hosted: str) -> None:
    clones = {signed.record.clone for signed in records}
    chains: Mapping[str, dict[int, _Link]] = {
        clone: {seq: _Link(row.digest, row.key, row.at) for seq, row in chain.items()}
        for clone, chain in store.chains(hosted, clones).items()
    }
    for signed in sorted(records, key=lambda each: (each.record.clone, each.record.seq)):
        record, chain = signed.record, chains[signed.record.clone]
        there = chain.get(record.seq)
        if there is not None and there.digest == signed.digest:
            continue
        if there is not None:
            raise Conflict(
                f"The clone {record.clone} has two records number {record.seq}",
                advice="One of them was made up, or a folder was copied while it was worked in",
            )
        last = chain.get(record.seq - 1)
        if record.seq > 0 and last is None:
            raise Conflict(
                f"The clone {record.clone} lacks its record number {record.seq - 1}",
                advice="Push the branch that has it, too",
            )
        if record.previous != (last.digest if last else None):
            raise Corrupt(
                f"The clone {record.clone}'s record number {record.seq} does not continue the one "
                "before it"
            )
        if last is not None and last.key != record.by.key:
            raise NotAllowed(
                f"The clone {record.clone}'s record number {record.seq} is signed by another key "
                "than the ones before it",
                advice="Everybody works in a clone of his own",
            )
        chain[record.seq] = _Link(signed.digest, record.by.key, record.at)
