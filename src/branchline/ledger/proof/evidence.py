"""Evidence: two checkpoints of one log that contradict each other, for anybody to check offline.

A log that signs two histories (a split view, a fork, a past rewritten after a restored backup)
convicts itself. Two checkpoints of one size with two roots need no more than their signatures. For
two sizes the evidence also holds the hashes of which the larger root is made: they are bound to
that root, they give the root of the smaller size in that same history, and the log signed another.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from branchline.foundation.errors import Corrupt
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from branchline.ledger.proof.cosignature import cosignatures
from branchline.ledger.proof.merkle import HASH_SIZE, Subtrees, growth_hashes, roots_from_growth
from branchline.ledger.proof.note import (
    MAX_NOTE,
    VerifierKey,
    from_base64,
    parse_key,
    parse_note,
    to_base64,
)

HEADER = "branchline/ledger-evidence@v1"
"""The first line of a file with evidence."""

_MAX_HASHES = 64
_MAX_EVIDENCE = 2 * MAX_NOTE


class Evidence(msgspec.Struct, frozen=True):
    """Two signed notes, and the hashes that bind the smaller size to the larger root.

    Args:
        smaller: The checkpoint of the smaller size, verbatim; of two equal sizes, the one with the
            smaller root.
        larger: The other one.
        hashes: As ``growth_hashes`` gives them in the larger tree; none for equal sizes.
    """

    smaller: str
    larger: str
    hashes: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """The evidence as a file."""
        hashes = "".join(f"{to_base64(item)}\n" for item in self.hashes)
        return f"{HEADER}\n{hashes}\n{self.smaller}\n{self.larger}"


class Contradiction(msgspec.Struct, frozen=True):
    """What evidence was found to show.

    Args:
        smaller: One thing that the log signed.
        larger: Another one, which cannot be true of the same log.
        cosigned_both: Those of the witnesses asked about that cosigned the one and the other.
    """

    smaller: Checkpoint
    larger: Checkpoint
    cosigned_both: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        origin, small, large = self.smaller.origin, self.smaller.size, self.larger.size
        if small == large:
            return f"{origin} signed two different histories of {large} entries"
        return f"{origin} signed {large} entries that do not begin with the {small} it had signed"


def find_evidence(first: str, second: str, hashes: tuple[bytes, ...] = ()) -> Evidence | None:
    """Make evidence of two checkpoints of one log, or return None if they do not contradict.

    Args:
        first: A note that the log signed.
        second: Another one.
        hashes: For two sizes, as ``growth_hashes`` gives them in the larger tree. Anybody's will
            do: wrong ones make no evidence.
    """
    evidence = _in_order(first, second, hashes)
    smaller, larger = _checkpoint(evidence.smaller), _checkpoint(evidence.larger)
    same_log = smaller.origin == larger.origin
    return evidence if same_log and _contradict(smaller, larger, hashes) else None


def find_evidence_in(subtree: Subtrees, first: str, second: str) -> Evidence | None:
    """Do as ``find_evidence`` does, with hashes from the tree of the larger checkpoint."""
    evidence = _in_order(first, second, ())
    old, new = _checkpoint(evidence.smaller).size, _checkpoint(evidence.larger).size
    hashes = growth_hashes(subtree, old, new) if 0 < old < new else ()
    return find_evidence(first, second, hashes)


def parse_evidence(data: bytes) -> Evidence:
    """Read evidence; nothing is verified.

    Raises:
        Corrupt: Not evidence, or not in its one spelling.
    """
    if len(data) > _MAX_EVIDENCE:
        raise Corrupt(f"Evidence has at most {_MAX_EVIDENCE} bytes")
    try:
        parts = data.decode().split("\n\n")
    except UnicodeDecodeError as error:
        raise Corrupt("Evidence is not UTF-8") from error
    header, *lines = parts[0].split("\n")
    # A checkpoint has no empty line within its text: two notes are four parts.
    if header != HEADER or len(parts) != 5 or len(lines) > _MAX_HASHES:
        raise Corrupt(f"Evidence is {HEADER!r}, at most {_MAX_HASHES} hashes, and two checkpoints")
    hashes = tuple(map(from_base64, lines))
    if any(len(item) != HASH_SIZE for item in hashes):
        raise Corrupt("A hash in evidence does not have 32 bytes")
    return Evidence(f"{parts[1]}\n\n{parts[2]}\n", f"{parts[3]}\n\n{parts[4]}", hashes)


def check_evidence(
    data: bytes, log_vkey: str, witnesses: Iterable[VerifierKey] = ()
) -> Contradiction:
    """Check, offline, that a log signed two things that cannot both be true.

    1. Both checkpoints are well formed, of this log, and its signatures hold.
    2. For one size: the roots differ. For two: the hashes give the root of the larger one, and
       for its first leaves another root than the one signed.

    Args:
        data: The file.
        log_vkey: The log's verifier key, from a source that is trusted.
        witnesses: Keys of witnesses; those that cosigned both are named.

    Raises:
        Corrupt: A step fails; then it is no evidence.
        Refused: The verifier key itself is malformed.
    """
    evidence, key, asked = parse_evidence(data), parse_key(log_vkey), list(witnesses)
    smaller = open_checkpoint(evidence.smaller.encode(), key)
    larger = open_checkpoint(evidence.larger.encode(), key)
    if _order(smaller) >= _order(larger) or not _contradict(smaller, larger, evidence.hashes):
        raise Corrupt("The two checkpoints do not contradict each other as the evidence says")
    names = [
        {cosigned.key.name for cosigned in cosignatures(parse_note(note.encode()), asked)}
        for note in (evidence.smaller, evidence.larger)
    ]
    return Contradiction(smaller, larger, tuple(sorted(names[0] & names[1])))


def _contradict(smaller: Checkpoint, larger: Checkpoint, hashes: tuple[bytes, ...]) -> bool:
    if smaller.size == larger.size:
        return not hashes and smaller.root != larger.root
    if not 1 <= smaller.size < larger.size:
        return False
    roots = roots_from_growth(smaller.size, larger.size, hashes)
    return roots is not None and roots[1] == larger.root and roots[0] != smaller.root


def _in_order(first: str, second: str, hashes: tuple[bytes, ...]) -> Evidence:
    smaller, larger = sorted((first, second), key=lambda note: _order(_checkpoint(note)))
    return Evidence(smaller, larger, hashes)


def _checkpoint(note: str) -> Checkpoint:
    return parse_checkpoint(parse_note(note.encode()).text)


def _order(checkpoint: Checkpoint) -> tuple[int, bytes]:
    return checkpoint.size, checkpoint.root
