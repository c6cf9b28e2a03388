"""Run a person's own command in an environment, within the walls that trains have.

It is his machine and his command: he keeps his terminal, one folder of his is writable, and nothing
is counted. What he sees of the machine is that folder and the environment, as a train would.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from branchline.sandbox import seccomp, walls
from branchline.sandbox.walls import PersonalJob


def become(job: PersonalJob, kept: Path | None = None) -> NoReturn:
    """Replace this process by the command: its signals, terminal and exit code are its own.

    The environment is verified first.

    Args:
        job: The command, and what it sees.
        kept: A folder of the person's in which the system-call filters are kept, if there is one.

    Raises:
        EngineRefused: bubblewrap is not here, or a path does not exist.
        Corrupt: the environment is not what it was made of.
    """
    bwrap = walls.check_personal(job)
    with ThreadPoolExecutor(1) as beside:
        verifying = beside.submit(job.environment.verify)
        filters = [_memory(each) for each in _filters(job, kept)]
        files = [_memory(text.encode()) for _, text in job.environment.files]
        verifying.result()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and what is ignored stays so in the programs that follow.
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(bwrap, walls.personal(bwrap, job, filters, files))


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
