"""Start one session's processes and end them, leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from branchline.sandbox.cgroups import Group

_ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 96; shift; done; shift; exec "$@"'
"""Enter the control groups, then become bubblewrap: nothing ever runs outside of them. Python's
own `preexec_fn` could deadlock in a program with threads."""

_GRACE_SECONDS = 2.0


@dataclass
class Descriptors:
    """Descriptors that live until the session's processes have inherited them."""

    opened: list[int] = field(default_factory=list)

    def memory(self, content: bytes) -> int:
        """Return a descriptor that reads `content`."""
        descriptor = os.memfd_create("sandbox")
        self.opened.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def close(self) -> None:
        """Close them all."""
        while self.opened:
            os.close(self.opened.pop())


class SandboxProcess:
    """bubblewrap and everything below it.

    When bubblewrap dies, its init in the sandbox dies (`--die-with-parent`), and the kernel then
    kills the whole process namespace: no process can leave or outlive it.
    """

    def __init__(self, process: asyncio.subprocess.Process, group: Group | None) -> None:
        self._process = process
        self._group = group

    @property
    def exit(self) -> int | None:
        """Return bubblewrap's exit code, 128 + n for a train killed by signal n."""
        return self._process.returncode

    @property
    def pid(self) -> int:
        """Return bubblewrap's process."""
        return self._process.pid

    def kill(self) -> None:
        """Kill everything; does not wait."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Wait until it has ended by itself, and return the exit code."""
        return await self._process.wait()

    async def wait_or_end(self) -> int:
        """Wait a moment for an end that has begun by itself, so that its exit code is kept."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            pass  # it only closed its connection
        return await self.end()

    async def end(self) -> int:
        """Kill everything, wait until it is gone, and return the exit code."""
        self.kill()
        code = await self._process.wait()
        if self._group is not None:
            self._group.kill()
        return code


async def spawn(
    words: Sequence[str],
    group: Group | None,
    inherited: Sequence[int],
    output: int,
    *,
    apart: bool = False,
) -> SandboxProcess:
    """Start `words` in `group`, with `inherited` descriptors and `output` for all it prints.

    `apart` keeps it from the terminal's signals: Ctrl-C then reaches the caller alone.
    """
    entries = [str(path) for path in group.entries()] if group is not None else []
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _ENTER, "sh", *entries, "--", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=tuple(inherited),
        env={},
        cwd="/",
        start_new_session=apart,
    )
    return SandboxProcess(process, group)


def killed_by(code: int | None, number: signal.Signals) -> bool:
    """Return whether an exit code of bubblewrap says that signal `number` ended the train."""
    return code == 128 + number
