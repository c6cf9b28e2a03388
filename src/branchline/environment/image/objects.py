"""The contents of all images, each once: read-only files by SHA-256 and mode.

An object's time is the recipe's date and its size is that of its entry. So a file that a power cut
left empty, or that somebody has written to, no longer looks like an object and is made anew; that
its bytes are right is what the index of a tree checks before a tree is used.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from branchline.environment.image.entries import Entry
from branchline.environment.image.recipe import LAYER_DATE
from branchline.foundation.errors import Corrupt, NotFound

DATE_NS = LAYER_DATE * 10**9

_PIECE = 1 << 20
_WRITE_BITS = 0o222


class Objects:
    """Keep file contents in a folder, two levels deep.

    Safe to use from many threads and programs at once. Nothing here is durable before the file
    system has been synchronised; an image is only entered after that.

    Args:
        folder: Where they are kept; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{folder}/"

    def path(self, entry: Entry) -> str:
        """Return where an entry's content is or would be."""
        return f"{self._prefix}{entry.sha256[:2]}/{entry.sha256}-{entry.mode:03o}"

    def has(self, entry: Entry) -> bool:
        """Tell whether an entry's content is here and looks untouched; it is not read."""
        try:
            found = os.lstat(self.path(entry))
        except FileNotFoundError:
            return False
        return found.st_size == entry.size and found.st_mtime_ns == DATE_NS

    def adopt(self, file: str, entry: Entry) -> None:
        """Move a file in whose SHA-256 the caller has just computed; it is gone afterwards."""
        if self.has(entry):
            os.unlink(file)
            return
        dress(file, entry.mode)
        target = self.path(entry)
        try:
            os.replace(file, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(file, target)

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's content.

        Raises:
            NotFound: It is not here.
            Corrupt: It has another size. Whoever needs to know hashes what comes.
        """
        left = entry.size
        try:
            with open(self.path(entry), "rb", buffering=0) as file:
                while piece := file.read(_PIECE):
                    left -= len(piece)
                    yield piece
        except FileNotFoundError:
            raise missing(entry) from None
        if left:
            raise Corrupt(f"The content of {entry.path!r} in the store has changed", advice=REPAIR)

    def link(self, entry: Entry, target: str) -> None:
        """Give an entry's content another name, in a tree.

        Raises:
            NotFound: It is not here.
        """
        path = self.path(entry)
        try:
            os.link(path, target)
        except FileNotFoundError:
            raise missing(entry) from None
        except OSError as error:
            # A file system's bound on the names of one file; empty files reach it first.
            if error.errno != errno.EMLINK:
                raise
            self._renew(path, entry.mode)
            os.link(path, target)

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield (name, path) of every object."""
        for folder in os.scandir(self.folder):
            for file in os.scandir(folder.path):
                yield file.name, file.path

    def _renew(self, path: str, mode: int) -> None:
        """Put a copy in an object's place; trees keep the file they have."""
        temporary = f"{path}.{secrets.token_hex(4)}.tmp"
        try:
            shutil.copyfile(path, temporary)
            dress(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise


REPAIR = "Let 'branchline environment verify --repair' build it again"


def name_of(entry: Entry) -> str:
    """Return an entry's name among the objects."""
    return f"{entry.sha256}-{entry.mode:03o}"


def dress(file: str, mode: int) -> None:
    """Give a file an object's mode and time: nobody writes to it by mistake."""
    os.chmod(file, mode_of_object(mode))
    os.utime(file, ns=(DATE_NS, DATE_NS))


def mode_of_object(mode: int) -> int:
    """Return the mode an object has on disk: its own, but read-only and readable."""
    return mode & ~_WRITE_BITS | 0o400


def missing(entry: Entry) -> NotFound:
    """Say that an entry's content is not in the store."""
    return NotFound(f"The content of {entry.path!r} is not in the store", advice=REPAIR)
