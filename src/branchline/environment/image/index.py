"""Know that a tree is what it was: its index, and the check of a tree against it.

A look of find's that is as it was (`glance`) is enough. Else the index is asked. It keeps, for each folder and file, what lstat(2) says: inode number, and the times of the
last change of content and of anything, to the nanosecond. Nobody can change a file's content, name
or folder without changing one of them, short of writing to the disk below the file system. What
differs is read and hashed; if it is the right content all the same, as after another tree was
linked to it, the index is renewed.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec

from branchline.environment.image.entries import Entry, digest_of_entries
from branchline.environment.image.glance import Glance
from branchline.environment.image.normal import hashed
from branchline.environment.image.objects import REPAIR, mode_of_object
from branchline.foundation.canonical import parse_json
from branchline.foundation.decoding import decode_json
from branchline.foundation.disk import is_full
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Corrupt

_ENTRIES, _PLAN, _STATS = "entries.json", "plan.json", "stats"
_LIMIT = 1 << 28
_WIDTH = 3
_NOTHING = (0,) * _WIDTH
_JOBS = 2
_LARGE = 1 << 18
_MOST_NAMED = 20

Hashes = dict[tuple[int, ...], str]
"""SHA-256 by what lstat says of a file: contents read once need not be read again."""


class Plan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One folder of a tree and the regular files in it, in the order they are looked at."""

    path: str
    files: tuple[str, ...]


