"""A ledger to test with, over a real SQLite file and a simulated disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.ledger.disk import SimulatedDisk
from tests.ledger.parties import NewWitness, witness_of
from tests.ledger.vectors import ORIGIN, log_identity

from branchline.foundation.database import open_database, writing
from branchline.ledger.files import Files
from branchline.ledger.log import Log
from branchline.ledger.witness.witness import Witness

Append = Callable[[Log, Iterable[bytes]], list[int]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Open a database of its own for the test."""
    engine = open_database(tmp_path / "ledger.db")
    yield engine
    engine.dispose()


@pytest.fixture
def new_witness() -> Iterator[NewWitness]:
    """Make witnesses, each with a database of its own."""
    engines: list[Engine] = []

    def make(number: int) -> Witness:
        engines.append(open_database("sqlite://"))
        return witness_of(number, engines[-1])

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def disk() -> SimulatedDisk:
    """Give an empty disk."""
    return SimulatedDisk()


@pytest.fixture
def append(engine: Engine) -> Append:
    """Append leaves in one committed transaction."""

    def run(log: Log, leaves: Iterable[bytes]) -> list[int]:
        with writing(engine) as connection:
            return [log.append(connection, leaf) for leaf in leaves]

    return run


@pytest.fixture
def open_log(engine: Engine, disk: SimulatedDisk) -> Callable[[], Log]:
    """Open (or open again) the ledger of the vectors on the test's database and disk."""

    def run(files: Files = disk) -> Log:
        return Log(engine, files, ORIGIN, log_identity())

    return run
