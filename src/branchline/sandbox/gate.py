"""A gate at which a command waits, with the walls up, until its environment is known to be right.

The walls are put up meanwhile, and nothing can be changed between the look and the beginning but
what no walls keep out. Nobody is left waiting: not where the environment is not right, and not
where the program that looks is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_PAUSE_SECONDS = 0.002
_DONE = b"done"


class Gate:
    """What bubblewrap waits at; for one command, and within a ``with`` block.

    `shown` is the descriptor for bubblewrap, to be inherited.
    """

    def __init__(self) -> None:
        read, self._write = os.pipe()
        # bubblewrap goes on at the pipe's end as well. So it holds the writing side itself: should
        # this process be killed, no end comes, and what waits never runs.
        self.shown = os.open(f"/proc/self/fd/{read}", os.O_RDWR)
        os.close(read)
        os.set_inheritable(self.shown, True)
        self._pipe = f"pipe:[{os.fstat(self._write).st_ino}]"
        self._shut = False
        self._own = {self.shown, self._write}
        self._watcher = self._watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._dismiss()
        self._close(*self._own)

    def hold(self, bwrap: int, verify: Callable[[], None]) -> None:
        """Let the command begin once `verify` returns; if it raises, end what waits.

        Args:
            bwrap: bubblewrap's process, a child of this one. If it has ended by then, as by
                Ctrl-C, nothing begins.
            verify: Raises what is wrong with the environment.
        """
        os.write(self._life, b"%d\n" % bwrap)
        self._close(self.shown)
        try:
            verify()
        except BaseException:
            self._end_who_waits(bwrap)
            raise
        if self._shut or _has_ended(bwrap):
            self._end_who_waits(bwrap)
        else:
            os.write(self._write, b"\n")
        self._dismiss()

    def keep_shut(self) -> None:
        """Let nothing begin any more, whatever comes of the check; from another thread than it."""
        self._shut = True

    def _end_who_waits(self, bwrap: int) -> None:
        """End bubblewrap, and its child, which does not end with it yet and holds the pipe."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(bwrap, signal.SIGKILL)
        while not _has_ended(bwrap):  # it may be starting its child
            time.sleep(_PAUSE_SECONDS)
        while waiting := list(self._waiting()):
            for process in waiting:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS)  # until the kernel has taken their descriptors away

    def _waiting(self) -> Iterator[int]:
        own = os.readlink("/proc/self/exe")
        for name in filter(str.isdigit, os.listdir("/proc")):
            # Another one of this program's own holds it only until it becomes another program.
            with contextlib.suppress(OSError):
                if self._holds(f"/proc/{name}/fd") and os.readlink(f"/proc/{name}/exe") != own:
                    yield int(name)

    def _holds(self, folder: str) -> bool:
        for number in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"{folder}/{number}") == self._pipe:
                    return True
        return False

    def _watch(self) -> int:
        """Start a process that ends what waits, should this one be killed; return its number.

        It is a double of this one and does nothing but call the system: whatever other threads hold
        at this moment, it waits for none of it.
        """
        life, self._life = os.pipe()
        self._own.add(self._life)
        process = os.fork()
        if process == 0:
            try:
                os.setsid()  # whoever ends this one's group does not mean the watcher
                self._close(*self._own)
                said = b""
                while piece := os.read(life, 32):
                    said += piece
                if said and not said.endswith(_DONE):
                    self._end_who_waits(int(said))
            finally:
                os._exit(0)
        os.close(life)
        return process

    def _dismiss(self) -> None:
        """Let the watcher go."""
        if self._life in self._own:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._life, _DONE)
            self._close(self._life)
            os.waitpid(self._watcher, 0)

    def _close(self, *numbers: int) -> None:
        for number in numbers:
            if number in self._own:
                self._own.remove(number)
                os.close(number)


def _has_ended(process: int) -> bool:
    """Tell whether a process has ended, be it waited for or not."""
    try:
        said = Path(f"/proc/{process}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return said.rpartition(b")")[2].split()[0] in (b"Z", b"X")
