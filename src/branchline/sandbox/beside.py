"""Run a person's own program beside this one, within the walls that trains have.

As `personal` does, but this program goes on, and hears Ctrl-C alone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from branchline.sandbox import seccomp, walls
from branchline.sandbox.process import Descriptors, SandboxProcess, spawn
from branchline.sandbox.walls import PersonalJob


async def start(job: PersonalJob, log: Path) -> SandboxProcess:
    """Start a person's program; its environment is verified first.

    Args:
        job: The program, and what it sees.
        log: Takes what it prints.

    Raises:
        EngineRefused: bubblewrap is not here, or a path does not exist.
        Corrupt: The environment is not what it was made of.
    """
    bwrap = walls.check_personal(job)
    await asyncio.to_thread(job.environment.verify)
    descriptors = Descriptors()
    try:
        # Sockets it may make: without the machine's network it has one of its own, where nobody
        # else is, and programs that are several talk over its loopback.
        filters = [descriptors.memory(each) for each in seccomp.filters(network=True)]
        files = [descriptors.memory(text.encode()) for _, text in job.environment.files]
        words = walls.personal(bwrap, job, filters, files)
        with log.open("wb") as output:
            return await spawn(words, None, descriptors.opened, output.fileno(), apart=True)
    finally:
        descriptors.close()
