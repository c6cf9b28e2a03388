"""What the commands about locks share: reading one by folder or file, and telling differences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.cli.frame import lines

if TYPE_CHECKING:
    from branchline.environment.lock.diff import Change, LockDiff
    from branchline.environment.lock.model import Lock

_SIGNS = {"added": "+", "removed": "-", "upgraded": "↑", "downgraded": "↓", "rebuilt": "!"}


def lock_at(place: Path) -> Lock:
    """Read the lock of a folder, or a lock file itself."""
    from branchline.environment.lock.folder import read_lock
    from branchline.environment.lock.model import parse_lock

    return read_lock(place) if place.is_dir() else parse_lock(place.read_bytes())


def diff_as_json(diff: LockDiff) -> dict[str, Any]:
    """Return what differs as plain JSON values."""
    import msgspec

    return {
        "changes": [msgspec.to_builtins(change) for change in diff.changes],
        "rest": list(diff.rest),
    }


def diff_as_text(diff: LockDiff) -> str:
    """Write what differs for people: what they asked for first."""
    asked = [change for change in diff.changes if change.requested]
    others = [change for change in diff.changes if not change.requested]
    return lines(*_told(asked), *_told(others), *diff.rest)


def _told(changes: Iterable[Change]) -> list[str]:
    listed = list(changes)
    width = max((len(change.name) for change in listed), default=0)
    return [_line(change, width) for change in listed]


def _line(change: Change, width: int) -> str:
    both = change.before and change.after
    versions = f"{change.before} → {change.after}" if both else change.before or change.after
    marks = [mark for mark, said in (("security", change.security),) if said]
    words = [_SIGNS[change.kind], change.name.ljust(width), versions, *marks]
    part = {"debian": "", "conda": " (conda)", "python": " (Python)"}[change.part]
    return "  ".join(words) + part
