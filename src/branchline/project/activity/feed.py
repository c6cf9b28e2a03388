"""What people see of the activity: the feed, notes, and what they hide from it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial

from branchline.foundation.errors import Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import (
    FOLDER,
    Recorder,
    chains_back,
    find_record,
    record_names,
)
from branchline.project.activity.record import Detail, Signed, read_record
from branchline.project.place import Project
from branchline.project.saving import commit_only

_LONGEST_NOTE = 4000
_SCREEN = 200
_MARKS = ("hide", "show")


def feed(project: Project, *, kind: str = "", hidden: bool = False, most: int = 20) -> list[Signed]:
    """Return the newest records, oldest first; signatures are `verify`'s business.

    Args:
        project: The project.
        kind: Only of this type.
        hidden: Whether hidden ones count, and the records that hide or show.
        most: How many at most.
    """
    chosen: list[Signed] = []
    marks: dict[str | None, str] = {}
    for signed in newest(project):
        record = signed.record
        if not hidden and record.action in _MARKS:
            # Whoever marks a record has seen it, so its mark is the newer of the two.
            marks.setdefault(record.about, record.action)
            continue
        if (not kind or record.type == kind) and marks.get(signed.digest) != "hide":
            chosen.append(signed)
            if len(chosen) == most:
                break
    return chosen[::-1]


def newest(project: Project) -> Iterator[Signed]:
    """Yield all records that can be read, newest first; no more are read than are taken.

    In a clone's chain times do not go back, so that the newest of all is the last of some clone's.
    """
    return heapq.merge(*(map(partial(_read, project), names) for names in chains_back(project.root)),
                       key=_order, reverse=True)  # fmt: skip


def read_all(project: Project) -> list[Signed]:
    """Return all records that can be read, in the order of their times; ties by clone and number."""
    return sorted((_read(project, name) for name in record_names(project.root)), key=_order)


def _read(project: Project, name: str) -> Signed:
    return read_record((project.root / FOLDER / name).read_bytes(), f"record {name}")


def _order(signed: Signed) -> tuple[str, str, int]:
    return signed.record.at, signed.record.clone, signed.record.seq


def mark(project: Project, identity: Identity, which: str, action: str) -> tuple[str, Signed]:
    """Hide a record from the feed, or show it again; return its name and the new record.

    Raises:
        NotFound: There is none of this name.
    """
    _, about = find_record(project, which)
    message = f"{'Hid' if action == 'hide' else 'Showed'} {about.digest[7:19]}"
    return about.digest, _alone(
        project,
        identity,
        {"type": "note", "action": action, "message": message, "about": about.digest},
    )


def write_note(project: Project, identity: Identity, text: str, *, milestone: bool) -> Signed:
    """Put a note or milestone on record.

    Raises:
        Refused: It is empty, or too long.
    """
    said = text.strip()
    if not 0 < len(said) <= _LONGEST_NOTE:
        raise Refused(f"A note has 1 to {_LONGEST_NOTE} characters; this one has {len(said)}")
    first = said.splitlines()[0][:_SCREEN]
    record = {"type": "milestone" if milestone else "note", "action": "create", "message": first}
    return _alone(project, identity, record, Detail("text", said))


def _alone(
    project: Project, identity: Identity, record: dict[str, str], *details: Detail
) -> Signed:
    """Write a record and commit it by itself, whatever else is staged or changed."""
    more = {"commit": project.git.head(), "branch": project.git.branch()}
    signed, paths = Recorder(project, identity).write({**record, **more}, *details)
    commit_only(project, paths, signed.record.message)
    return signed
