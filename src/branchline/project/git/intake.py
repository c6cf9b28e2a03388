"""Take files into the annex: their content read once, their places written by ourselves.

git-annex starts work anew for every file. Here all files of one save go together: content is
hashed and linked into place, and what git-annex has to know is told in one stream (`telling`).
Afterwards ``git annex fsck`` and ``whereis`` say the same as if git-annex had done it; a test holds
them to that.

Killed at any point: each file is still there, as itself or as a link to its content in the annex.
Content that no commit names yet is found again by the next save, since it asks the links.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from branchline.foundation.digest import digest_from
from branchline.foundation.durable import sync_file
from branchline.project.git.doubling import beside, may_double
from branchline.project.git.keyed import DataKey
from branchline.project.git.keys import key_of, link_of, object_place
from branchline.project.git.reading import LARGE, Read, changed, changing, read_file, read_in_turn

WAITING = ".branchline-link.tmp"
"""A link before it takes a file's place; one that a kill left behind is nothing to keep."""

_MANY = 16
_DIVIDED = 400
_TOLD = 200
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Taken:
    """A file that is in the annex now.

    Args:
        path: Where its link is in the project.
        key: Git-annex's name of its content.
        target: What the link says.
    """

    path: str
    key: str
    target: str


def take_in(
    root: Path, sizes: Mapping[str, int], progress: Progress, secret: DataKey | None = None
) -> list[Taken]:
    """Bring files' content into the annex and put links in their places, durably.

    Args:
        root: The project.
        sizes: The paths of regular files in it, and about how large each is.
        progress: Told what is done, now and then.
        secret: Names the contents, so that nobody can guess them; by default their digest does.

    Raises:
        Conflict: A file changed while it was read; those before it are in, nothing is lost.
        Refused: A path is no regular file.
    """
    if not sizes:
        return []
    alone = len(sizes) < _MANY
    taking = _Taking(root, secret, alone=alone)
    small = [path for path, size in sizes.items() if size < LARGE]
    taken: list[Taken] = []
    if not alone and len(small) >= _DIVIDED and may_double():
        taken = _in_two(taking, small, progress)
    came = {each.path for each in taken}
    rest = {path: size for path, size in sizes.items() if path not in came}
    # One thread: several spend more on taking turns than the system does on folders and links.
    for path, read in read_in_turn(str(root), rest, secret, durable=alone):
        taken.append(taking.one(path, read))
        if len(taken) % _TOLD == 0:
            progress(f"taking data in: {len(taken)} of {len(sizes)}")
    if not alone:
        sync_file_system(root)
    return taken


def _in_two(taking: _Taking, paths: Sequence[str], progress: Progress) -> list[Taken]:
    """Take in what two processes can without regard for each other; return that."""
    middle = len(paths) // 2
    double = replace(taking, mark=".2")

    def other() -> Iterator[bytes]:
        for path in paths[middle:]:
            if new := double.new(path):
                yield from map(os.fsencode, (path, new.key))

    taken: list[Taken] = []
    with beside(other) as done:
        for path in paths[:middle]:
            if new := taking.new(path):
                taken.append(new)
                if len(taken) % _TOLD == 0:
                    progress(f"taking data in: {2 * len(taken)} of {len(paths)}")
    told = [os.fsdecode(each) for each in done]
    for path, key in zip(told[::2], told[1::2], strict=True):
        taken.append(Taken(path, key, link_of(path, key)))
    return taken


