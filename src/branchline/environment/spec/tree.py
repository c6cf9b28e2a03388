"""A project's folder as far as detection looks at it: the spec files' bytes, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from branchline.environment.spec.names import FOLDERS, SPELLINGS, is_spec_file
from branchline.environment.spec.references import MAX_REFERENCES, references
from branchline.environment.spec.refusal import SpecRefused

MAX_FILE = 1 << 20
"""The most bytes a spec file may have."""

MAX_LOCK_FILE = 8 << 20
"""The most bytes a ``Pipfile.lock`` may have: a program writes it, with every hash."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Tree(msgspec.Struct, frozen=True):
    """What detection sees of a folder.

    Args:
        files: The bytes of the spec files and of the files those refer to, by path in the tree
            (``/`` between names, none before the first).
        folders: The spec folders that are there, and spec files' names that are folders.
        hidden: Spec files in the root that were not read, because a spec folder hides them.
        misspelt: Files whose names are those of spec files but for upper and lower case.
    """

    files: Mapping[str, bytes]
    folders: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    misspelt: tuple[str, ...] = ()


def read_tree(folder: Path | str) -> Tree:
    """Read a folder's spec files and the files they refer to.

    A symbolic link is followed to a regular file within the folder, as many stand in ``binder/``
    for the file in the root. Nothing outside the folder is ever opened.

    Raises:
        SpecRefused: A spec file is too large, not a regular file, or a link that leads outside or
            nowhere.
        OSError: The folder is none, or cannot be read.
    """
    reader = _Reader(os.fspath(folder))
    reader.read_all()
    return Tree(
        reader.files,
        frozenset(reader.folders),
        frozenset(reader.hidden),
        tuple(sorted(reader.misspelt)),
    )


@dataclass
class _Reader:
    """Reads one tree; keeps what it found."""

    root: str
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    misspelt: list[str] = field(default_factory=list)

    def read_all(self) -> None:
        names = os.listdir(self.root)
        places = [name for name in FOLDERS if name in names and self._is_folder(name)]
        self.folders.update(places)
        if places:
            self.hidden.update(
                name for name in names if is_spec_file(name) and name != "Dockerfile"
            )
            # The root's Dockerfile is looked at in any case: see the pack LegacyBinderDocker.
            self._read(name for name in names if name == "Dockerfile")
            for place in places:
                self._read_names(f"{place}/", os.listdir(f"{self.root}/{place}"))
        else:
            self._read_names("", names)
        self._follow()

    def _read_names(self, prefix: str, names: list[str]) -> None:
        self._read(prefix + name for name in names if is_spec_file(name))
        self.misspelt += [
            prefix + name for name in names if name.lower() in SPELLINGS and not is_spec_file(name)
        ]

    def _read(self, paths: Iterable[str]) -> None:
        for path in sorted(paths):
            data = self._bytes(path)
            if data is None:
                self.folders.add(path)
            else:
                self.files[path] = data

    def _follow(self) -> None:
        """Read what the spec files refer to, as far as it is there; detection judges the rest."""
        waiting = list(self.files)
        for _ in range(len(waiting) + MAX_REFERENCES):
            if not waiting:
                return
            path = waiting.pop()
            for other in references(path, self.files[path]):
                if other not in self.files and self._is_inside(other):
                    data = self._bytes(other)
                    if data is not None:
                        self.files[other] = data
                        waiting.append(other)

    def _is_folder(self, name: str) -> bool:
        path = f"{self.root}/{name}"
        if os.path.islink(path):
            self._resolved(name)
        return os.path.isdir(path)

    def _is_inside(self, path: str) -> bool:
        target = os.path.realpath(f"{self.root}/{path}")
        return os.path.isfile(target) and target.startswith(_slash(os.path.realpath(self.root)))

    def _bytes(self, path: str) -> bytes | None:
        """Return a file's bytes; None for a folder."""
        try:
            descriptor = os.open(f"{self.root}/{path}", _FLAGS)
        except OSError as error:
            if error.errno == errno.ELOOP:
                descriptor = os.open(self._resolved(path), _FLAGS)
            elif error.errno == errno.ENXIO:  # a socket
                raise _special(path) from None
            else:
                raise
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                return None
            if not stat.S_ISREG(status.st_mode):
                raise _special(path)
            limit = MAX_LOCK_FILE if path.endswith("Pipfile.lock") else MAX_FILE
            return _bounded(path, descriptor, status.st_size, limit)
        finally:
            os.close(descriptor)

    def _resolved(self, path: str) -> str:
        target = os.path.realpath(f"{self.root}/{path}")
        if not target.startswith(_slash(os.path.realpath(self.root))):
            raise SpecRefused(
                path,
                "is a symbolic link that leads out of the folder",
                reason="symbolic link",
                advice="Put the file itself there",
            )
        if not os.path.exists(target):
            raise SpecRefused(
                path,
                "is a symbolic link that leads nowhere",
                reason="symbolic link",
                advice="Put the file itself there, or remove the link",
            )
        return target


def _bounded(path: str, descriptor: int, size: int, limit: int) -> bytes:
    if size <= limit:
        # One byte more than the file had: a file that grows meanwhile is refused, too.
        data = os.read(descriptor, size + 1)
        while 0 < len(data) < size and (piece := os.read(descriptor, size + 1 - len(data))):
            data += piece
        if len(data) <= size:
            return data
        size = len(data)
    raise SpecRefused(
        path,
        f"has {size} bytes; at most {limit} are read",
        reason="too large",
        advice="A spec file lists packages; move everything else out of it",
    )


def _special(path: str) -> SpecRefused:
    return SpecRefused(
        path,
        "is not a regular file",
        reason="not a regular file",
        advice="Put a file of text there, or give what it is another name",
    )


def _slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"
