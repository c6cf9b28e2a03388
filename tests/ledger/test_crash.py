"""Crash windows: the process ends at the N-th change of the disk, for every N."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.ledger.disk import Crash, SimulatedDisk
from tests.ledger.vectors import LOG_VKEY, ORIGIN, entries, log_identity

from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import Unavailable
from branchline.ledger.audit import audit
from branchline.ledger.files import Files, FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.merkle import check_growth
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.receipt import Receipt, verify_receipt

KEY = parse_key(LOG_VKEY)


class Client:
    """Somebody who appends batches and remembers what was acknowledged."""

    def __init__(self, engine: Engine, disk: Files) -> None:
        self.engine, self.disk = engine, disk
        self.committed = 0
        self.heads: list[Checkpoint] = []
        self.receipts: list[Receipt] = []

    def open(self) -> Log:
        """Open the ledger, as a program does that starts."""
        return Log(self.engine, self.disk, ORIGIN, log_identity())

    def run(self, batches: list[int]) -> None:
        """Open the ledger and append batches; each is acknowledged with a receipt."""
        log = self.open()
        for size in batches:
            with writing(self.engine) as connection:
                for leaf in entries(size, self.committed):
                    log.append(connection, leaf)
            self.committed += size
            self.heads.append(log.integrate())
            self.receipts.append(log.receipt(self.committed - 1))

    def check(self, log: Log) -> None:
        """Check that all that was committed is there, and continues all that was signed."""
        newest = log.integrate()
        assert newest.size == self.committed
        for head in self.heads:
            path = log.prove_growth(head.size)
            check_growth(head.size, newest.size, head.root, newest.root, path)
        for receipt in self.receipts:
            leaf = b"entry %d" % receipt.index
            verify_receipt(receipt, leaf, LOG_VKEY)
            verify_receipt(log.receipt(receipt.index), leaf, LOG_VKEY)
        assert audit(self.disk.read, self.disk.paths(), KEY).checkpoint == newest


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Callable[[Path | None], Engine]]:
    """Open fresh databases, or copies of one, and close them all in the end."""
    engines: list[Engine] = []

    def fresh(copy_of: Path | None = None) -> Engine:
        path = tmp_path / f"{len(engines)}.db"
        if copy_of is not None:
            shutil.copyfile(copy_of, path)
        engines.append(open_database(path))
        return engines[-1]

    yield fresh
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("end", [SimulatedDisk.kill, SimulatedDisk.cut_power])
@pytest.mark.parametrize(("before", "batches"), [(0, [3, 1]), (253, [2, 4]), (250, [300])])
def test_nothing_acknowledged_is_lost_wherever_it_ends(
    before: int,
    batches: list[int],
    end: Callable[[SimulatedDisk], None],
    database: Callable[..., Engine],
    tmp_path: Path,
) -> None:
    """End at every single step, start again (ending there once more), and all is there."""
    base_disk, base = SimulatedDisk(), tmp_path / "base.db"
    base_engine = open_database(base)
    base_client = Client(base_engine, base_disk)
    if before:
        base_client.run([before])
    base_engine.dispose()
    for step in count(1):
        disk = base_disk.copy()
        client = Client(database(base if before else None), disk)
        client.committed, client.heads = before, list(base_client.heads)
        disk.fail_at(step)
        try:
            client.run(batches)
            break
        except Crash:
            end(disk)
        # The second end strikes during recovery, a little later each time.
        disk.fail_at(1 + step % 5)
        try:
            client.open()
        except Crash:
            end(disk)
        disk.fail_at(None)
        client.check(client.open())
    assert step > 10
    client.check(client.open())


def no_space() -> OSError:
    """Give what a full disk answers."""
    return OSError(errno.ENOSPC, "No space left on device")


def refusal(log: Log) -> str | None:
    """Integrate, and give the sentence if that is refused for now."""
    try:
        log.integrate()
    except Unavailable as error:
        return str(error)
    return None


def test_a_full_disk_is_a_matter_of_trying_again(database: Callable[..., Engine]) -> None:
    """When any one write fails, the open ledger says so and goes on once there is room."""
    for step in count(1):
        disk = SimulatedDisk(no_space)
        client = Client(database(), disk)
        client.run([254])
        log = client.open()
        with writing(client.engine) as connection:
            for leaf in entries(3, 254):
                log.append(connection, leaf)
        client.committed = 257
        disk.fail_at(step)
        refused = refusal(log)
        if refused is None:
            break
        assert "No space left" in refused
        disk.fail_at(1 + step % 7)
        refusal(log)  # a second failure, elsewhere, changes nothing
        disk.fail_at(None)
        client.check(log)
    assert step > 10


class Killed(FolderFiles):
    """A real folder whose process ends at the N-th change."""

    def __init__(self, folder: Path, steps: int) -> None:
        super().__init__(folder)
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps <= 0:
            raise Crash

    def write(self, path: str, data: bytes) -> None:
        """Write half of a file at the end."""
        if self.steps == 1:
            super().write(path, data[: len(data) // 2])
        self._step()
        super().write(path, data)

    def rename(self, old: str, new: str) -> None:
        """Rename, or end before it."""
        self._step()
        super().rename(old, new)

    def sync(self, folder: str) -> None:
        """Sync, or end before it."""
        self._step()
        super().sync(folder)


def test_a_real_folder_survives_the_same(database: Callable[..., Engine], tmp_path: Path) -> None:
    """The same on a real file system: end at every step, open again, and all is there."""
    for step in count(1):
        folder = tmp_path / str(step)
        client = Client(database(), Killed(folder, step))
        try:
            client.run([3, 254])
            break
        except Crash:
            client.disk = FolderFiles(folder)
            client.check(client.open())
    assert step > 20