@dataclass(frozen=True)
class _Taking:
    """Puts what was read into its place, and a link to it where the file was.

    Args:
        root: The project.
        secret: Names the contents.
        alone: Whether each is made durable by itself.
        mark: Keeps apart what two processes make in one folder.
    """

    root: Path
    secret: DataKey | None
    alone: bool
    mark: str = ""

    @cached_property
    def _objects(self) -> str:
        objects = f"{self.root}/.git/annex/objects"
        os.makedirs(objects, exist_ok=True)
        return objects

    def new(self, path: str) -> Taken | None:
        """Take a file in if its content is new; None, and nothing is done, if there is some already."""
        read = read_file(f"{self.root}/{path}", path, self.secret, durable=False)
        key = self._key(path, read)
        place = object_place(key)
        if not self._hold(place):
            return None
        self._fill(path, place, read)
        return self._lay(path, key, place, read, made=True)

    def one(self, path: str, read: Read) -> Taken:
        """Take a file in that was read."""
        key = self._key(path, read)
        place = object_place(key)
        return self._lay(path, key, place, read, made=self._put(path, place, read))

    def _key(self, path: str, read: Read) -> str:
        size = read.found.st_size
        if self.secret is not None:
            return self.secret.name(read.digest, size)
        return key_of(digest_from(read.digest), size, path.rpartition("/")[2])

    def _lay(self, path: str, key: str, place: str, read: Read, *, made: bool) -> Taken:
        """Lay a link to the content in the file's place."""
        file = f"{self.root}/{path}"
        if changed(read.found, os.lstat(file)):
            # Whoever still writes writes into the file that was read: it goes back to being his.
            if made:
                self._take_back(file, place, read.found)
            raise changing(path)
        target = link_of(path, key)
        waiting = f"{file.rpartition('/')[0]}/{self.mark}{WAITING}"
        try:
            os.symlink(target, waiting)
        except FileExistsError:
            # A killed save left it; whoever holds the lock is the only one who makes any.
            os.unlink(waiting)
            os.symlink(target, waiting)
        os.rename(waiting, file)
        return Taken(path, key, target)

    def _put(self, path: str, place: str, read: Read) -> bool:
        """Put a file's content into its place; return False if it is there already."""
        content = f"{self._objects}/{place}"
        if not self._hold(place):
            if os.path.exists(content):
                there = read_file(content, content, self.secret, durable=False)
                if there.digest == read.digest:
                    return False
            # Damaged content gives way to what has just been read.
            os.chmod(content.rpartition("/")[0], 0o755)
            if os.path.exists(content):
                os.unlink(content)
        self._fill(path, place, read)
        return True

    def _fill(self, path: str, place: str, read: Read) -> None:
        """Give a folder of content its content."""
        file, content = f"{self.root}/{path}", f"{self._objects}/{place}"
        mode = stat.S_IMODE(read.found.st_mode) & 0o555 | 0o444
        if read.found.st_nlink == 1:
            os.chmod(file, mode)
            os.link(file, content, follow_symlinks=False)
        else:
            # Its other names are not ours to change: by none of them it becomes what cannot be written.
            self._copy(file, content, mode)
        os.chmod(content.rpartition("/")[0], 0o555)

    def _copy(self, file: str, content: str, mode: int) -> None:
        waiting = f"{content.rpartition('/')[0]}/{WAITING}"
        shutil.copyfile(file, waiting, follow_symlinks=False)
        os.chmod(waiting, mode)
        if self.alone:
            sync_file(Path(waiting))
        os.rename(waiting, content)

    def _hold(self, place: str) -> bool:
        """Make the folder of a content; return False if there is one."""
        first, second, name, _ = place.split("/")
        above = f"{self._objects}/{first}/{second}"
        try:
            os.mkdir(above)
        except FileExistsError:
            # Another content's.
            pass
        except FileNotFoundError:
            os.makedirs(above, exist_ok=True)
        try:
            os.mkdir(f"{above}/{name}")
        except FileExistsError:
            return False
        return True

    def _take_back(self, file: str, place: str, before: os.stat_result) -> None:
        content = f"{self._objects}/{place}"
        holder = content.rpartition("/")[0]
        os.chmod(holder, 0o755)
        os.unlink(content)
        os.rmdir(holder)
        if os.path.exists(file) and not os.path.islink(file):
            os.chmod(file, stat.S_IMODE(before.st_mode))


def sync_file_system(root: Path) -> None:
    """Flush everything at once: one by one, ten thousand small files take half a minute."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "The data could not be written", str(root))
    finally:
        os.close(descriptor)
