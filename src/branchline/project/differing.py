"""Ask git what differs from the last save; loads little, since people ask it often."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.project.changes import WORDS, Change, read_changes
from branchline.project.place import Project


def changes_of(
    project: Project,
    paths: Sequence[str] = (),
    *,
    each: bool = True,
    filters: bool = True,
    aside: bool = False,
) -> list[Change]:
    """Return what differs from the last save.

    Args:
        project: The project.
        paths: Only these, and what is below them; all by default.
        each: Whether every new file is named, or a new folder as one.
        filters: Whether unlocked files of git-annex are looked into.
        aside: Whether somebody else may be at work: git then keeps what it learns about the index to
            itself, where it would take the index's lock for a moment.
    """
    words = (*WORDS, f"--untracked-files={'all' if each else 'normal'}")
    variables = {"GIT_OPTIONAL_LOCKS": "0"} if aside else {}
    return read_changes(
        project.git.run(*words, "--", *paths, unlocked=filters, variables=variables)
    )
