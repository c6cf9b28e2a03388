"""Files that are there after a power cut once the call has returned."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from branchline.foundation.digest import Bytes

_EARLY = 16 << 20


def make_folder(path: Path, mode: int = 0o700) -> Path:
    """Make a folder (and its parents) durably; one that exists is left as it is."""
    if path.is_dir():
        return path
    make_folder(path.parent, mode)
    path.mkdir(mode=mode, exist_ok=True)
    sync_folder(path.parent)
    return path


def write_durably(
    path: Path, data: Bytes, mode: int = 0o644, *, folders: set[Path] | None = None
) -> None:
    """Write a file so that a crash leaves either the old content or the whole new one.

    A crash before the rename leaves a stray ``.name.xxxx.tmp`` beside it, which is never read.

    Args:
        path: The file.
        data: Its content.
        mode: Its permissions.
        folders: Where its folder is put, if whoever calls makes the names in it durable later,
            once for many files.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if folders is None:
        sync_folder(path.parent)
    else:
        folders.add(path.parent)


def write_once(path: Path, data: Bytes, mode: int = 0o644) -> bool:
    """Write a file durably unless it is there already; tell whether it was written.

    Of several programs that do so at once exactly one has written it. A crash leaves the whole
    file or none, and perhaps a stray ``.name.xxxx.tmp``.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_durably(temporary, data, mode)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EarlySync:
    """Force a large file to disk in the background while it is being written.

    Little is left to wait for when it is whole. It promises nothing: `sync_file` comes after it.
    Use it as a context while the file is open; an error of the disk is raised, for the system
    reports each only once.

    Args:
        descriptor: The file, open for writing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def wrote(self, size: int) -> None:
        """Count bytes that were just written."""
        self._written += size
        if self._written < _EARLY or (self._pending is not None and not self._pending.done()):
            return
        if self._pending is not None:
            self._pending.result()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "early-sync")
        self._written = 0
        self._pending = self._pool.submit(os.fdatasync, self._descriptor)

    def finish(self) -> None:
        """Wait for what is under way; blocks."""
        if self._pool is not None and self._pending is not None:
            self._pool.shutdown()
            self._pending.result()

    def __enter__(self) -> EarlySync:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The descriptor is closed next: no thread may still use it.
        if self._pool is not None:
            self._pool.shutdown()


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: Bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
