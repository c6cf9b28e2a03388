"""Put changes of files on record while somebody works, whatever program writes them.

Now and then git is asked what differs from the last save. A file that changed and has come to rest is
on record then: its digest and size, and of a program's text what changed in it; of what is confidential, that it changed. Nothing is committed;
the records go with the next save. How often git is asked follows from how long it takes.

One process watches a project at a time. One that was killed leaves its mark, and the next one puts on
record from when to when nobody watched, and what is different since.
"""

from __future__ import annotations

import difflib
import fcntl
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import digest_of
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.files import FOLDER, Recorder
from branchline.project.activity.marks import Mark
from branchline.project.changes import Change
from branchline.project.choosing import is_closed
from branchline.project.differing import changes_of
from branchline.project.git.objects import read_objects
from branchline.project.manifest import kind_of, printable_path
from branchline.project.place import Project

log = logging.getLogger("branchline.project")

TAG = "save-point"
"""Tells these records from those of a save."""

_MARK, _LOCK, _KNOWN = "watching.json", "watching.lock", "watched.json"
_HASHED_AT_MOST = 64 << 20
_TEXT_AT_MOST = 64 << 10
_DIFF_LINES = 400
_LISTED = 200
_OUTPUTS = (".ipynb", ".json", ".csv", ".svg", ".html")
"""What changes in these is not told line by line: they hold outputs, and data."""


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as it was when it was looked at last.

    Args:
        stamp: Its time, size and number, by which a change is noticed.
        content: Its digest; empty for one that is gone, or too large to be read each time.
        size: Its bytes.
    """

    stamp: str
    content: str = ""
    size: int = 0


class SavePoints:
    """Watches one project's files from entering to leaving, in a thread of its own.

    Args:
        root: The project's folder.
        identity: Whose keys sign.
        rest: Seconds for which a file must not have changed.
        apart: Seconds between two records at least.
        share: Git works at most one part in so many of the time.
        clock: The time.
    """

    def __init__(
        self,
        root: Path,
        identity: Identity,
        *,
        rest: float = 2.0,
        apart: float = 10.0,
        share: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._project, self._identity = Project.open(root), identity
        self._rest, self._apart, self._share = rest, apart, share
        self._clock = clock or SystemClock()
        self._mark = Mark(self._project.state / _MARK, self._clock)
        self._known: dict[str, Known] = {}
        self._texts: dict[str, str] = {}
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="save points", daemon=True)

    def __enter__(self) -> SavePoints:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time, and leave."""
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._alone() as alone:
                if alone:
                    self._watch()
        except Exception:
            # Outermost loop of the thread: the mark stays, and tells since when nobody watched.
            log.exception("changes of files are not recorded any more")

    def _watch(self) -> None:
        self._begin()
        while True:
            ended = self._left.wait(self._rest)
            began = time.monotonic()
            try:
                self._look(last=ended)
                self._mark.alive()
            except (Unavailable, OSError) as error:
                log.warning("changes of files wait: %s", error)
            except BranchlineError as error:
                log.warning("changes of files are not on record: %s", error)
            if ended:
                break
            self._left.wait(min(60.0, self._share * (time.monotonic() - began) - self._rest))
        self._mark.take_away()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Wait until nobody else watches; tell whether that was before it was time to leave."""
        file = make_folder(self._project.state) / _LOCK
        with file.open("a") as lock:
            while not self._left.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._left.wait(self._rest)
                    continue
                yield True
                return
        yield False

    def _begin(self) -> None:
        """Take up where the last one left off; what was missed since is on record."""
        file = self._project.state / _KNOWN
        missed = self._mark.missed()
        if missed is not None:
            said = missed.as_json()
            message = f"Changes of files were not recorded from {missed.start} to {missed.end}"
            record = {"type": "gap", "action": "record", "message": message, "tags": (TAG,)}
            with self._project.working() as held:
                recorder = Recorder(held, self._identity, self._clock)
                recorder.write(record, recorder.keep_json("metadata", said))
        self._mark.leave()
        try:
            self._known = decode_json(file.read_bytes(), dict[str, Known])
        except (FileNotFoundError, msgspec.DecodeError):
            # The first time: what is there by now is for the next save to tell.
            self._known = {path: known for path, known, _ in self._now({})}
            self._keep()
        self._last = time.monotonic() - self._apart

    def _look(self, *, last: bool) -> None:
        """Put on record what changed and is at rest; as the workbench ends, whatever changed."""
        if self._command_runs():
            return  # its record tells what it writes
        if not last and time.monotonic() - self._last < self._apart:
            return
        now = {path: (known, change) for path, known, change in self._now(self._known)}
        resting = {
            path: found
            for path, found in now.items()
            if self._known.get(path, Known("")).content != found[0].content
            and (last or self._rests(path, found[0]))
        }
        # What is saved by now need not be known any more.
        gone = [path for path in self._known if path not in now]
        if resting and not self._record(resting):
            return
        if resting:
            self._last = time.monotonic()
        for path in gone:
            del self._known[path]
            self._texts.pop(path, None)
        self._known |= {path: known for path, (known, _) in resting.items()}
        if resting or gone:
            self._keep()

    def _command_runs(self) -> bool:
        return any((self._project.state / "runs").glob("*.json"))

    def _rests(self, path: str, known: Known) -> bool:
        return known.stamp == "" or _age(known.stamp) >= self._rest

    def _now(self, before: dict[str, Known]) -> Iterator[tuple[str, Known, Change]]:
        """Yield every file that differs from the last save, as it is now."""
        for change in changes_of(self._project, aside=True):
            if change.path.startswith(f"{FOLDER}/") or change.path.endswith("/"):
                continue
            yield change.path, self._looked_at(change.path, before.get(change.path)), change

    def _looked_at(self, path: str, before: Known | None) -> Known:
        file = self._project.root / path
        try:
            found = os.lstat(file)
        except OSError:
            return Known("", "gone")
        if not stat.S_ISREG(found.st_mode):
            return Known("", "gone") if stat.S_ISDIR(found.st_mode) else Known("", "link")
        stamp = f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"
        if before is not None and before.stamp == stamp:
            return before
        if found.st_size > _HASHED_AT_MOST:
            return Known(stamp, f"{found.st_size} bytes, not read", found.st_size)
        try:
            return Known(stamp, digest_of(_bytes(file)), found.st_size)
        except OSError:
            return Known("", "gone")

    def _record(self, changed: dict[str, tuple[Known, Change]]) -> bool:
        """Put changes on record, unless a command began meanwhile."""
        with self._project.working() as held:
            if self._command_runs():
                return False
            # What was saved while it was looked at has a record that tells of it.
            asked = list(changed) if len(changed) <= _LISTED else []
            still = {change.path for change in changes_of(held, asked, aside=True)}
            kinds: dict[str, list[str]] = {}
            for path in sorted(still & changed.keys()):
                kinds.setdefault(kind_of(path), []).append(path)
            closed = {path for path in changed if is_closed(held.rules, path)}
            recorder = Recorder(held, self._identity, self._clock)
            commit, branch = held.git.where()
            where = {"commit": commit, "branch": branch, "tags": (TAG,)}
            for kind, paths in kinds.items():
                words = {_word(changed[path]) for path in paths}
                details = [recorder.keep_json("manifest", _listed(paths, changed, closed))]
                if kind == "code" and (
                    told := self._told(held, [p for p in paths if p not in closed], changed)
                ):
                    details.append(recorder.keep("diff", told.encode(), "text/x-diff"))
                recorder.write(
                    {
                        "type": kind,
                        "action": _action(kind, words),
                        "message": _said(paths),
                        **where,
                    },
                    *details,
                )
        return True

    def _told(
        self, project: Project, paths: list[str], changed: dict[str, tuple[Known, Change]]
    ) -> str:
        """Return what changed in programs, as lines; nothing of data, nor of what is large."""
        lines: list[str] = []
        for path in paths[:_LISTED]:
            known, change = changed[path]
            if path.endswith(_OUTPUTS) or known.size > _TEXT_AT_MOST or len(lines) > _DIFF_LINES:
                continue
            before = self._texts.get(path)
            before = _saved(project, change) if before is None else before
            after = _text(self._project.root / path) if known.stamp else ""
            if before is None or after is None:
                continue
            self._texts[path] = after
            name = printable_path(path)
            lines += difflib.unified_diff(
                before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm=""
            )
        if len(lines) > _DIFF_LINES:
            lines = [*lines[:_DIFF_LINES], "…"]
        return "\n".join(lines)

    def _keep(self) -> None:
        write_durably(self._project.state / _KNOWN, msgspec.json.encode(self._known))


def _listed(
    paths: list[str], changed: dict[str, tuple[Known, Change]], closed: set[str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in paths[:_LISTED]:
        known = changed[path][0]
        entry: dict[str, Any] = {"path": printable_path(path), "change": _word(changed[path])}
        # Whoever has a digest can try guesses against it.
        if known.stamp and path not in closed:
            entry |= {"content": known.content, "size": known.size}
        found.append(entry)
    if len(paths) > _LISTED:
        found.append({"path": f"and {len(paths) - _LISTED} more", "change": ""})
    return found


def _word(changed: tuple[Known, Change]) -> str:
    known, change = changed
    return "removed" if known.content == "gone" else "new" if change.kind == "new" else "changed"


def _action(kind: str, words: set[str]) -> str:
    if kind == "environment":
        return "change"
    if words == {"new"}:
        return "add" if kind == "data" else "create"
    return "delete" if words == {"removed"} else "edit"


def _said(paths: list[str]) -> str:
    names = ", ".join(printable_path(path) for path in paths[:3])
    return f"{names}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"[:1000]


def _saved(project: Project, change: Change) -> str | None:
    """Return the text that git's index has of a file; empty for a new one, None for what is no text."""
    if not change.was.strip("0"):
        return ""
    (content,) = read_objects(project.git, f"{change.was}\n".encode(), 1)
    return _as_text(content)


def _text(file: Path) -> str | None:
    try:
        return _as_text(_bytes(file))
    except OSError:
        return None


def _bytes(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as source:
        return source.read(_HASHED_AT_MOST + 1)


def _as_text(content: bytes) -> str | None:
    if len(content) > _TEXT_AT_MOST or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _age(stamp: str) -> float:
    return (time.time_ns() - int(stamp.partition(" ")[0])) / 1e9
