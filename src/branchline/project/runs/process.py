"""Start a command, pass on what it prints, keep it, and measure what it took."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.errors import NotFound

KEPT = 1 << 20
"""The most bytes kept of what a command prints, on each side: half from its beginning, half from its end."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        code: Its exit code; of a signal, 128 and its number.
        interrupted: Whether somebody interrupted it.
        stdout: What it printed, the middle left out where it is long.
        stderr: Likewise.
        resources: Seconds of wall clock and processor, and peak memory.
        began: When it was started, RFC 3339.
        ended: When it had ended.
    """

    code: int
    interrupted: bool
    stdout: bytes
    stderr: bytes
    resources: Mapping[str, float]
    began: str
    ended: str


def execute(
    words: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    inherited: Sequence[int] = (),
    shown: tuple[IO[bytes] | None, IO[bytes] | None] = (None, None),
    started: Callable[[int], None] = lambda process: None,
) -> Ended:
    """Run a command to its end.

    Args:
        words: The command.
        folder: Where.
        variables: Its environment, whole.
        inherited: Descriptors that it needs.
        shown: Where its output and its errors are passed on to, while it runs.
        started: Called with the process's number; the command's time counts from its return. If it
            raises, the process is ended.

    Raises:
        NotFound: There is no such program.
    """
    # Ctrl-C reaches the command, too; what it did until then is put on record.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if _main() else None
    try:
        process = _start(words, folder, variables, inherited)
        assert process.stdout
        assert process.stderr
        try:
            started(process.pid)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        at, began = SystemClock().now(), time.monotonic()
        sides = [_Side(process.stdout, shown[0]), _Side(process.stderr, shown[1])]
        for side in sides:
            side.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    code = process.returncode
    seconds = round(time.monotonic() - began, 3)
    resources = {
        "seconds": seconds,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_bytes": usage.ru_maxrss * 1024,
    }
    stdout, stderr = (side.kept() for side in sides)
    interrupted = code in (-signal.SIGINT, 128 + signal.SIGINT)
    told = 128 - code if code < 0 else code
    # A clock that was set meanwhile does not turn the two round.
    until = at + timedelta(seconds=seconds)
    return Ended(told, interrupted, stdout, stderr, resources, rfc3339(at), rfc3339(until))


def _start(
    words: Sequence[str], folder: Path, variables: Mapping[str, str], inherited: Sequence[int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            cwd=folder,
            env=dict(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(inherited),
            preexec_fn=_hear_interrupts,
        )
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no program {words[0]!r}", advice="Check its name, and where it is installed"
        ) from error


class _Side(threading.Thread):
    """Reads one side of what a command prints until its end."""

    def __init__(self, source: IO[bytes], shown: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._source, self._shown = source, shown
        self._begin, self._end = bytearray(), bytearray()
        self._left_out = 0
        self.start()

    def run(self) -> None:
        while piece := os.read(self._source.fileno(), 1 << 16):
            if self._shown is not None:
                self._shown.write(piece)
                self._shown.flush()
            room = max(0, KEPT // 2 - len(self._begin))
            self._begin += piece[:room]
            self._end += piece[room:]
            if len(self._end) > KEPT // 2:
                surplus = len(self._end) - KEPT // 2
                self._left_out += surplus
                del self._end[:surplus]
        self._source.close()

    def kept(self) -> bytes:
        """Return what is kept, with a line that says what is not."""
        between = f"\n[{self._left_out} bytes left out]\n".encode() if self._left_out else b""
        return bytes(self._begin) + between + bytes(self._end)


def _main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
