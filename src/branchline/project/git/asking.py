"""Ask git something with as little loaded as can be: for what people ask often."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence


class Asked:
    """A call of git that is under way; what it says on standard error is not kept.

    Args:
        words: The command after ``git``.
        root: Where.
        environment: Its variables.
    """

    def __init__(self, words: Sequence[str], root: str, environment: Mapping[str, str]) -> None:
        self._pipe, end = os.pipe()
        try:
            self._pid = os.posix_spawnp(
                "git",
                ("git", "-C", root, *words),
                environment,
                file_actions=(
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, end, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ),
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(end)

    def answer(self) -> bytes | None:
        """Wait for its end, and return what it printed; None if it failed."""
        parts = []
        try:
            while part := os.read(self._pipe, 1 << 20):
                parts.append(part)
        finally:
            os.close(self._pipe)
            _, ended = os.waitpid(self._pid, 0)
        return b"".join(parts) if ended == 0 else None
