"""Where witnesses stand: what each cosigned last, and when; to be shown to people."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Engine

from branchline.foundation.database import reading
from branchline.ledger.proof.checkpoint import LARGEST, parse_checkpoint
from branchline.ledger.proof.cosignature import cosignatures
from branchline.ledger.proof.note import VerifierKey, parse_note
from branchline.ledger.rows import cosigned_before

_BATCH = 256


class Standing(msgspec.Struct, frozen=True):
    """What a witness cosigned last of a log.

    Args:
        size: How many entries; 0 if it never cosigned.
        at: When, by its own clock; None if it never cosigned.
    """

    size: int = 0
    at: datetime | None = None


def standing_in(note: str, keys: Collection[VerifierKey]) -> dict[VerifierKey, Standing]:
    """Return where these witnesses stand by the cosignatures on a checkpoint.

    Raises:
        Corrupt: One of them does not hold.
    """
    parsed = parse_note(note.encode())
    size = parse_checkpoint(parsed.text).size
    latest = sorted(cosignatures(parsed, keys), key=lambda each: each.at)
    return {each.key: Standing(size, datetime.fromtimestamp(each.at, UTC)) for each in latest}


def standings(engine: Engine, keys: Collection[VerifierKey]) -> dict[VerifierKey, Standing]:
    """Return where all of these witnesses stand, by every checkpoint that a log has kept.

    Args:
        engine: The log's database.
        keys: The witnesses' keys.

    Raises:
        Corrupt: A cosignature that was kept does not hold.
    """
    found: dict[VerifierKey, Standing] = {}
    below = LARGEST
    with reading(engine) as connection:
        while missing := set(keys) - set(found):
            kept = cosigned_before(connection, below, _BATCH)
            for size, note in kept:
                standing = standing_in(note, missing)
                found = standing | found
                below = size
            if not kept:
                break
    return {key: found.get(key, Standing()) for key in keys}
