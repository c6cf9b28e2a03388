"""The gate in a program that goes on: it opens once, or nobody is left behind it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.sandbox.test_personal import processes

from branchline.environment.host import HostMount, describe_host, mounts
from branchline.foundation.errors import Corrupt
from branchline.project.runs.process import execute
from branchline.sandbox import beside, seccomp, walls
from branchline.sandbox.gate import Gate
from branchline.sandbox.process import Descriptors
from branchline.sandbox.walls import PersonalJob

WRONG = Corrupt("A file is another one than it was")


@dataclass(frozen=True)
class Checked(HostMount):
    """This machine's own environment, with a check of the test's."""

    check: Callable[[], None] = field(default=lambda: None)

    def verify(self) -> None:
        """Run the test's check."""
        self.check()


def job(folder: Path, check: Callable[[], None]) -> PersonalJob:
    """Return a command that leaves a file behind in a folder."""
    mount = Checked(**vars(mounts(describe_host())), check=check)
    return PersonalJob(mount, ["touch", "ran"], folder)


class Look:
    """A check that says when it has begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answered = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.asked.set()
        assert self.answered.wait(60)


def fail() -> None:
    """Find something wrong."""
    raise WRONG


def run(work: PersonalJob) -> int:
    """Run a command as a project does, and return its exit code."""
    descriptors, gate = Descriptors(), Gate()
    filters = [descriptors.memory(each) for each in seccomp.filters()]
    files = [descriptors.memory(text.encode()) for _, text in work.environment.files]
    line = walls.personal(walls.check_personal(work), work, filters, files, gate.shown)
    inherited = [*descriptors.opened, gate.shown]
    try:
        with gate:
            return execute(
                line,
                Path("/"),
                os.environ,
                inherited=inherited,
                started=lambda process: gate.hold(process, work.environment.verify),
            ).code
    finally:
        descriptors.close()


def open_files() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def children() -> set[int]:
    """Return this process's own processes, be they waited for or not."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if parent(int(name)) == os.getpid():
                found.add(int(name))
    return found


def nobody_left(folder: Path) -> bool:
    """Wait until no process has to do with a folder: what was killed last may still be ending."""
    deadline = time.monotonic() + 60
    while processes(str(folder).encode()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_a_command_begins_after_the_check_and_leaves_nothing(tmp_path: Path) -> None:
    """The walls stand while it is checked, and nothing has run by then."""
    before, seen = open_files(), []
    assert run(job(tmp_path, lambda: seen.append(list(tmp_path.iterdir())))) == 0
    assert (seen, [each.name for each in tmp_path.iterdir()]) == ([[]], ["ran"])
    assert open_files() == before


def test_what_is_not_right_is_not_run(tmp_path: Path) -> None:
    """Neither bubblewrap, nor what waits in it, nor who watches over both is left."""
    before, others = open_files(), children()
    with pytest.raises(Corrupt):
        run(job(tmp_path, fail))
    assert list(tmp_path.iterdir()) == []
    assert nobody_left(tmp_path)
    assert open_files() == before
    assert children() <= others


def test_what_was_interrupted_meanwhile_never_begins(tmp_path: Path) -> None:
    """Ctrl-C ends bubblewrap, not what waits in it; the gate stays shut all the same."""

    def interrupt() -> None:
        found = processes(str(tmp_path).encode())
        (process,) = [p for p in found if parent(p) == os.getpid()]
        os.kill(process, signal.SIGINT)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)

    assert run(job(tmp_path, interrupt)) == 128 + signal.SIGINT
    assert list(tmp_path.iterdir()) == []
    assert nobody_left(tmp_path)


def parent(process: int) -> int:
    """Return a process's parent."""
    text = Path(f"/proc/{process}/stat").read_text()
    return int(text.rpartition(")")[2].split()[1])


async def test_a_program_beside_this_one_begins_after_the_check(tmp_path: Path) -> None:
    """The loop goes on meanwhile."""
    look, work = Look(), tmp_path / "work"
    work.mkdir()
    starting = asyncio.create_task(beside.start(job(work, look), tmp_path / "log"))
    assert await asyncio.to_thread(look.asked.wait, 60)
    assert list(work.iterdir()) == []
    look.answered.set()
    process = await starting
    assert await process.wait() == 0
    assert [each.name for each in work.iterdir()] == ["ran"]


async def test_a_program_beside_this_one_is_not_begun_in_another_environment(
    tmp_path: Path,
) -> None:
    """What was put up for it is gone when the error comes."""
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(Corrupt):
        await beside.start(job(work, fail), tmp_path / "log")
    assert list(work.iterdir()) == []
    assert nobody_left(work)


async def test_whoever_no_longer_wants_it_leaves_nothing(tmp_path: Path) -> None:
    """Cancelled while it is checked: the check goes on to its end, and opens nothing."""
    look, work = Look(), tmp_path / "work"
    work.mkdir()
    starting = asyncio.create_task(beside.start(job(work, look), tmp_path / "log"))
    assert await asyncio.to_thread(look.asked.wait, 60)
    starting.cancel()
    await asyncio.sleep(0)
    look.answered.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert nobody_left(work)
    assert list(work.iterdir()) == []
