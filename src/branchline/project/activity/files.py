"""Records and blobs in a project's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from branchline.foundation.clock import Clock, SystemClock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.durable import make_folder, sync_folder, write_durably
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.chain import Seen
from branchline.project.activity.record import By, Detail, Kind, Record, Signed, read_record, sign
from branchline.project.git.command import user
from branchline.project.git.objects import read_objects
from branchline.project.place import Project, check_inside

FOLDER = "activity"
BLOBS = f"{FOLDER}/blobs"
RECORD = re.compile(r"^clone-[a-z2-7]{26}/[0-9]{4}-[0-9]{2}/[0-9]{6,}-[0-9a-f]{16}\.json$")
"""A record's file below ``activity``."""

_INLINE = 8 << 10
_SHORTEST = 6


@dataclass
class _Together:
    """What waits for the end of records that are written together."""

    folders: set[Path] | None = None
    last: Seen | None = None


@dataclass(frozen=True)
class Recorder:
    """Writes records into a project, as the next ones of this clone.

    Args:
        project: The project, held by its lock.
        identity: The person's keys.
        clock: Tells the time.
    """

    project: Project
    identity: Identity
    clock: Clock = SystemClock()  # noqa: RUF009
    _held: dict[Digest, bytes] = field(default_factory=dict, init=False)
    _together: _Together = field(default_factory=_Together, init=False)

    @cached_property
    def _clone(self) -> str:
        """This clone's identifier: who holds the lock is not copied as a folder meanwhile."""
        return self.project.clone_id()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write several records at once: they are durable, names and all, when it is left.

        Each file is whole from the moment it has its name, as always; a crash before the end may
        leave fewer records, and none of them torn.
        """
        self._together.folders = set()
        try:
            yield
        finally:
            folders, last = self._together.folders, self._together.last
            self._together.folders = self._together.last = None
            for folder in folders:
                sync_folder(folder)
            if last is not None:
                keep_seen(self.project, {self._clone: last})

    def write(self, record: dict[str, Any], *details: Detail) -> tuple[Signed, list[str]]:
        """Sign a record, write it durably, and return it with the paths that were written.

        Args:
            record: What differs from one record to the next; see `Record`.
            details: Its parts.
        """
        signed, lacking = self._next(record, details)
        project, path = self.project, f"{FOLDER}/{signed.name}"
        for name, text in (*lacking.items(), (path, signed.text)):
            place = check_inside(project.root, name)
            make_folder(place.parent, 0o755)
            write_durably(place, text, folders=self._together.folders)
        self.remember(signed)
        blobs = [f"{BLOBS}/{blob_name(d.digest)}" for d in details if d.digest is not None]
        return signed, [*lacking, path, *blobs]

    def prepare(self, record: dict[str, Any], *details: Detail) -> tuple[Signed, dict[str, bytes]]:
        """Sign a record that a commit will bring; return it, and the files it needs, by path.

        Nothing is written. Once the commit is laid out, `remember` the record.
        """
        signed, files = self._next(record, details)
        files[f"{FOLDER}/{signed.name}"] = signed.text
        for digest, content in self._held.items():
            files[f"{BLOBS}/{blob_name(digest)}"] = content
        return signed, files

    def remember(self, signed: Signed) -> None:
        """Take note of this clone's last record, so that its loss would be noticed."""
        made = signed.record
        seen = Seen(made.seq, signed.digest, made.at)
        if self._together.folders is None:
            keep_seen(self.project, {made.clone: seen})
        else:
            self._together.last = seen

    def _next(
        self, record: dict[str, Any], details: tuple[Detail, ...]
    ) -> tuple[Signed, dict[str, bytes]]:
        """Return this clone's next record, and those before it that are not in the folder."""
        project, clone = self.project, self._clone
        last, lacking = self._together.last, dict[str, bytes]()
        if last is None:
            last, lacking = _own_last(project, clone)
        who = {**user(), **project.git.own}
        at = rfc3339(self.clock.now())
        made = Record(
            project=project.described.id,
            clone=clone,
            seq=0 if last is None else last.seq + 1,
            previous=None if last is None else last.digest,
            # A clock that was set back does not turn the order round.
            at=at if last is None else max(at, last.at),
            by=By(who["user.name"], self.identity.public.sign),
            details=details,
            **record,
        )
        if made.seq == 0 and project.clone_before() is not None:
            made = msgspec.structs.replace(
                made, tags=(*made.tags, f"copy-of:{project.clone_before()}")
            )
        return sign(made, self.identity), lacking

    def whole(self, kind: Kind, value: Any) -> Detail:
        """Return a detail for a record that is prepared: inside it, or a blob that it brings."""
        encoded = msgspec.json.encode(value)
        if len(encoded) <= _INLINE:
            return Detail(kind, value)
        digest = digest_of(encoded)
        self._held[digest] = encoded
        return Detail(kind, digest=digest, size=len(encoded), media="application/json")

    def keep(self, kind: Kind, content: bytes, media: str) -> Detail:
        """Return a detail with content: inside the record if small text, or else as a blob."""
        text = _as_text(content) if len(content) <= _INLINE else None
        if text is not None and media.startswith("text/"):
            return Detail(kind, text, media=media)
        digest = digest_of(content)
        folder, _, name = f"{BLOBS}/{blob_name(digest)}".rpartition("/")
        place = check_inside(self.project.root, folder) / name
        # One that was saved before is a link into the annex.
        if not os.path.lexists(place):
            make_folder(place.parent, 0o755)
            write_durably(place, content, folders=self._together.folders)
        return Detail(kind, digest=digest, size=len(content), media=media)

    def keep_json(self, kind: Kind, value: Any) -> Detail:
        """Return a detail with plain JSON values: inside the record, or as a blob if large."""
        encoded = msgspec.json.encode(value)
        if len(encoded) <= _INLINE:
            return Detail(kind, value)
        return self.keep(kind, encoded, "application/json")


