"""Logs to measure: made of invented entries, grown with batches or at a rate."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine

from benchmarks.memory import memory_of
from branchline.central.journal import Journal
from branchline.foundation.database import open_database, writing
from branchline.foundation.keys import Identity
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log

ORIGIN = "log.example/bench"
ENTRY = 500
"""Bytes of an entry: about those of an act with a dozen fields."""
_SEED = bytes([1]) * 32


def identity() -> Identity:
    """Return the log's keys; those who only read need the same public ones."""
    return Identity(
        Ed25519PrivateKey.from_private_bytes(_SEED), X25519PrivateKey.from_private_bytes(_SEED)
    )


def invented(count: int) -> Iterator[bytes]:
    """Invent entries, the same at every run."""
    chance = random.Random(1)
    for _ in range(count):
        yield chance.randbytes(ENTRY)


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Engine, Log]]:
    """Open the log in a folder."""
    engine = open_database(folder / "log.db")
    try:
        yield engine, Log(engine, FolderFiles(folder / "files"), ORIGIN, identity())
    finally:
        engine.dispose()


@contextmanager
def integrating(log: Log, pause: float = 0.0) -> Iterator[None]:
    """Integrate all the while, as central does; and to the end before this ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(pause):
            log.integrate()

    thread = threading.Thread(target=run, name="integrating")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        log.integrate()


def append_batches(folder: Path, count: int, batch: int) -> tuple[float, float]:
    """Append in batches while integrating.

    Returns:
        Seconds until all were durable, and until all were published under a signed root.
    """
    leaves = list(invented(count))
    with opened(folder) as (engine, log):
        start = time.perf_counter()
        with integrating(log):
            for at in range(0, count, batch):
                with writing(engine) as connection:
                    log.append_many(connection, leaves[at : at + batch])
            durable = time.perf_counter() - start
        return durable, time.perf_counter() - start


async def append_at_rate(folder: Path, rate: int, seconds: int) -> list[float]:
    """Append one by one at a rate, through central's journal, while integrating.

    Returns:
        For each entry the seconds from when it was due until it was acknowledged as durable.
    """
    leaves = list(invented(rate * seconds))
    waits = []
    with opened(folder) as (engine, log), integrating(log, pause=0.1):
        journal = Journal(engine)
        loop = asyncio.get_running_loop()
        begun = loop.time()

        async def append(number: int) -> None:
            await journal.commit(lambda connection: log.append(connection, leaves[number]))
            waits.append(loop.time() - begun - number / rate)

        async with asyncio.TaskGroup() as tasks:
            for number in range(len(leaves)):
                await asyncio.sleep(begun + number / rate - loop.time())
                tasks.create_task(append(number))
        journal.close()
    return waits


def floor_batches(folder: Path, count: int, batch: int) -> float:
    """Insert the same entries into a bare SQLite table, as durable; return the seconds."""
    leaves = list(invented(count))
    connection = _bare_table(folder)
    start = time.perf_counter()
    for at in range(0, count, batch):
        with connection:
            rows = [(leaf,) for leaf in leaves[at : at + batch]]
            connection.executemany("INSERT INTO entries (leaf) VALUES (?)", rows)
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


def floor_at_rate(folder: Path, rate: int, seconds: int) -> list[float]:
    """Insert at a rate into a bare SQLite table, one transaction each; return the waits."""
    leaves = list(invented(rate * seconds))
    connection = _bare_table(folder)
    waits = []
    begun = time.perf_counter()
    for number, leaf in enumerate(leaves):
        due = begun + number / rate
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        with connection:
            connection.execute("INSERT INTO entries (leaf) VALUES (?)", (leaf,))
        waits.append(time.perf_counter() - due)
    connection.close()
    return waits


def grow_and_weigh(folder: Path, sizes: list[int], batch: int = 4096) -> Iterator[dict[str, float]]:
    """Grow a log to each of these sizes; tell the memory of this process and the seconds so far."""
    total, source = 0, invented(max(sizes))
    with opened(folder) as (engine, log):
        start = time.perf_counter()
        for size in sizes:
            while total < size:
                count = min(batch, size - total)
                with writing(engine) as connection:
                    log.append_many(connection, [next(source) for _ in range(count)])
                log.integrate()
                total += count
            memory = memory_of(os.getpid())
            yield {
                "entries": size,
                "resident_mib": memory.resident,
                "seconds": time.perf_counter() - start,
            }


def _bare_table(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "floor.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    with suppress(sqlite3.OperationalError):
        connection.execute("CREATE TABLE entries (position INTEGER PRIMARY KEY, leaf BLOB)")
    return connection


if __name__ == "__main__":
    for weighed in grow_and_weigh(Path(sys.argv[1]), [int(size) for size in sys.argv[2:]]):
        print(json.dumps(weighed), flush=True)
