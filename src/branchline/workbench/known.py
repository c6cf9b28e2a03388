"""Which projects are on this machine: those that were opened here before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from branchline.foundation.durable import make_folder, write_durably

_FOLDER = "projects"


@dataclass(frozen=True)
class KnownProjects:
    """The projects that a person opened on this machine, in the person's data folder.

    Each is a file of its own, so that programs that remember one at once do not get in each
    other's way; the file's time says when it was opened last.

    Args:
        home: The person's data folder.
    """

    home: Path

    def remember(self, root: Path) -> str:
        """Remember a project, as the one opened last; return its key."""
        key = key_of(root)
        file = make_folder(self.home / _FOLDER) / key
        if file.exists():
            os.utime(file)
        else:
            write_durably(file, os.fsencode(root), mode=0o600)
        return key

    def forget(self, key: str) -> None:
        """Forget a project; nothing of it changes."""
        if key in self._keys():
            (self.home / _FOLDER / key).unlink(missing_ok=True)

    def place(self, key: str) -> Path | None:
        """Return a project's folder; None for one that is not known."""
        if key not in self._keys():
            return None
        return Path(os.fsdecode((self.home / _FOLDER / key).read_bytes()))

    def all(self) -> list[tuple[str, Path]]:
        """Return the key and folder of every project, the one opened last first."""
        folder = self.home / _FOLDER
        keys = sorted(self._keys(), key=lambda key: (folder / key).stat().st_mtime, reverse=True)
        return [(key, Path(os.fsdecode((folder / key).read_bytes()))) for key in keys]

    def _keys(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.home / _FOLDER) if not name.startswith(".")]
        except FileNotFoundError:
            return []


def key_of(root: Path) -> str:
    """Return the key of a project's folder; it says nothing of where the folder is."""
    return sha256(os.fsencode(root)).hexdigest()[:12]
