"""Git in a hosted repository, together with what was pushed and is not let in yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from branchline.foundation.errors import Refused
from branchline.project.git.command import Git


class Quarantined(Git):
    """Git that also sees what is in git's quarantine.

    Args:
        root: The repository.
        quarantine: Where git keeps what was pushed, as its hook was told.

    Raises:
        Refused: That is not in the repository.
    """

    def __init__(self, root: Path, quarantine: Path) -> None:
        super().__init__(root)
        objects = (root / "objects").resolve()
        if quarantine.resolve().parent != objects:
            raise Refused("What was pushed is not where git keeps it")
        self._apart = {
            "GIT_OBJECT_DIRECTORY": str(quarantine.resolve()),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }

    def run(
        self,
        *words: str,
        feed: bytes = b"",
        unlocked: bool = False,
        accept: Sequence[int] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run one git command; see `Git.run`."""
        apart = {**self._apart, **(variables or {})}
        return super().run(*words, feed=feed, unlocked=unlocked, accept=accept, variables=apart)
