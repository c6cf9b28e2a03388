"""Of whom central has to hear at its start before it signs anything new.

A service put back to an old backup does not know it. Those who cosigned its latest checkpoint do.
"""

from __future__ import annotations

from sqlalchemy import Engine

from branchline.central.store import Store
from branchline.foundation.database import reading
from branchline.ledger.proof.checkpoint import LARGEST
from branchline.ledger.proof.cosignature import cosignatures, parse_cosigner_key
from branchline.ledger.proof.note import VerifierKey, parse_note
from branchline.ledger.proof.policy import Policy, default_policy, key_policy
from branchline.ledger.rows import cosigned_before, metadata

RECENT = 64
"""How many of the latest cosigned checkpoints are looked at: one alone may have few cosignatures."""


def quorum_at_start(engine: Engine, store: Store, log: VerifierKey) -> Policy:
    """Return the quorum that cannot have formed without somebody whom central has to hear.

    Its witnesses are those on the latest cosigned checkpoints that central kept, one voice for each
    legal entity. Where nothing was ever cosigned there is nobody to wait for.

    Args:
        engine: The database with the ledger.
        store: The parties.
        log: The ledger's key.
    """
    metadata.create_all(engine)
    with reading(engine) as connection:
        kept = cosigned_before(connection, LARGEST, RECENT)
    enrolled = {parse_cosigner_key(each.vkey): each for each in store.witnesses()}
    entities: dict[str, set[VerifierKey]] = {}
    for _, note in kept:
        for cosigned in cosignatures(parse_note(note.encode()), enrolled):
            witness = enrolled[cosigned.key]
            # The name is that of a group of the policy, and must not be that of a witness in it.
            entity = f"entity/{witness.entity or witness.party}"
            entities.setdefault(entity, set()).add(cosigned.key)
    if not entities:
        return key_policy(log)
    return default_policy(
        log, {name: sorted(keys, key=lambda key: key.name) for name, keys in entities.items()}
    )
