"""What a witness remembers: the latest checkpoint it cosigned of each log, and evidence it found.

One row a log. It is replaced by comparing and setting in one transaction, durable before anybody
sees the cosignature: otherwise a slower request could take the witness back (tlog-witness).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from branchline.foundation.database import reading, writing
from branchline.foundation.digest import digest_of
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.evidence import Evidence, parse_evidence
from branchline.ledger.proof.note import parse_note
from branchline.ledger.witness.decision import Known

metadata = MetaData()
witness_latest = Table(
    "witness_latest",
    metadata,
    Column("origin", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", String(64), nullable=False),
    Column("note", Text, nullable=False),
)
witness_evidence = Table(
    "witness_evidence",
    metadata,
    Column("digest", String(71), primary_key=True),
    Column("text", Text, nullable=False),
)


class WitnessStore:
    """The memory of one witness; several processes may share it.

    Args:
        engine: The database; the tables are made if missing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        metadata.create_all(engine)

    def latest(self, origin: str) -> Known | None:
        """Return what was cosigned last of a log, or None if nothing ever was."""
        with reading(self._engine) as connection:
            note = connection.execute(
                select(witness_latest.c.note).where(witness_latest.c.origin == origin)
            ).scalar_one_or_none()
        return _known(note) if note is not None else None

    def origins(self) -> list[str]:
        """Return the logs of which something was cosigned."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(witness_latest.c.origin)).scalars()
            return sorted(rows)

    def advance(self, old: Known | None, new: Known) -> bool:
        """Replace what was cosigned last, durably, if it still is what the decision was made on.

        Returns:
            False if it is another one by now; then nothing was changed.
        """
        with writing(self._engine) as connection:
            return _replace(connection, old, new) if old else _add(connection, new)

    def keep(self, evidence: Evidence) -> None:
        """Keep evidence, durably, once."""
        digest = digest_of(evidence.text.encode())
        table = witness_evidence
        with writing(self._engine) as connection:
            found = connection.execute(select(table.c.digest).where(table.c.digest == digest))
            if found.first() is None:
                connection.execute(insert(table).values(digest=digest, text=evidence.text))

    def evidence(self) -> list[Evidence]:
        """Return the evidence kept."""
        with reading(self._engine) as connection:
            texts = connection.execute(
                select(witness_evidence.c.text).order_by(witness_evidence.c.digest)
            ).scalars()
            return [parse_evidence(text.encode()) for text in texts]


def _add(connection: Connection, new: Known) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(insert(witness_latest).values(_row(new)))
    except IntegrityError:
        return False
    return True


def _replace(connection: Connection, old: Known, new: Known) -> bool:
    same = _row(old)
    changed = connection.execute(
        update(witness_latest)
        .where(
            witness_latest.c.origin == same["origin"],
            witness_latest.c.size == same["size"],
            witness_latest.c.root == same["root"],
        )
        .values(_row(new))
    )
    return changed.rowcount == 1


def _row(known: Known) -> dict[str, str | int]:
    checkpoint = known.checkpoint
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": known.note,
    }


def _known(note: str) -> Known:
    return Known(parse_checkpoint(parse_note(note.encode()).text), note)
