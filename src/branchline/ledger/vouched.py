"""Check what a ledger's files say of its witnesses: every signature line, and the cosigned tree."""

from __future__ import annotations

from collections.abc import Callable, Collection

from branchline.foundation.errors import Corrupt, NotFound
from branchline.ledger.edge import Edge
from branchline.ledger.proof.checkpoint import Checkpoint, open_checkpoint
from branchline.ledger.proof.cosignature import cosignatures
from branchline.ledger.proof.merkle import tree_root
from branchline.ledger.proof.note import VerifierKey, parse_note
from branchline.ledger.stored import StoredTiles
from branchline.ledger.tiles import CHECKPOINT, COSIGNED


def check_vouched(
    read: Callable[[str], bytes],
    checkpoint: Checkpoint,
    edge: Edge,
    key: VerifierKey,
    witnesses: Collection[VerifierKey],
) -> None:
    """Check the signature lines of both checkpoints, and that the cosigned one is of this tree.

    Args:
        read: Gives a file's content.
        checkpoint: The latest checkpoint, found right.
        edge: Its right edge, found right.
        key: The ledger's key.
        witnesses: Keys of all witnesses; without any, cosignatures are passed over. With them a
            line by somebody else is an error: the ledger publishes none.

    Raises:
        Corrupt: A file is wrong; ``detail`` names it.
    """
    for path in (CHECKPOINT, COSIGNED):
        try:
            data = read(path)
        except NotFound:
            continue  # nothing was cosigned yet
        try:
            found = open_checkpoint(data, key)
            _check_lines(data, key, witnesses)
        except Corrupt as error:
            raise _bad(path, error.refused) from error
        if found.size > checkpoint.size:
            raise _bad(path, f"it covers {found.size} entries, and there are {checkpoint.size}")
        if tree_root(StoredTiles(read).subtrees(edge), found.size) != found.root:
            raise _bad(path, f"the first {found.size} entries do not give its root")


def _check_lines(data: bytes, key: VerifierKey, witnesses: Collection[VerifierKey]) -> None:
    if not witnesses:
        return
    note = parse_note(data)
    known = {(each.name, each.id) for each in (key, *witnesses)}
    for line in note.signatures:
        if (line.name, line.key_id) not in known:
            raise Corrupt(f"It bears a line by {line.name[:80]}, who is no witness of this ledger")
    cosignatures(note, witnesses)


def _bad(path: str, why: str) -> Corrupt:
    return Corrupt(
        f"The ledger's file {path} is wrong: {why}",
        advice="Restore it from a backup",
        detail={"file": path},
    )
