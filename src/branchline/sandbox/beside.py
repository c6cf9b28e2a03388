"""Run a person's own program beside this one, within the walls that trains have.

As `personal` does, but this program goes on, and hears Ctrl-C alone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from branchline.sandbox import seccomp, walls
from branchline.sandbox.gate import Gate
from branchline.sandbox.process import Descriptors, SandboxProcess, spawn
from branchline.sandbox.walls import PersonalJob


async def start(job: PersonalJob, log: Path) -> SandboxProcess:
    """Start a person's program; its environment is verified before it begins.

    Args:
        job: The program, and what it sees.
        log: Takes what it prints.

    Raises:
        EngineRefused: bubblewrap is not here, or a path does not exist.
        Corrupt: The environment is not what it was made of.
    """
    bwrap = walls.check_personal(job)
    descriptors, gate = Descriptors(), Gate()
    try:
        # Sockets it may make: without the machine's network it has one of its own, where nobody
        # else is, and programs that are several talk over its loopback.
        filters = [descriptors.memory(each) for each in seccomp.filters(network=True)]
        files = [descriptors.memory(text.encode()) for _, text in job.environment.files]
        words = walls.personal(bwrap, job, filters, files, gate.shown)
        inherited = [*descriptors.opened, gate.shown]
        with gate, log.open("wb") as output:
            process = await spawn(words, None, inherited, output.fileno(), apart=True)
            await _begun(process, gate, job)
            return process
    finally:
        descriptors.close()


async def _begun(process: SandboxProcess, gate: Gate, job: PersonalJob) -> None:
    """Open the gate once the environment is verified; else leave nothing behind."""
    verify = job.environment.verify
    holding = asyncio.create_task(asyncio.to_thread(gate.hold, process.pid, verify))
    try:
        await asyncio.shield(holding)
    except BaseException:
        # Whoever looks ends what waits, too; nobody may close the gate under his feet.
        gate.keep_shut()
        await asyncio.wait([holding])
        await process.wait()
        raise
