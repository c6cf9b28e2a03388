"""Of whom central has to hear at its start before it signs anything new.

A service put back to an old backup does not know it. Those who cosigned its latest checkpoint do.
"""

from __future__ import annotations

from sqlalchemy import Engine

from branchline.central.store import Store
from branchline.foundation.database import reading
from branchline.ledger.proof.cosignature import cosignatures, parse_cosigner_key
from branchline.ledger.proof.note import VerifierKey, parse_note
from branchline.ledger.proof.policy import Policy, default_policy, key_policy
from branchline.ledger.rows import latest_cosigned, metadata


def quorum_at_start(engine: Engine, store: Store, log: VerifierKey) -> Policy:
    """Return the quorum that cannot have formed without somebody whom central has to hear.

    Its witnesses are those on the latest cosigned checkpoint that central kept, one voice for each
    legal entity. Where nothing was ever cosigned there is nobody to wait for.

    Args:
        engine: The database with the ledger.
        store: The parties.
        log: The ledger's key.
    """
    metadata.create_all(engine)
    with reading(engine) as connection:
        kept = latest_cosigned(connection)
    if kept is None:
        return key_policy(log)
    enrolled = {parse_cosigner_key(each.vkey): each for each in store.witnesses()}
    entities: dict[str, list[VerifierKey]] = {}
    for cosigned in cosignatures(parse_note(kept.encode()), enrolled):
        witness = enrolled[cosigned.key]
        # The name is that of a group of the policy, and must not be that of a witness in it.
        entity = f"entity/{witness.entity or witness.party}"
        entities.setdefault(entity, []).append(cosigned.key)
    return default_policy(log, entities)
