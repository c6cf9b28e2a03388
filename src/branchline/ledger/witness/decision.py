"""Whether a witness cosigns: a pure rule (C2SP tlog-witness v1.0.0, "add-checkpoint").

A witness holds one checkpoint a log, the latest it cosigned. It cosigns another one exactly if the
log signed it and it provably continues that one. Nothing is written here: whoever calls makes the
new checkpoint durable, in one step with the comparison, before anybody sees the cosignature.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import Checkpoint, parse_checkpoint
from branchline.ledger.proof.evidence import Evidence, find_evidence
from branchline.ledger.proof.merkle import check_growth, is_power_of_two
from branchline.ledger.proof.note import Note, VerifierKey, open_note, parse_note
from branchline.ledger.witness.wire import Request


class Known(msgspec.Struct, frozen=True):
    """What a witness cosigned last of a log.

    Args:
        checkpoint: The checkpoint.
        note: The same as a note: the log's signature, and the witness's own.
    """

    checkpoint: Checkpoint
    note: str


class Accepted(msgspec.Struct, frozen=True):
    """The witness may cosign, if what it cosigned last is still the same.

    Args:
        checkpoint: What to cosign.
        note: The checkpoint with the log's signatures that were verified, and no other line.
    """

    checkpoint: Checkpoint
    note: Note


class Declined(msgspec.Struct, frozen=True):
    """The witness does not cosign.

    Args:
        status: As HTTP numbers it: 400, 403, 404, 409 or 422.
        reason: One sentence.
        size: With 409, the size that the witness cosigned last.
        note: With 409 and 422, the checkpoint as the log signed it.
        evidence: What convicts the log, where the request did.
    """

    status: int
    reason: str
    size: int | None = None
    note: str | None = None
    evidence: Evidence | None = None


def consider(
    request: Request, keys: Collection[VerifierKey], known: Known | None
) -> Accepted | Declined:
    """Decide on a request.

    Args:
        request: What the log asks.
        keys: The keys trusted for the origin it names; none if the origin is unknown.
        known: What this witness cosigned last of that origin.
    """
    try:
        note = parse_note(request.note)
    except Corrupt as error:
        return Declined(400, error.refused)
    if not keys:
        return Declined(404, f"This witness knows no log {request.origin[:80]!r}")
    try:
        open_note(request.note, keys)
    except Corrupt as error:
        return Declined(403, error.refused)
    try:
        checkpoint = parse_checkpoint(note.text)
    except Corrupt as error:
        # A tree of no leaves has one root; any other one is a broken promise, not a broken line.
        empty = note.text.split("\n")[1:2] == ["0"] and note.text.count("\n") == 3
        return Declined(422 if empty else 400, error.refused)
    signed = _signed_by(keys, note)
    latest = known.checkpoint.size if known else 0
    if request.old > checkpoint.size:
        return Declined(400, f"No checkpoint of {checkpoint.size} continues one of {request.old}")
    if request.old != latest:
        reason = f"This witness has cosigned {latest} entries, not {request.old}"
        return Declined(409, reason, size=latest, note=signed.full_text)
    try:
        _check_continues(request, known.checkpoint if known else None, checkpoint)
    except Corrupt as error:
        evidence = _evidence(request, known, signed.full_text) if known else None
        return Declined(422, error.refused, note=signed.full_text, evidence=evidence)
    return Accepted(checkpoint, signed)


def _signed_by(keys: Collection[VerifierKey], note: Note) -> Note:
    """Return a note with the lines by these keys alone, all of which were verified."""
    trusted = {(key.name, key.id) for key in keys}
    lines = [line for line in note.signatures if (line.name, line.key_id) in trusted]
    return Note(note.text, tuple(lines))


def _check_continues(request: Request, old: Checkpoint | None, new: Checkpoint) -> None:
    if old is None or old.size == 0:
        if request.path:
            raise Corrupt("A proof of growth from nothing proves nothing; it must be empty")
        return
    check_growth(old.size, new.size, old.root, new.root, request.path)


def _evidence(request: Request, known: Known, note: str) -> Evidence | None:
    """Return evidence if the refused request holds it.

    A bad proof alone is none: anybody can make one. But where it leads to the new root and to
    another old one, or where two roots of one size are signed, the log has convicted itself.
    """
    # From a power of two on, a proof leaves out the hash that would show the other old root.
    size = known.checkpoint.size
    return find_evidence(known.note, note, () if is_power_of_two(size) else request.path)
