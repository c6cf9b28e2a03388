"""Which commit a record was made with."""

from __future__ import annotations

from branchline.foundation.errors import NotFound
from branchline.project.activity.files import FOLDER
from branchline.project.activity.record import Signed
from branchline.project.place import Project
from branchline.project.saving import without_activity

ADDED = ("log", "--all", "--full-history", "--diff-filter=A", "--no-renames", "-c", "--name-only")
"""The call of git that lists commits which add files; on any branch, whatever was merged later.

Of a merge, what neither parent has: its own record.
"""


def commit_of(project: Project, signed: Signed) -> str:
    """Return the commit that a record was made with.

    On other branches it may have been put back later, beside other files: what counts is the commit
    that holds the files it signed, and else the oldest.

    Raises:
        NotFound: No commit has it.
    """
    name = f"{FOLDER}/{signed.name}"
    found = [
        word for word in project.git.word(*ADDED, "--format=%H", "--", name).split() if word != name
    ]
    if not found:
        raise NotFound(f"No commit has the record {signed.digest[7:19]}")
    if signed.record.tree is not None:
        for commit in found:
            if without_activity(project, commit) == signed.record.tree:
                return commit
    return found[-1]
