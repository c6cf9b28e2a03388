"""kill -9 at any moment, and the n-th change of a real disk failing: nothing acknowledged is lost."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count as count_from
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.ledger.killing import Memory, Victim, kill_again_and_again, kill_at, victim

SHARED_MEMORY = Path("/dev/shm")
ROOM = 1 << 28


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for what is killed, in memory where there is room.

    A killed process leaves what it wrote, on whatever it wrote it: only a machine that loses power
    makes a difference, which ``test_crash`` simulates. Waiting for a disk is no part of these tests.
    """
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < ROOM:
        yield tmp_path
        return
    with TemporaryDirectory(dir=SHARED_MEMORY, prefix="killed-") as folder:
        yield Path(folder)


def test_two_hundred_kills_lose_nothing(place: Path) -> None:
    """Append, integrate, mirror, cosign, keep: whatever was acknowledged is there afterwards."""
    assert kill_again_and_again(place, 200, seed=1) > 1000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 52))
def test_ten_thousand_kills_lose_nothing(seed: int, place: Path) -> None:
    """The same fifty times over, with ledgers that live longer."""
    kill_again_and_again(place, 200, seed=seed, fresh=100)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """Give a victim whose disk can be made to fail."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no disk can be made to fail: there is no C compiler here")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    with victim(library) as started:
        yield started


@pytest.mark.parametrize(
    "error", [errno.EIO, pytest.param(errno.ENOSPC, marks=pytest.mark.soak)], ids=["EIO", "ENOSPC"]
)
def test_whichever_change_of_a_real_disk_fails(error: int, faulty: Victim, place: Path) -> None:
    """Database, tiles, checkpoint, mirror, witnesses: for every n the n-th write, fsync or rename
    fails, torn; the ledger says so, and goes on with all that was acknowledged."""
    begun = place / "begun"
    begun.mkdir()
    faulty.order(folder=str(begun), call=0, errno=error)
    assert faulty.said("ended")[-1] == ["ended", "0"]
    refused = 0
    for call in count_from(1):
        folder, memory = place / str(call), Memory()
        shutil.copytree(begun, folder)
        faulty.order(folder=str(folder), call=call, errno=error)
        lines = faulty.said("ended")
        assert lines.pop() == ["ended", "0"]
        reached = ["reached", "1"] in lines
        refused += sum(words[0] == "refused" for words in lines)
        for words in lines:
            if words[0] not in ("refused", "reached"):
                memory.hear(words)
        assert memory.appended >= 2
        shutil.rmtree(folder)
        if not reached:
            break
    assert call > 40
    assert refused > 30


@pytest.mark.parametrize(
    ("before", "count"), [(2, 1), pytest.param(250, 3, marks=pytest.mark.soak)]
)
def test_it_may_end_between_any_two_writes(
    before: int, count: int, faulty: Victim, place: Path
) -> None:
    """Log, archive, mirror, both witnesses: for every n the process ends at the n-th change of the
    disk, once more while it recovers, and everything acknowledged is there."""
    begun = place / "begun"
    begun.mkdir()
    faulty.order(folder=str(begun), call=0, errno=0, count=before)
    assert faulty.said("ended")[-1] == ["ended", "0"]
    for call in count_from(1):
        folder = place / str(call)
        shutil.copytree(begun, folder)
        reached = kill_at(faulty, folder, call, count)
        shutil.rmtree(folder)
        if not reached:
            break
    assert call > 40
