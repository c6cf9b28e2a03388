"""A merge that waits for answers: what is known of it, in a file of this clone's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, sync_folder, write_durably
from branchline.project.place import Project

How = Literal["mine", "theirs", "both", "hand"]
"""What can become of a file in conflict."""

_FILE = "merge.json"


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody chose for one file; it holds for these two versions only.

    Args:
        how: mine, theirs, both, or by hand.
        mine: Git's name of the one version; None where it was removed.
        theirs: Git's name of the other.
    """

    how: How
    mine: str | None
    theirs: str | None


class Pending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge that waits for answers.

    Args:
        name: The branch, as people call it.
        theirs: Its commit.
        choices: What was chosen so far, by path.
        remote: Where it was brought from, where a sync brought it.
    """

    name: str
    theirs: str
    choices: Mapping[str, Choice] = {}
    remote: str = ""

    @property
    def by_hand(self) -> list[str]:
        """The files that somebody edits."""
        return [path for path, choice in self.choices.items() if choice.how == "hand"]


def read_pending(project: Project) -> Pending | None:
    """Return the merge that waits; None if none does."""
    file = project.state / _FILE
    return decode_json(file.read_bytes(), Pending) if file.exists() else None


def keep_pending(project: Project, pending: Pending) -> None:
    """Keep what is known of a merge, durably."""
    write_durably(make_folder(project.state) / _FILE, msgspec.json.encode(pending))


def forget_pending(project: Project) -> None:
    """Have no merge waiting any more."""
    (project.state / _FILE).unlink(missing_ok=True)
    sync_folder(project.state)
