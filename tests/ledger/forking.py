"""Work in forked children, some at a time, each with a folder of its own in memory."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

BROKEN = 70
"""What a child ends with if it raised: its work is to say itself how it ended."""
_SHARED_MEMORY = Path("/dev/shm")
_MEMORY = 8 << 30
"""Bytes that a child may have: a loop without end shall not take the machine's."""


@dataclass(frozen=True)
class Job:
    """Something to be done in a child.

    Args:
        work: It; is given the child's folder and returns the exit code.
        patience: Seconds after which the child is killed.
    """

    work: Callable[[Path], int]
    patience: float


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Args:
        code: Its exit code, negative if a signal ended it; None if it took too long.
        folder: Its folder, which is there until the next is asked for.
    """

    code: int | None
    folder: Path


@dataclass(frozen=True)
class _Child:
    number: int
    process: int
    deadline: float
    folder: Path


def forked(jobs: Iterable[Job], workers: int) -> Iterator[tuple[int, Ended]]:
    """Do what there is to do, each in a child of its own.

    Args:
        jobs: It; taken as children become free.
        workers: How many children there are at a time.

    Yields:
        A job's number, from 0, and how it ended; whichever ends first.
    """
    waiting = iter(enumerate(jobs))
    running: dict[int, _Child] = {}
    with TemporaryDirectory(dir=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None) as place:
        try:
            while True:
                while len(running) < workers and (following := next(waiting, None)):
                    child = _start(*following, Path(place))
                    running[os.pidfd_open(child.process)] = child
                if not running:
                    return
                late = min(each.deadline for each in running.values()) - time.monotonic()
                ended = select.select(list(running), [], [], max(0.0, late))[0]
                for handle in ended or [min(running, key=lambda each: running[each].deadline)]:
                    child = running.pop(handle)
                    os.close(handle)
                    code = _end(child)
                    yield child.number, Ended(code if ended else None, child.folder)
                    shutil.rmtree(child.folder, ignore_errors=True)
        finally:
            for child in running.values():
                _end(child)


def _start(number: int, job: Job, place: Path) -> _Child:
    folder = place / str(number)
    folder.mkdir()
    process = os.fork()
    if process == 0:
        _work(job, folder)
    return _Child(number, process, time.monotonic() + job.patience, folder)


def _work(job: Job, folder: Path) -> NoReturn:
    code = BROKEN
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        code = job.work(folder)
    except BaseException:  # noqa: BLE001 - outermost: the parent reads it
        (folder / "error").write_text(traceback.format_exc())
    finally:
        os._exit(code)


def _end(child: _Child) -> int:
    """End a child, if it has not ended, and whatever it started; return its exit code."""
    ended, status = os.waitpid(child.process, os.WNOHANG)
    if not ended:
        os.kill(child.process, signal.SIGTERM)  # one with children of its own ends them first
        patience = time.monotonic() + 2
        while not ended and time.monotonic() < patience:
            time.sleep(0.01)
            ended, status = os.waitpid(child.process, os.WNOHANG)
    with suppress(ProcessLookupError):
        os.killpg(child.process, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(child.process, 0)
    return os.waitstatus_to_exitcode(status)
