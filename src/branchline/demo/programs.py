"""Start the programs of the demo as real processes, and end every one of them by its own handle."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError

T = TypeVar("T")

BRANCHLINE = (sys.executable, "-m", "branchline")
LINES = 12
"""So many of its last lines a program that failed is quoted with."""
PATIENCE = 60.0
"""Seconds a program may take to begin its service, or a command to end."""

_GRACE = 5.0


class ProgramFailed(BranchlineError):
    """A program of the demo ended, or did not begin, against expectation."""

    code = "program-failed"


class Program:
    """One running program; what it prints goes to a file, the last lines are at hand.

    Args:
        name: What it is called here.
        process: Its handle.
        log: Where its lines go.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.process, self.log = name, process, log
        self._last: deque[str] = deque(maxlen=LINES)
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(), name=f"log of {name}")

    async def says(self, pattern: str) -> str:
        """Wait for a line with a match of the pattern; return its first group.

        Raises:
            ProgramFailed: It ended instead, or took too long.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while (line := await self._said.get()) is not None:
                    if found := re.search(pattern, line):
                        return found[1] if found.re.groups else line
        except TimeoutError:
            raise self.failed(f"did not begin within {PATIENCE:.0f} s") from None
        raise self.failed(f"ended with exit code {await self.process.wait()}")

    async def ended(self) -> int:
        """Wait for its end; return the exit code. Everything it said is in the log by then."""
        await asyncio.shield(self._reading)
        return await self.process.wait()

    async def end(self) -> None:
        """End it: asked first, made to after a while. Ending it twice is harmless."""
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), _GRACE)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        # A grandchild may hold the pipe open: what it says is nobody's business any more.
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def failed(self, how: str) -> ProgramFailed:
        """Make the error that says how it failed and quotes its last lines."""
        quoted = "".join(f"\n    {line}" for line in self._last) or " nothing"
        return ProgramFailed(f"The program '{self.name}' {how}. It said last:{quoted}\n")

    async def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            try:
                while data := await self.process.stdout.readline():
                    log.write(data)
                    line = data.decode("utf-8", "replace").rstrip()
                    self._last.append(line)
                    self._said.put_nowait(line)
            finally:
                self._said.put_nowait(None)


class Programs:
    """All programs of one demo; after ``close`` none is left.

    Args:
        logs: Folder for what they print.
        environment: Variables set for them beside this process's own.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str] | None = None) -> None:
        self._logs = make_folder(logs)
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        # Some thirty short processes: each would compile this package anew.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._running: list[Program] = []
        self._guards: list[asyncio.Task[None]] = []
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """End those that run, all at the same time; closing twice is harmless."""
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(*(program.end() for program in self._running))
        self._broken.cancel()

    async def serve(self, name: str, *command: str, ready: str) -> str:
        """Start a program that serves until the end, and wait for its word.

        Args:
            name: What it is called here.
            command: Its command line.
            ready: Pattern of the line that says it is ready; its first group is returned.

        Raises:
            ProgramFailed: It ended instead, or took too long.
        """
        program = await self._start(name, command)
        said = await program.says(ready)
        self._guards.append(asyncio.create_task(self._guard(program)))
        return said

    async def run(self, name: str, *command: str) -> str:
        """Run a command to its end and return what it printed.

        Raises:
            ProgramFailed: It ended with another exit code than 0, or took too long.
        """
        program = await self._start(name, command)
        before = program.log.stat().st_size if program.log.exists() else 0
        try:
            async with asyncio.timeout(PATIENCE):
                code = await program.ended()
        except TimeoutError:
            raise program.failed(f"did not end within {PATIENCE:.0f} s") from None
        finally:
            await program.end()
            self._running.remove(program)
        if code:
            raise program.failed(f"ended with exit code {code}")
        return program.log.read_bytes()[before:].decode("utf-8", "replace")

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work, and leave off as soon as a program that should serve has ended.

        Raises:
            ProgramFailed: It quotes the last lines of that program.
        """
        task = asyncio.create_task(work)
        try:
            both: set[asyncio.Future[Any]] = {task, self._broken}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _guard(self, program: Program) -> None:
        code = await program.ended()
        if not self._broken.done():
            self._broken.set_exception(program.failed(f"ended with exit code {code}"))

    async def _start(self, name: str, command: Sequence[str]) -> Program:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
        )
        program = Program(name, process, self._logs / f"{name}.log")
        self._running.append(program)
        return program
