"""The activity in pages, newest first, for whoever turns them again and again.

A record never changes, and its file's name holds its digest. So what was looked at of a record
once, and which names a folder had, is kept in memory; only what is new is read.
"""

from __future__ import annotations

import heapq
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import BranchlineError, NotFound, Refused
from branchline.project.activity.files import FOLDER, RECORD, number_of
from branchline.project.activity.record import LARGEST, Signed, read_record
from branchline.project.place import Project

_MARKS = ("hide", "show")
_CURSOR = re.compile(r"^([0-9TZ:.+-]{10,40})~(clone-[a-z2-7]{26})~([0-9]{1,13})$")
_BREATH = 200
_SETTLED = 0.1
"""Seconds after which a folder's time tells a later change from an earlier one."""


class Head(msgspec.Struct, frozen=True):
    """What is looked at of a record to choose it."""

    at: str
    clone: str
    seq: int
    type: str
    action: str
    outcome: str = "done"
    about: str | None = None

    @property
    def order(self) -> tuple[str, str, int]:
        """Its place among all records."""
        return self.at, self.clone, self.seq


class _File(msgspec.Struct, frozen=True):
    record: Head


@dataclass(frozen=True)
class Turned:
    """One page of the activity.

    Args:
        records: Newest first.
        older: The cursor of the page after it; empty where there is none.
        newest: The cursor of the newest record of all, chosen or not; empty where there is none.
    """

    records: list[Signed]
    older: str
    newest: str


class Timeline:
    """One project's activity, to be turned page by page; for any thread.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._heads: dict[str, Head] = {}
        self._months: dict[str, tuple[int, list[str]]] = {}
        self._lock = threading.Lock()

    def page(
        self,
        *,
        before: str = "",
        after: str = "",
        kinds: Collection[str] = (),
        outcomes: Collection[str] = (),
        hidden: bool = False,
        most: int = 30,
    ) -> Turned:
        """Return the newest records that are wanted.

        Args:
            before: Only those older than a cursor.
            after: Only those newer than a cursor.
            kinds: Only of these types; all by default.
            outcomes: Only with these outcomes; all by default.
            hidden: Whether hidden ones count, and the records that hide or show.
            most: How many at most.

        Raises:
            Refused: A cursor is none.
        """
        until, since = _place(before), _place(after)
        chosen: list[Signed] = []
        marks: dict[str, str] = {}
        newest = ""
        for head, name in self._newest():
            newest = newest or _cursor(head)
            if since is not None and head.order <= since:
                break
            if head.action in _MARKS and not hidden:
                # Whoever marks a record has seen it, so its mark is the newer of the two.
                marks.setdefault(head.about or "", head.action)
                continue
            if until is not None and head.order >= until:
                continue
            if (kinds and head.type not in kinds) or (outcomes and head.outcome not in outcomes):
                continue
            if len(chosen) == most:
                return Turned(chosen, _cursor_of(chosen[-1]), newest)
            try:
                signed = self.read(name)
            except BranchlineError:
                continue  # 'branchline log --verify' says so
            if marks.get(signed.digest) != "hide":
                chosen.append(signed)
        return Turned(chosen, "", newest)

    def read(self, name: str) -> Signed:
        """Return one record, by its file below ``activity``.

        Raises:
            NotFound: There is none of this name.
            Refused: It is none.
            Corrupt: It is not spelled as records are.
        """
        if not RECORD.match(name):
            raise NotFound(f"There is no record {name[:80]!r}")
        try:
            return read_record(_bytes(self._project.root / FOLDER / name), f"record {name}")
        except OSError:
            raise NotFound(f"There is no record {name[:80]!r} in this branch") from None

    def warm(self, breathe: Callable[[], object] = lambda: None) -> None:
        """Look at all records once, so that no page has to.

        Args:
            breathe: Called now and then: who works aside lets others go first.
        """
        for number, _ in enumerate(self._newest()):
            if number % _BREATH == 0:
                breathe()

    def _newest(self) -> Iterator[tuple[Head, str]]:
        base = self._project.root / FOLDER
        chains = [self._back(clone) for clone in sorted(_entries(base)) if clone != "blobs"]
        return heapq.merge(*chains, key=lambda each: each[0].order, reverse=True)

    def _back(self, clone: str) -> Iterator[tuple[Head, str]]:
        for month in sorted(_entries(self._project.root / FOLDER / clone), reverse=True):
            for name in self._names(f"{clone}/{month}"):
                head = self._head(name)
                if head is not None:
                    yield head, name

    def _names(self, folder: str) -> list[str]:
        """Return a month's records, newest first."""
        place = self._project.root / FOLDER / folder
        try:
            changed = place.stat().st_mtime_ns
        except OSError:
            return []
        with self._lock:
            known = self._months.get(folder)
            if known is not None and known[0] == changed:
                return known[1]
            before = set(known[1]) if known else set()
            here = {f"{folder}/{entry}" for entry in _entries(place)}
            names = [name for name in here if name in before or RECORD.match(name)]
            names.sort(key=number_of, reverse=True)
            settled = time.time_ns() - changed > _SETTLED * 1e9
            self._months[folder] = (changed if settled else -1, names)
            return names

    def _head(self, name: str) -> Head | None:
        known = self._heads.get(name)
        if known is None:
            try:
                text = _bytes(self._project.root / FOLDER / name)
                known = self._heads[name] = decode_json(text, _File).record
            except (OSError, msgspec.DecodeError, Refused):
                # Not kept: another branch may be laid out just now.
                return None
        return known


def _cursor(head: Head) -> str:
    return f"{head.at}~{head.clone}~{head.seq}"


def _cursor_of(signed: Signed) -> str:
    return f"{signed.record.at}~{signed.record.clone}~{signed.record.seq}"


def _place(cursor: str) -> tuple[str, str, int] | None:
    if not cursor:
        return None
    found = _CURSOR.match(cursor)
    if found is None:
        raise Refused(f"{cursor[:80]!r} is no place in the activity")
    return found[1], found[2], int(found[3])


def _bytes(file: Path) -> bytes:
    """Return a record's file; a link or something else in its place is nothing to read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as source:
        text = source.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise Refused(f"The record {file.name} is too large")
    return text


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