def write_index(tree: Path, entries: Sequence[Entry], hashes: Hashes) -> None:
    """Read a whole tree, hold it against its entries, and write its index.

    Args:
        tree: The tree's folder, whose `root` holds the files.
        entries: What must stand there.
        hashes: Contents already known; what is read is added.

    Raises:
        Corrupt: Something else stands there; the sentence names it.
    """
    plan = _plan(entries)
    encoded = msgspec.json.encode(plan)
    stats = array("q")
    with Glance(tree, _paths(plan)) as glance:
        glance.seen()  # before anything is looked at by itself
        _look(tree / "root", plan, stats)
        _compare(tree, entries, plan, stats, range(len(stats) // _WIDTH), hashes)
        write_durably(tree / _ENTRIES, msgspec.json.encode(entries))
        write_durably(tree / _PLAN, encoded)
        _write_stats(tree, encoded, stats)
        glance.keep()


def check_index(tree: Path, hashes: Hashes | None = None, glance: Glance | None = None) -> int:
    """Hold a tree against its index; return how many files had to be read.

    Args:
        tree: The tree's folder.
        hashes: Contents already known; what is read is added.
        glance: A look at the tree that was begun for this check; one is begun if there is none.

    Raises:
        Corrupt: A file or folder is not what it was, or the index is gone; the sentence names it.
    """
    with ExitStack() as looking:
        glance = glance or looking.enter_context(Glance(tree))
        if glance.is_as_kept() and (tree / _STATS).exists():
            return 0
        encoded, known = _index(tree)
        plan = decode_json(encoded, tuple[Plan, ...])
        if not glance.is_one:
            glance = looking.enter_context(Glance(tree, _paths(plan)))
            glance.seen()
        read = _check_each(tree, encoded, plan, known, {} if hashes is None else hashes)
        with _unless_full():
            glance.keep()
        return read


@contextmanager
def _unless_full() -> Iterator[None]:
    """Let what was found right be used, though there is no room to remember that it was."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise


def _index(tree: Path) -> tuple[bytes, bytes]:
    """Return the plan, made anew if need be, and what lstat said of everything in its order."""
    try:
        encoded = (tree / _PLAN).read_bytes()
        known = (tree / _STATS).read_bytes()
    except FileNotFoundError as error:
        raise Corrupt(f"The index of the tree {tree.name} is gone", advice=REPAIR) from error
    if known[:32] != sha256(encoded).digest():
        encoded = _plan_anew(tree)
    return encoded, known[32:]


def _check_each(
    tree: Path, encoded: bytes, plan: Sequence[Plan], known: bytes, hashes: Hashes
) -> int:
    """Look at every file and folder by itself."""
    stats = array("q")
    _look(tree / "root", plan, stats)
    if stats.tobytes() == known:
        return 0
    entries = _entries(tree)
    before = array("q", known) if len(known) == 8 * len(stats) else array("q")
    differing = [
        at
        for at in range(len(stats) // _WIDTH)
        if stats[_WIDTH * at : _WIDTH * (at + 1)] != before[_WIDTH * at : _WIDTH * (at + 1)]
    ]
    read = _compare(tree, entries, plan, stats, differing, hashes)
    with _unless_full():
        _write_stats(tree, encoded, stats)
    return read


def _paths(plan: Sequence[Plan]) -> list[str]:
    return [path for path, _ in _places(plan)]


def _plan(entries: Sequence[Entry]) -> tuple[Plan, ...]:
    files: dict[str, list[str]] = {"": []}
    for entry in entries:
        if entry.kind == "folder":
            files.setdefault(entry.path, [])
    for entry in entries:
        if entry.kind == "file":
            folder, _, name = entry.path.rpartition("/")
            files[folder].append(name)
    return tuple(Plan(folder, tuple(names)) for folder, names in files.items())


def _plan_anew(tree: Path) -> bytes:
    """Make the plan again from the entries, which the tree's own name vouches for."""
    encoded = msgspec.json.encode(_plan(_entries(tree)))
    write_durably(tree / _PLAN, encoded)
    return encoded


def _entries(tree: Path) -> tuple[Entry, ...]:
    try:
        data = (tree / _ENTRIES).read_bytes()
    except FileNotFoundError:
        data = b""
    entries = (
        parse_json(data, tuple[Entry, ...], what="list of a tree", limit=_LIMIT) if data else ()
    )
    if digest_of_entries(entries).removeprefix("sha256:") != tree.name:
        raise Corrupt(f"The list of files of the tree {tree.name} has changed", advice=REPAIR)
    return entries


def _look(root: Path, plan: Sequence[Plan], stats: array[int]) -> None:
    """Append (inode, mtime, ctime) of each folder and file; zeros where there is none.

    Whoever starts something waits for it: no objects, no paths, one system call for each file.
    """
    lstat, top = os.stat, os.open(root, os.O_PATH | os.O_DIRECTORY)
    extend = stats.extend
    try:
        for part in plan:
            try:
                folder = os.open(
                    part.path or ".", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top
                )
            except OSError:
                extend(_NOTHING * (1 + len(part.files)))
                continue
            try:
                found = lstat(folder)
                extend((found.st_ino, found.st_mtime_ns, found.st_ctime_ns))
                for name in part.files:
                    try:
                        found = lstat(name, dir_fd=folder, follow_symlinks=False)
                    except OSError:
                        extend(_NOTHING)
                        continue
                    extend((found.st_ino, found.st_mtime_ns, found.st_ctime_ns))
            finally:
                os.close(folder)
    finally:
        os.close(top)


def _compare(
    tree: Path,
    entries: Sequence[Entry],
    plan: Sequence[Plan],
    stats: array[int],
    positions: Sequence[int],
    hashes: Hashes,
) -> int:
    """Read what differs and hold it against the entries; return how many files were read."""
    expected = {entry.path: entry for entry in entries}
    names = _names(entries)
    places = list(_places(plan))
    wrong: list[str] = []
    files = []
    for at in positions:
        path, is_folder = places[at]
        if is_folder:
            wrong += _wrong_in_folder(tree / "root", path, expected, names)
        else:
            files.append((expected[path], tuple(stats[_WIDTH * at : _WIDTH * (at + 1)])))
    unread = {info: entry for entry, info in files if info not in hashes and info[0]}

    def read(item: tuple[tuple[int, ...], Entry]) -> None:
        info, entry = item
        hashes[info] = _hash(f"{tree}/root/{entry.path}")

    # Threads that read small files only wait for each other's turn at Python.
    large = [item for item in unread.items() if item[1].size >= _LARGE]
    with ThreadPoolExecutor(_JOBS) as pool:
        reading = pool.map(read, large)
        for item in unread.items():
            if item[1].size < _LARGE:
                read(item)
        list(reading)
    wrong += [
        entry.path
        for entry, info in files
        if hashes.get(info) != entry.sha256 or not _has_mode(tree / "root", entry)
    ]
    if wrong:
        named = ", ".join(repr("/" + path) for path in sorted(set(wrong))[:_MOST_NAMED])
        raise Corrupt(
            f"The environment is not what was built: {named} has changed",
            advice=REPAIR,
            detail={"tree": tree.name, "paths": sorted(set(wrong))},
        )
    return len(unread)


def _has_mode(root: Path, entry: Entry) -> bool:
    found = stat.S_IMODE(os.lstat(f"{root}/{entry.path}").st_mode)
    return found == (mode_of_object(entry.mode) if entry.kind == "file" else entry.mode | 0o500)


def _hash(file: str) -> str:
    try:
        if not stat.S_ISREG(os.lstat(file).st_mode):
            return ""
        return hashed(file)[1]
    except OSError:
        return ""


def _places(plan: Sequence[Plan]) -> Iterator[tuple[str, bool]]:
    for part in plan:
        yield part.path, True
        for name in part.files:
            yield (f"{part.path}/{name}" if part.path else name), False


def _names(entries: Sequence[Entry]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        found.setdefault(folder, set()).add(name)
    return found


def _wrong_in_folder(
    root: Path, path: str, expected: dict[str, Entry], names: dict[str, set[str]]
) -> list[str]:
    """Return what is missing, too much or another kind in a folder; contents are not read."""
    here = root / path
    try:
        found = set(os.listdir(here)) if not here.is_symlink() else set()
    except OSError:
        return [path]
    wrong = [f"{path}/{name}".lstrip("/") for name in found ^ names.get(path, set())]
    for name in found & names.get(path, set()):
        below = f"{path}/{name}".lstrip("/")
        entry, mode = expected[below], os.lstat(root / below).st_mode
        right = {
            "file": stat.S_ISREG(mode),
            "folder": stat.S_ISDIR(mode),
            "link": stat.S_ISLNK(mode) and os.readlink(root / below) == entry.target,
        }
        if not right[entry.kind]:
            wrong.append(below)
    if path and not _has_mode(root, expected[path]):
        wrong.append(path)
    return wrong


def _write_stats(tree: Path, plan: bytes, stats: array[int]) -> None:
    write_durably(tree / _STATS, sha256(plan).digest() + stats.tobytes())
