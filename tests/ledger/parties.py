"""Witnesses as the tests need them: real ones, each with a database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sqlalchemy import Engine
from tests.ledger.vectors import COSIGNED_AT, LOG_VKEY, ORIGIN, identity_of

from branchline.foundation.clock import Clock, FixedClock
from branchline.ledger.log import Log
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import Policy, default_policy
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.wire import Request
from branchline.ledger.witness.witness import Witness

NewWitness = Callable[[int], Witness]
LOG_KEY = parse_key(LOG_VKEY)
FIRST_SEED = 100


def name_of(number: int) -> str:
    """Name a witness."""
    return f"w{number}.example/witness"


def policy_of(count: int) -> Policy:
    """Return the default policy over so many witnesses, each of an entity of its own."""
    keys = {
        f"hospital-{number}": [
            cosigner_key(name_of(number), identity_of(FIRST_SEED + number).public)
        ]
        for number in range(count)
    }
    return default_policy(LOG_KEY, keys)


def witness_of(number: int, engine: Engine, clock: Clock | None = None) -> Witness:
    """Make a witness of the policy, with the memory in a database."""
    return Witness(
        WitnessStore(engine),
        name_of(number),
        identity_of(FIRST_SEED + number),
        clock or FixedClock(datetime.fromtimestamp(COSIGNED_AT, UTC)),
        logs={ORIGIN: [LOG_KEY]},
    )


def introduce(log: Log, witnesses: Iterable[tuple[int, Witness]]) -> None:
    """Let witnesses show the log what they cosigned last, as stations do when they connect."""
    for number, witness in witnesses:
        known = witness.latest(ORIGIN) if witness.size_of(ORIGIN) else None
        log.confront(name_of(number), known)


def ask(log: Log, witness: Witness, note: bytes | None = None) -> str:
    """Ask a witness to cosign a checkpoint, the latest if none is given; return its lines."""
    note = note or log.checkpoint()
    size, old = int(note.split(b"\n")[1]), witness.size_of(ORIGIN)
    path = log.prove_growth(old, size) if old else ()
    answer = witness.add_checkpoint(Request(old, path, note).body)
    assert answer.status == 200, answer
    return answer.body


def gather(log: Log, witnesses: Iterable[Witness]) -> None:
    """Let witnesses cosign the latest checkpoint, and the log keep it."""
    note = log.checkpoint()
    lines = [ask(log, witness, note) for witness in witnesses]
    log.keep(note + "".join(lines).encode())
