"""Start programs as processes of their own, and end every one of them by its handle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

PATIENCE = 60.0
"""Seconds a program may take to begin its service."""
GRACE = 5.0
"""Seconds a program has for a clean end."""


class ProgramFailed(Exception):
    """A program ended, or did not begin, against expectation; quotes its last lines."""


class Programs:
    """All programs of one measurement. Use it as a context: at its end none is left.

    Each runs in a session of its own, so that what it started in turn ends with it.

    Args:
        logs: Folder for what they print.
        environment: Variables set for them beside this process's own.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str] | None = None) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for process in self._running.values():
            _end(process)

    def serve(self, name: str, command: Sequence[str], *, ready: str) -> str:
        """Start a program that serves until the end; wait until it prints a line.

        Args:
            name: What it is called here.
            command: Its command line.
            ready: Pattern of that line; its first group is returned, if it has one.

        Raises:
            ProgramFailed: It ended instead, or took too long.
        """
        log = self._logs / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._running[name] = process
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := re.search(ready, log.read_text(errors="replace")):
                return found[1] if found.re.groups else found[0]
            if process.poll() is not None:
                raise _failed(name, f"ended with exit code {process.returncode}", log)
            time.sleep(0.02)
        raise _failed(name, f"did not begin within {PATIENCE:.0f} s", log)

    def run(
        self, name: str, command: Sequence[str], *, folder: Path | None = None, seconds: float = 120
    ) -> str:
        """Run a command to its end and return what it printed.

        Raises:
            ProgramFailed: It ended with another exit code than 0, or took too long.
        """
        log = self._logs / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=folder,
                start_new_session=True,
            )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise _failed(name, f"did not end within {seconds:.0f} s", log) from None
        finally:
            _end(process)
        if code:
            raise _failed(name, f"ended with exit code {code}", log)
        return log.read_text(errors="replace")

    def pid(self, name: str) -> int:
        """Return the process id of a program that serves."""
        return self._running[name].pid


def _end(process: subprocess.Popen[bytes]) -> None:
    """End one program and everything in its session: asked first, made to after a while."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing of its session is left
    process.wait()


def _failed(name: str, how: str, log: Path) -> ProgramFailed:
    last = log.read_text(errors="replace").splitlines()[-12:]
    quoted = "".join(f"\n    {line}" for line in last) or " nothing"
    return ProgramFailed(f"The program '{name}' {how}. It said last:{quoted}")
