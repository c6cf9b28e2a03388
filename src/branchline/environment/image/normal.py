"""Bring a finished root into the normal form of an image, and list what stands in it.

Normal form: owner root, one date, plain permissions, no devices, nothing that says when, where or
by whom it was built. The rules are data in `recipe.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from branchline.environment.image.entries import Entry, in_order
from branchline.environment.image.keystore import with_one_date
from branchline.environment.image.modes import make_folders, put
from branchline.environment.image.recipe import (
    EMPTIED_FILES,
    EMPTIED_FOLDERS,
    FOLDERS,
    JAVA_KEYSTORE,
    LAYER_DATE,
    REMOVED,
)
from branchline.foundation.errors import Refused

_PIECE = 1 << 18
_PYC_HEADER = 16
_CHECKED, _UNCHECKED = b"\x03\0\0\0", b"\x01\0\0\0"


def normalise(root: Path) -> None:
    """Remove and empty what is volatile, and make the folders every image has."""
    for path in REMOVED:
        (root / path).unlink(missing_ok=True)
    for path in EMPTIED_FOLDERS:
        _empty(root / path)
    for path in EMPTIED_FILES:
        (root / path).unlink(missing_ok=True)
        make_folders((root / path).parent)
        put(root / path, b"")
    for path in FOLDERS:
        make_folders(root / path)


def _empty(folder: Path) -> None:
    """Remove the files in a folder, and in those below it; the folders stay where a path names
    them as a package's, which is below /var/log only."""
    if not folder.is_dir() or folder.is_symlink():
        return
    keep_folders = folder.name == "log"
    for found in sorted(folder.iterdir()):
        if found.is_symlink() or not found.is_dir():
            found.unlink()
        elif keep_folders:
            _empty_files(found)
        else:
            shutil.rmtree(found)


def _empty_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            path.unlink()


def scan(root: Path, take: Callable[[str, Entry], None], jobs: int) -> tuple[Entry, ...]:
    """List what stands in a root.

    Args:
        root: The folder.
        take: Called with (file, entry) of each regular file, from several threads; may move it.
        jobs: How many threads read.

    Raises:
        Refused: A name is not UTF-8.
    """
    found = list(_walk(str(root), ""))

    def entry_of(item: tuple[str, os.stat_result]) -> Entry | None:
        path, info = item
        here = os.path.join(root, path)
        if stat.S_ISDIR(info.st_mode):
            return Entry(path, "folder", info.st_mode & 0o1777)
        if stat.S_ISLNK(info.st_mode):
            return Entry(path, "link", target=os.readlink(here))
        if not stat.S_ISREG(info.st_mode):
            return None
        _settle(here, path, info.st_mode)
        size, sha256 = hashed(here)
        entry = Entry(path, "file", info.st_mode & 0o777, size, sha256)
        take(here, entry)
        return entry

    with ThreadPoolExecutor(jobs) as pool:
        return in_order(entry for entry in pool.map(entry_of, found, chunksize=64) if entry)


def _walk(folder: str, path: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as items:
        for item in items:
            below = f"{path}/{item.name}" if path else item.name
            try:
                below.encode()
            except UnicodeEncodeError:
                raise Refused(f"The name {below!a} is not UTF-8, which images need") from None
            info = item.stat(follow_symlinks=False)
            yield below, info
            if stat.S_ISDIR(info.st_mode):
                if info.st_mode & 0o500 != 0o500:
                    os.chmod(item.path, 0o700)  # closed even to its owner, who is not root here
                yield from _walk(item.path, below)


def _settle(file: str, path: str, mode: int) -> None:
    """Make a file readable, and rewrite what depends on when it was made."""
    compiled, dated = path.endswith(".pyc"), path == JAVA_KEYSTORE
    if compiled or dated or not mode & 0o400:
        os.chmod(file, 0o600)
    if compiled:
        _trust_compiled(file)
    if dated:
        store = Path(file)
        store.write_bytes(with_one_date(store.read_bytes(), LAYER_DATE))


def hashed(file: str) -> tuple[int, str]:
    """Return a file's size and SHA-256."""
    state, size = hashlib.sha256(), 0
    with open(file, "rb", buffering=0) as content:
        while piece := content.read(_PIECE):
            state.update(piece)
            size += len(piece)
    return size, state.hexdigest()


def _trust_compiled(file: str) -> None:
    """Turn a compiled module that is checked against its source into one that is not (PEP 552).

    Debian compiles with SOURCE_DATE_EPOCH set, and Python then reads and hashes each source at each
    import; in an image that is verified before it is used, the two cannot have parted.
    """
    with open(file, "r+b") as content:
        head = content.read(_PYC_HEADER)
        if head[4:8] == _CHECKED:
            content.seek(4)
            content.write(_UNCHECKED)
