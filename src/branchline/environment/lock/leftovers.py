"""What killed programs left in a store's ``fetching`` and ``apt``: told from what is in use, removed.

Whoever fetches holds a lock on his folder, and the kernel lets go of it when he dies. So no date has
to be guessed: what can be locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

IN_USE = "in-use"
"""The file in a private root of apt that whoever uses it holds."""

_UNUSED_SECONDS = 30 * 86_400
_DOWNLOADS = ("state/lists/partial", "cache/archives")
_DEAD = ".dead-"
_Removed = tuple[int, int]
"""How many files, and their bytes."""


@contextmanager
def held_folder(beside: Path) -> Iterator[Path]:
    """Give a folder that nobody clears away while it is held; it is removed at the end."""
    while True:
        name = tempfile.mkdtemp(dir=beside)
        if (descriptor := _lock(Path(name), fcntl.LOCK_EX)) is not None:
            break  # else somebody who cleared away was quicker than we
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def held_file(file: Path) -> Iterator[None]:
    """Hold a file that stands for its folder, made if missing, until nobody else does."""
    while True:
        with suppress(FileNotFoundError, FileExistsError):  # somebody cleared away meanwhile
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
        if (descriptor := _lock(file, fcntl.LOCK_EX)) is not None:
            break
    try:
        yield
    finally:
        os.close(descriptor)


def clear_fetching(folder: Path) -> _Removed:
    """Remove the folders of files on their way in whose makers are gone."""
    removed = size = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if descriptor is not None:
            count, bytes_ = _clear(path)
            removed, size = removed + count, size + bytes_
            os.close(descriptor)
    return removed, size


def clear_apt(folder: Path, *, everything: bool) -> _Removed:
    """Remove what downloads left in private roots of apt, and roots that nobody has used for a month.

    Args:
        folder: Holds the roots.
        everything: Remove all roots that are not in use. Their package lists are then fetched anew.
    """
    removed = size = 0
    for root in list(folder.iterdir()) if folder.is_dir() else ():
        descriptor = _lock(root / IN_USE, fcntl.LOCK_EX | fcntl.LOCK_NB)
        dead = root.name.startswith(_DEAD)
        if descriptor is None and not dead:
            continue
        where = [root / name for name in _DOWNLOADS]
        if everything or dead or _unused(root):
            # Renamed first: whoever wants the root now makes another, and this one is nobody's.
            where = [root.rename(root.with_name(f"{_DEAD}{secrets.token_hex(8)}"))]
        for path in where:
            count, bytes_ = _clear(path)
            removed, size = removed + count, size + bytes_
        if descriptor is not None:
            os.close(descriptor)
    return removed, size


def _unused(root: Path) -> bool:
    """Tell whether a root's package lists are a month old, or were never fetched."""
    lists = root / "state" / "lists"
    return not lists.is_dir() or time.time() - lists.stat().st_mtime > _UNUSED_SECONDS


def _lock(path: Path, how: int) -> int | None:
    """Lock a file or folder; None if somebody else has, or if it is not there by then."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, how)
        ours, there = os.fstat(descriptor), os.stat(path)
        if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _clear(folder: Path) -> _Removed:
    """Remove a folder; return how many files it had, and their bytes."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    shutil.rmtree(folder, ignore_errors=True)
    return len(files), size