def blob_name(digest: Digest) -> str:
    """Return where a blob is below ``activity/blobs``."""
    name = digest.removeprefix("sha256:")
    return f"{name[:2]}/{name}"


def read_blob(project: Project, digest: Digest) -> bytes:
    """Return a blob's bytes, checked.

    Raises:
        NotFound: Its content is not in this clone.
        Corrupt: It has changed.
    """
    path = f"{BLOBS}/{blob_name(digest)}"
    try:
        file = project.root / path
        # What a project from elsewhere holds in its place may have no end.
        if file.exists() and not file.is_file():
            raise Corrupt(f"The content {path} is no file")
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"The content {path} is not in this clone",
            advice=f"Get it with 'branchline get {path}'",
        ) from None
    if digest_of(data) != digest:
        raise Corrupt(f"The content {path} has changed")
    return data


def value_of(project: Project, record: Record, kind: Kind) -> Any:
    """Return the JSON value of a record's detail, wherever it is kept; None if it has none."""
    for detail in record.details:
        if detail.kind == kind:
            if detail.digest is None:
                return detail.value
            return decode_json(read_blob(project, detail.digest), Any)
    return None


def record_files(project: Project) -> Iterator[tuple[str, bytes]]:
    """Yield every record's name below ``activity`` and its content, oldest month first."""
    for name in record_names(project.root):
        yield name, (project.root / FOLDER / name).read_bytes()


def record_names(root: Path) -> list[str]:
    """Return the names of all records, by month, clone and number."""
    found = []
    for clone in _entries(root / FOLDER):
        for month in _entries(root / FOLDER / clone):
            for name in _entries(root / FOLDER / clone / month):
                if RECORD.match(path := f"{clone}/{month}/{name}"):
                    found.append(path)
    return sorted(found, key=lambda path: (path.split("/")[1], path.split("/")[0], number_of(path)))


def chains_back(root: Path) -> list[Iterator[str]]:
    """Return for each clone its records' names, newest first; months are listed as they are reached."""
    return [_chain_back(root, clone) for clone in sorted(_entries(root / FOLDER))]


def _chain_back(root: Path, clone: str) -> Iterator[str]:
    for month in sorted(_entries(root / FOLDER / clone), reverse=True):
        paths = [f"{clone}/{month}/{name}" for name in _entries(root / FOLDER / clone / month)]
        yield from sorted(filter(RECORD.match, paths), key=number_of, reverse=True)


