"""What people see of the activity: the feed, notes, and what they hide from it."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.foundation.errors import Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import (
    FOLDER,
    Recorder,
    find_record,
    record_names,
)
from branchline.project.activity.record import Detail, Signed, read_record
from branchline.project.place import Project
from branchline.project.saving import commit_only

_LONGEST_NOTE = 4000
_SCREEN = 200


def feed(project: Project, *, kind: str = "", hidden: bool = False, most: int = 20) -> list[Signed]:
    """Return the newest records, oldest first; signatures are `verify`'s business.

    Args:
        project: The project.
        kind: Only of this type.
        hidden: Whether hidden ones count, and the records that hide or show.
        most: How many at most.
    """
    records = read_all(project)
    marks = {} if hidden else marked(records)
    chosen = [
        signed
        for signed in records
        if (not kind or signed.record.type == kind)
        and (hidden or (signed.record.action not in ("hide", "show")))
        and marks.get(signed.digest) != "hide"
    ]
    return chosen[-most:]


def read_all(project: Project) -> list[Signed]:
    """Return all records that can be read, in the order of their times; ties by clone and number."""
    found = []
    for name in record_names(project.root):
        found.append(read_record((project.root / FOLDER / name).read_bytes(), f"record {name}"))
    return sorted(found, key=lambda each: (each.record.at, each.record.clone, each.record.seq))


def marked(records: Sequence[Signed]) -> dict[str, str]:
    """Return for each record that somebody hid or showed what was done last."""
    return {
        signed.record.about: signed.record.action
        for signed in records
        if signed.record.action in ("hide", "show") and signed.record.about is not None
    }


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
