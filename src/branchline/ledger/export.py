"""A ledger as a folder of static files that any C2SP tool can check, without us.

``checkpoint``, ``tile/…``, ``vkey`` (the verifier key, one line), and ``policy`` where there is one.
Every tile is computed anew from the entries: what is wrong in the source does not get through.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from branchline.foundation.durable import write_durably
from branchline.foundation.errors import NotFound
from branchline.ledger.audit import Read, open_published
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.note import VerifierKey
from branchline.ledger.proof.policy import Policy
from branchline.ledger.tiles import CHECKPOINT, COSIGNED
from branchline.ledger.witness.mirror import RECEIVED, Mirror, catch_up, fetch_from

VKEY, POLICY = "vkey", "policy"
"""The names of the files with the verifier key and the policy."""


def export_ledger(
    read: Read,
    folder: Path,
    key: VerifierKey,
    *,
    policy: Policy | None = None,
    progress: Callable[[int, int], None] = lambda done, size: None,
) -> Checkpoint:
    """Write a ledger to a folder; a folder that has it to an earlier size is brought further.

    With cosignatures: the latest checkpoint that has some is exported, if there is one.

    Args:
        read: Gives the content of the ledger's (or a mirror's) files.
        folder: Where to; made if missing.
        key: The ledger's key.
        policy: Whose cosignatures count, for readers.
        progress: Told how many entries of how many are there.

    Raises:
        Corrupt: The entries do not give the root that was signed, or the folder holds another
            history; then ``detail`` has the evidence.
        Unavailable: The folder cannot be written.
    """
    latest = open_published(read(CHECKPOINT), key)
    try:
        note = read(COSIGNED)
    except NotFound:
        note = read(CHECKPOINT)
    size, fetch_piece = open_published(note, key).size, fetch_from(read, latest.size)

    def fetch(piece: range) -> list[bytes]:
        progress(piece.start, size)
        return fetch_piece(piece)

    mirror = Mirror(FolderFiles(folder), key)
    catch_up(mirror, note, fetch)
    progress(size, size)
    (folder / RECEIVED).unlink(missing_ok=True)
    write_durably(folder / VKEY, f"{key.text}\n".encode())
    if policy:
        write_durably(folder / POLICY, policy.text.encode(errors="surrogateescape"))
    return mirror.checkpoint
