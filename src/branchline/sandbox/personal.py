"""Run a person's own command in an environment, within the walls that trains have.

It is his machine and his command: he keeps his terminal, one folder of his is writable, and nothing
is counted. What he sees of the machine is that folder and the environment, as a train would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from branchline.sandbox import seccomp, walls
from branchline.sandbox.gate import Gate
from branchline.sandbox.walls import PersonalJob

_ENDED = 128
"""What a shell adds to a signal's number, when it says that a program was ended by it."""


def become(job: PersonalJob, kept: Path | None = None) -> NoReturn:
    """Run the command in place of this process: its terminal, signals and exit code are its own.

    The environment is verified while the walls are put up; the command begins once it is.

    Args:
        job: The command, and what it sees.
        kept: A folder of the person's in which the system-call filters are kept, if there is one.

    Raises:
        EngineRefused: bubblewrap is not here, or a path does not exist.
        Corrupt: the environment is not what it was made of.
    """
    bwrap = walls.check_personal(job)
    filters = [_memory(each) for each in _filters(job, kept)]
    files = [_memory(text.encode()) for _, text in job.environment.files]
    sys.stdout.flush()
    sys.stderr.flush()
    with Gate() as gate:
        words = walls.personal(bwrap, job, filters, files, gate.shown)
        # Neither closes descriptors nor changes anything else: then it is started in no time.
        inside = subprocess.Popen(words, close_fds=False)
        for number in (*filters, *files):
            os.close(number)
        try:
            gate.hold(inside.pid, lambda: _verify(job))
        except BaseException:
            inside.wait()
            raise
        _end_as(inside.wait())


def _verify(job: PersonalJob) -> None:
    with _ended_in_order():
        job.environment.verify()
    # Ctrl-C reaches the command, too, and it is its business; so is the end it comes to.
    signal.signal(signal.SIGINT, lambda *_: None)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a wish to end this process be an exception meanwhile."""

    def leave(number: int, _: object) -> NoReturn:
        raise SystemExit(_ENDED + number)

    wishes = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in wishes:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in wishes:
            signal.signal(number, signal.SIG_DFL)


def _end_as(code: int) -> NoReturn:
    """End this process as the command did."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = _ENDED - code
    os._exit(code)


def _filters(job: PersonalJob, kept: Path | None) -> tuple[bytes, ...]:
    if kept is None:
        return seccomp.filters(network=job.network)
    return seccomp.kept_filters(kept, network=job.network)


def _memory(content: bytes) -> int:
    """Return a descriptor that reads `content` and that the command inherits."""
    descriptor = os.memfd_create("sandbox", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
