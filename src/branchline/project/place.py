"""A project on disk: found, opened without running anything of it, and changed by one at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import NotFound, Refused, Unavailable
from branchline.foundation.ids import Id, new_id
from branchline.project.description import Described, read_description
from branchline.project.finding import FILE, LOCK, repository_of
from branchline.project.git.annex import Annex
from branchline.project.git.command import Git

if TYPE_CHECKING:
    from branchline.project.data.rules import Rules

_STATE = "branchline"
_LEFT_BEHIND = ("index.lock", "HEAD.lock", "packed-refs.lock", "config.lock")


class _Clone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    device: int
    inode: int
    before: str | None = None


class Project:
    """One project.

    Args:
        root: The folder with ``.git`` and ``branchline.toml``.
    """

    def __init__(self, root: Path, held: tuple[int, ...] = ()) -> None:
        self.root = root
        self.git = Git(root, held)
        self.annex = Annex(self.git)

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open the project that a folder is in.

        Raises:
            NotFound: It is in none.
            Refused: Its repository's configuration would run programs, or look elsewhere.
        """
        root = find_repository(folder)
        if root is None or not (root / FILE).is_file():
            raise NotFound(
                f"{folder} is not in a project",
                advice="Begin one, or adopt the repository that is there, with 'branchline init'",
            )
        project = cls(root)
        _ = project.git.own, project.described
        return project

    @cached_property
    def described(self) -> Described:
        """What the project says of itself.

        Raises:
            Refused: ``branchline.toml`` is not acceptable, or of a later layout.
        """
        return read_description((self.root / FILE).read_bytes())

    @cached_property
    def rules(self) -> Rules:
        """What ``branchline.toml`` says of data: who may have which, and how long.

        Raises:
            Refused: It is not acceptable.
        """
        from branchline.project.data.rules import read_rules

        file = self.root / FILE
        return read_rules(file.read_bytes() if file.is_file() else b"")

    @property
    def state(self) -> Path:
        """Where this clone keeps what is its own and never committed."""
        return self.root / ".git" / _STATE

    @contextmanager
    def working(self) -> Iterator[Project]:
        """Give the project to change, to one process at a time.

        The programs it calls inherit the lock: where they outlive their killed caller, the next
        one waits for them. What a killed git left behind is cleared away then, and what was about
        to be laid out is finished.

        Raises:
            Unavailable: Somebody else is at work here.
        """
        # Status never comes here, and people ask it often.
        from branchline.project.git.landing import finish

        make_folder(self.state)
        descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(descriptor, self.root)
            marker = self.state / "working"
            if marker.exists():
                self._clear_away()
            marker.touch()
            held = Project(self.root, (descriptor,))
            held.git.take_over(self.git)
            finish(held.git)
            yield held
            marker.unlink()
        finally:
            os.close(descriptor)

    def _clear_away(self) -> None:
        git = self.root / ".git"
        for file in (*(git / name for name in _LEFT_BEHIND), *(git / "refs").rglob("*.lock")):
            file.unlink(missing_ok=True)

    def clone_id(self) -> str:
        """Return this clone's own identifier, made the first time.

        A folder that was copied with all that is in it is a clone of its own: were both to go on
        under one name, their histories would contradict each other.
        """
        return self._clone().id

    def clone_before(self) -> str | None:
        """Return the clone that this one was copied from as a folder, if it was."""
        return self._clone().before

    def _clone(self) -> _Clone:
        file = make_folder(self.state) / "clone.json"
        here = os.stat(self.state)
        known = decode_json(file.read_bytes(), _Clone) if file.exists() else None
        if known is not None and (known.device, known.inode) == (here.st_dev, here.st_ino):
            return known
        made = _Clone(new_id("clone"), here.st_dev, here.st_ino, known.id if known else None)
        write_durably(file, msgspec.json.encode(made))
        return made


def find_repository(folder: Path) -> Path | None:
    """Return the innermost folder with ``.git`` that holds a folder; None if there is none.

    Raises:
        Refused: Its ``.git`` is a link or a file that leads elsewhere.
    """
    found = repository_of(str(folder))
    return None if found is None else Path(found)


def check_inside(root: Path, path: str) -> Path:
    """Return a place in a project to write to, once no link leads out of it on the way.

    Raises:
        Refused: A folder on the way is a link.
    """
    here = str(root)
    for part in path.split("/"):
        here = os.path.join(here, part)
        if os.path.islink(here):
            shown = os.path.relpath(here, root)
            raise Refused(f"{shown!r} is a link; nothing is written through it")
    return Path(here)


def _take(descriptor: int, root: Path) -> None:
    import time

    # An orphan of a killed command ends within seconds.
    deadline = time.monotonic() + 10
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"Another command is at work in {root}", advice="Wait for it to end"
                ) from None
            time.sleep(0.02)
