"""Compare what somebody kept of a log with what the log shows now, from its static files alone."""

from __future__ import annotations

from branchline.foundation.errors import Corrupt
from branchline.ledger.audit import Read, open_published, read_edge
from branchline.ledger.proof.checkpoint import open_checkpoint
from branchline.ledger.proof.evidence import Evidence, find_evidence_in
from branchline.ledger.proof.merkle import check_growth, growth_path
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import CHECKPOINT


def compare(read: Read, kept: bytes, key: VerifierKey) -> Evidence | None:
    """Return evidence if a log shows another history than the one it signed before.

    A refused request alone may not hold evidence: the proof from a size that is a power of two
    leaves the telling hash out. The log's own tiles have it. Only a few of them are read.

    Args:
        read: Gives the content of the log's files, as it shows them now.
        kept: A checkpoint that it signed earlier.
        key: The log's key.

    Returns:
        None if what is shown continues what was kept, or is of a smaller size: whoever holds a
        mirror can say more then.

    Raises:
        Corrupt: The log did not sign one of the two, or shows tiles that do not fit its root.
    """
    shown, earlier = read(CHECKPOINT), open_checkpoint(kept, key)
    now = open_published(shown, key)
    if not 0 < earlier.size <= now.size:
        return None
    edge = read_edge(read, now.size)
    subtree = StoredTiles(read).subtrees(edge)
    try:
        path = growth_path(subtree, earlier.size, now.size)
        check_growth(earlier.size, now.size, earlier.root, now.root, path)
    except Corrupt:
        evidence = find_evidence_in(subtree, kept.decode(), shown.decode())
        if evidence is None:
            raise
        return evidence
    return None
