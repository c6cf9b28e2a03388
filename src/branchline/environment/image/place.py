"""Place what packages bring into a root folder, as dpkg would, from many threads at once.

A root is a folder that nothing may lead out of: names are taken apart and followed component by
component inside it, symbolic links included, whatever a package's names say.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from branchline.environment.image.objects import DATE_NS
from branchline.environment.image.tarball import FILE, FOLDER, HARD_LINK, SYMLINK, Member
from branchline.foundation.errors import Refused

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders of / that are links into /usr (Debian's merged /usr, since bookworm everywhere)."""

Wanted = Callable[[str, bool], bool]
"""Tells of a path, and of whether it is a folder, whether it is placed."""

_MOST_LINKS = 40
_REPLACED = (FileExistsError, IsADirectoryError)


def parts_of(name: str, what: str) -> tuple[str, ...]:
    """Take a member's name apart, as it is written; () is the root itself.

    Raises:
        Refused: The name is absolute, or leads up or out.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Refused(f"{what} names the path {name[:120]!r}, which would lead out of the image")
    return parts


def merged(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a path really is, where folders of / are links into /usr."""
    return ("usr", *parts) if parts and parts[0] in MERGED else parts


@dataclass
class Placed:
    """What one package brought: every path it names, and the folders with their modes."""

    paths: list[str] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)


class Root:
    """A folder that becomes a root filesystem.

    Args:
        folder: Where it is.
        owners: The package each file belongs to, by path; grows as packages are placed.
        replaces: Tells whether the first package may replace the second one's files.
    """

    def __init__(
        self, folder: Path, owners: dict[str, str], replaces: Callable[[str, str], bool]
    ) -> None:
        self._folder = folder
        self._owners = owners
        self._replaces = replaces
        self._diverted: Mapping[str, tuple[str, str]] = {}
        # A folder stays one: nothing here replaces a folder by anything else.
        self._known: dict[tuple[str, ...], str] = {(): str(folder)}

    def divert(self, diverted: Mapping[str, tuple[str, str]]) -> None:
        """Place what is named by a diversion elsewhere from now on.

        Args:
            diverted: By path: where it goes instead, and the one package it does not go for.
        """
        self._diverted = diverted
        for path, (instead, but_for) in diverted.items():
            real = _joined(merged(tuple(path.split("/"))))
            if self._owners.get(real, but_for) != but_for:
                self._owners[_joined(merged(tuple(instead.split("/"))))] = self._owners.pop(real)

    def place(self, package: str, member: Member, placed: Placed, wanted: Wanted) -> None:
        """Make one member's file, link or folder.

        Raises:
            Refused: The name leads out, another package has the file, or it is a device.
        """
        named = parts_of(member.name, package)
        placed.paths.append("/" + (_joined(named) or "."))
        if len(named) == 1 and named[0] in MERGED and member.kind in (SYMLINK, FOLDER):
            return
        # dpkg compares names as they are written, and so do diversions.
        instead, but_for = self._diverted.get(_joined(named), ("", package))
        parts = merged(named if but_for == package else tuple(instead.split("/")))
        path = _joined(parts)
        if not wanted(path, member.kind == FOLDER):
            return
        if member.kind == FOLDER:
            placed.folders[path] = member.mode
            self.folder(parts, package)
        elif member.kind not in (FILE, HARD_LINK, SYMLINK):
            raise Refused(f"{package} brings the device or pipe {path!r}, which no image may hold")
        elif self._owns(package, path):
            self._make(package, member, parts)

    def folder(self, parts: tuple[str, ...], package: str) -> str:
        """Return the real path of a folder of the root, made if it is missing."""
        known = self._known.get(parts)
        if known is None:
            known = self._walk(parts, package)
            self._known[parts] = known
        return known

    def _walk(self, parts: tuple[str, ...], package: str) -> str:
        """Follow a path inside the root, as chroot(2) would."""
        done: tuple[str, ...] = ()
        left, links = list(parts), 0
        while left:
            name = left.pop(0)
            if name == "..":
                done = done[:-1]
                continue
            here = os.path.join(self._real(done), name)
            try:
                os.mkdir(here)
                os.chmod(here, 0o755)  # whatever the umask is
                mode = stat.S_IFDIR
            except FileExistsError:
                mode = os.lstat(here).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                target = os.readlink(here)
                if links > _MOST_LINKS:
                    raise Refused(f"{package} has files below a loop of links, {'/'.join(parts)!r}")
                done = () if target.startswith("/") else done
                left[:0] = [part for part in target.split("/") if part not in ("", ".")]
            elif stat.S_ISDIR(mode):
                done = (*done, name)
            else:
                raise Refused(f"{package} needs {'/'.join(parts)!r} to be a folder; it is a file")
        return self._real(done)

    def _real(self, parts: tuple[str, ...]) -> str:
        return os.path.join(self._folder, *parts)

    def _owns(self, package: str, path: str) -> bool:
        """Settle whose file a path is; the same whichever package comes first."""
        owner = self._owners.setdefault(path, package)
        if owner == package:
            return True
        if self._replaces(package, owner):
            self._owners[path] = package
            return True
        if self._replaces(owner, package):
            return False
        raise Refused(
            f"{package} and {owner} both bring {path!r}, and neither replaces the other",
            advice="Leave one of the two out",
        )

    def _make(self, package: str, member: Member, parts: tuple[str, ...]) -> None:
        target = os.path.join(self.folder(parts[:-1], package), parts[-1])
        for _ in range(3):
            try:
                self._create(package, member, target)
                return
            except _REPLACED:
                if stat.S_ISDIR(os.lstat(target).st_mode):
                    # dpkg, too, keeps a folder where a package has a link.
                    if member.kind == SYMLINK:
                        return
                    raise Refused(
                        f"{package} has a file where there is a folder, {parts}"
                    ) from None
                if self._owners["/".join(parts)] != package:
                    return
                os.unlink(target)
        raise Refused(f"{package} cannot place {'/'.join(parts)!r}")

    def _create(self, package: str, member: Member, target: str) -> None:
        if member.kind == SYMLINK:
            os.symlink(member.target, target)
        elif member.kind == HARD_LINK:
            first = merged(parts_of(member.target, package))
            os.link(
                os.path.join(self.folder(first[:-1], package), first[-1]),
                target,
                follow_symlinks=False,
            )
        else:
            _write(member, target)


def replaces(fields: Mapping[str, Mapping[str, str]]) -> Callable[[str, str], bool]:
    """Return a test of whether one package may replace another's files, by their control fields."""
    said = {
        package: {_bare(name) for name in said.get("Replaces", "").split(",")}
        for package, said in fields.items()
    }
    return lambda package, other: other in said.get(package, ())


def _joined(parts: tuple[str, ...]) -> str:
    return "/".join(parts)


def _bare(relation: str) -> str:
    return relation.partition("(")[0].partition(":")[0].strip()


def _write(member: Member, target: str) -> None:
    # Closed to others' links from the first moment: O_EXCL never follows one.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        for piece in member.pieces():
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, member.mode & 0o777)
        os.utime(descriptor, ns=(DATE_NS, DATE_NS))
    finally:
        os.close(descriptor)
