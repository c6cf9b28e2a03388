"""Whether there is anything to tell of a sync: records of syncs alone would be told for ever."""

from __future__ import annotations

from typing import Any

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.project.activity.files import FOLDER
from branchline.project.git.command import Git
from branchline.project.git.landing import differences
from branchline.project.merging.weighing import contents

_MOST = 20


def count_commits(git: Git, newer: str, older: str | None) -> int:
    """Return how many commits one has that another has not."""
    without = (f"^{older}",) if older else ()
    return int(git.word("rev-list", "--count", newer, *without))


def is_work(git: Git, before: str | None, after: str) -> bool:
    """Tell whether anything differs between two commits but records of syncs."""
    if before is None:
        return True
    found = differences(git, before, after)
    if any(not each.path.startswith(f"{FOLDER}/") for each in found) or len(found) > _MOST:
        return True
    texts = contents(git, [each.name for each in found if each.letter != "D"])
    return any(_type_of(text) != "sync" for text in texts)


def _type_of(text: bytes) -> str:
    try:
        found = decode_json(text, dict[str, Any])
    except msgspec.DecodeError:
        return ""
    record = found.get("record")
    return str(record.get("type")) if isinstance(record, dict) else ""
