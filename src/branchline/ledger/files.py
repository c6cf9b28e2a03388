"""Where a ledger's files live, and how a group of them is put there durably."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from branchline.foundation.durable import make_folder, sync_folder
from branchline.foundation.errors import NotFound, Unavailable

_TEMPORARY = ".tmp"


class Files(Protocol):
    """Files named by relative paths with ``/``; one writer, any number of readers.

    Content and name become durable separately: ``write`` makes a file's content survive a power
    cut, ``sync`` makes the names in a folder survive it. Any method may raise OSError; what was
    durable before stays so.
    """

    def read(self, path: str) -> bytes:
        """Return a file's content; NotFound if there is none."""
        ...

    def paths(self) -> Iterable[str]:
        """Return the paths of all files, in any order."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole, replacing one of this name, and make its content durable."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in the same folder, atomically replacing what has that name."""
        ...

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable (the folder's own name is, since it was made)."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all its files; nothing happens if there is none."""
        ...


class FolderFiles:
    """Files in a folder of this machine.

    Args:
        folder: The ledger's folder; made with its parents if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)

    def read(self, path: str) -> bytes:
        """Return a file's content; NotFound if there is none."""
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"The ledger has no file {path}") from error

    def paths(self) -> Iterable[str]:
        """Return the paths of all files, in any order."""
        for folder, _, names in os.walk(self._folder):
            relative = os.path.relpath(folder, self._folder)
            for name in names:
                yield os.path.normpath(f"{relative}/{name}")

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole, replacing one of this name, and make its content durable."""
        target = self._folder / path
        make_folder(target.parent)
        with open(target, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in the same folder, atomically replacing what has that name."""
        os.replace(self._folder / old, self._folder / new)

    def sync(self, folder: str) -> None:
        """Make the names in a folder durable (the folder's own name is, since it was made)."""
        sync_folder(self._folder / folder)

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all its files; nothing happens if there is none."""
        if (self._folder / folder).is_dir():
            shutil.rmtree(self._folder / folder)


def put(files: Files, contents: Mapping[str, bytes]) -> None:
    """Put files under their names, durably; no name ever shows less than its whole content.

    A crash leaves some of the names, each whole, and stray ``.tmp`` files that nobody reads and
    the next attempt replaces.
    """
    for path, data in contents.items():
        files.write(path + _TEMPORARY, data)
    for path in contents:
        files.rename(path + _TEMPORARY, path)
    for folder in dict.fromkeys(path.rpartition("/")[0] for path in contents):
        files.sync(folder)


@contextmanager
def words_for_disk() -> Iterator[None]:
    """Turn what the disk refuses into a sentence for a person."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The ledger cannot be written: {error.strerror or error}",
            advice="Committed entries are safe; make room or repair the disk, then try again",
        ) from error