def strangers(root: Path) -> list[str]:
    """Return what lies among the records and is none."""
    found = []
    for clone in _entries(root / FOLDER):
        if clone == "blobs":
            continue
        for folder, _, names in os.walk(root / FOLDER / clone):
            below = Path(folder).relative_to(root / FOLDER).as_posix()
            found += [f"{below}/{n}" for n in names if not RECORD.match(f"{below}/{n}")]
    return [name for name in sorted(found) if not name.endswith(".tmp")]


def last_record(project: Project, clone: str) -> Signed | None:
    """Return the last record of a clone; None before the first.

    Raises:
        Corrupt: It cannot be read: nothing can continue it.
    """
    base = project.root / FOLDER / clone
    for month in sorted(_entries(base), reverse=True):
        names = [n for n in _entries(base / month) if RECORD.match(f"{clone}/{month}/{n}")]
        if names:
            name = f"{clone}/{month}/{max(names, key=number_of)}"
            try:
                return read_record((project.root / FOLDER / name).read_bytes(), f"record {name}")
            except Refused as error:
                raise Corrupt(error.refused, advice="See 'branchline log --verify'") from error
    return None


def _own_last(project: Project, clone: str) -> tuple[Seen | None, dict[str, bytes]]:
    """Return the last record of this clone, and the files that are missing for its chain to be whole.

    Where an older commit or another branch is checked out, later records of this clone are not in
    the folder. They come back from where they were committed: the chain goes on, on any branch.
    """
    last = last_record(project, clone)
    here = None if last is None else Seen(last.record.seq, last.digest, last.record.at)
    known = read_seen(project).get(clone)
    if known is None or (here is not None and here.seq >= known.seq):
        return here, {}
    present = set(record_names(project.root))
    lacking = {
        f"{FOLDER}/{name}": text
        for name, text in committed_records(project, clone)
        if name not in present
    }
    return known, lacking


def committed_records(project: Project, clone: str) -> list[tuple[str, bytes]]:
    """Return the records of a clone that any branch here has, by name."""
    at = f"{FOLDER}/{clone}"
    names = {}
    for ref in project.git.word("for-each-ref", "--format=%(refname)", "refs/heads").split():
        for line in project.git.lines("ls-tree", "-r", "-z", ref, "--", at):
            head, _, path = line.partition("\t")
            name = path.removeprefix(f"{FOLDER}/")
            if RECORD.match(name):
                names[name] = head.split()[2]
    asked = "".join(f"{each}\n" for each in names.values()).encode()
    return list(zip(names, read_objects(project.git, asked, len(names)), strict=True))


def find_record(project: Project, text: str) -> tuple[str, Signed]:
    """Return the record that a person means: by its digest's first digits, or its file.

    Raises:
        NotFound: None is meant.
        Refused: Several are.
    """
    wanted = Path(text).stem.rpartition("-")[2].removeprefix("sha256:").lower()
    if len(wanted) < _SHORTEST:
        raise Refused(f"{text[:80]!r} is too short", advice="Give six or more digits of its name")
    found = []
    for name in record_names(project.root):
        short = name.rpartition("-")[2].removesuffix(".json")
        if short.startswith(wanted[:16]):
            signed = read_record((project.root / FOLDER / name).read_bytes(), f"record {name}")
            if signed.digest.removeprefix("sha256:").startswith(wanted):
                found.append((name, signed))
    if not found:
        raise NotFound(f"There is no record {text[:80]!r}", advice="See 'branchline log'")
    if len(found) > 1:
        raise Refused(f"{text[:80]!r} means {len(found)} records", advice="Give more digits")
    return found[0]


def read_seen(project: Project) -> dict[str, Seen]:
    """Return the last record of each clone that was seen here before."""
    file = project.state / "seen.json"
    return decode_json(file.read_bytes(), dict[str, Seen]) if file.exists() else {}


def keep_seen(project: Project, heads: dict[str, Seen]) -> None:
    """Keep the last record of each clone, for the next time; none goes back."""
    known = read_seen(project)
    for clone, head in heads.items():
        if clone not in known or known[clone].seq < head.seq:
            known[clone] = head
    write_durably(make_folder(project.state) / "seen.json", msgspec.json.encode(known))


def number_of(name: str) -> int:
    """Return a record's number in its clone, by its file's name."""
    return int(name.rpartition("/")[2].partition("-")[0])


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _as_text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
