"""Collect what a session prints: up to a limit, without ever stopping the train or the station."""

from __future__ import annotations

import asyncio
import fcntl
import os

_PIPE_BYTES = 1 << 20
_PAUSE_SECONDS = 0.01


class LogPipe:
    """A pipe for standard output and error; `take` returns what came since the last time.

    Bytes beyond `limit`, counted over the whole session, are read, dropped and counted. Once over
    the limit the pipe is read a hundred times a second only, so that a train that prints without
    end cannot keep the station's event loop busy.
    """

    def __init__(self, limit: int) -> None:
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._left = limit
        self._kept = bytearray()
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._reader, self._on_readable)

    def started(self) -> None:
        """Close the writer, which the session now holds."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def take(self) -> bytes:
        """Return and forget the bytes kept since the last call, those still in the pipe too."""
        self._read()
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def close(self) -> None:
        """Close the pipe; what was kept can still be taken."""
        if self._reader < 0:
            return
        self._read()
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._reader)
        self.started()
        os.close(self._reader)
        self._reader = -1

    def _on_readable(self) -> None:
        if not self._read():
            self._loop.remove_reader(self._reader)
        elif self._left == 0:
            self._loop.remove_reader(self._reader)
            self._timer = self._loop.call_later(_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._reader, self._on_readable)

    def _read(self) -> bool:
        """Read once, at most what the pipe can hold; return whether more may come."""
        if self._reader < 0:
            return False
        try:
            piece = os.read(self._reader, _PIPE_BYTES)
        except BlockingIOError:
            return True
        kept = min(len(piece), self._left)
        self._kept += piece[:kept]
        self._left -= kept
        self.dropped += len(piece) - kept
        return bool(piece)
