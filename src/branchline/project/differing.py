"""Ask git what differs from the last save; loads little, since people ask it often."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.project.changes import WORDS, Change, read_changes
from branchline.project.place import Project


def changes_of(
    project: Project, paths: Sequence[str] = (), *, each: bool = True, filters: bool = True
) -> list[Change]:
    """Return what differs from the last save.

    Args:
        project: The project.
        paths: Only these, and what is below them; all by default.
        each: Whether every new file is named, or a new folder as one.
        filters: Whether unlocked files of git-annex are looked into.
    """
    words = (*WORDS, f"--untracked-files={'all' if each else 'normal'}")
    return read_changes(project.git.run(*words, "--", *paths, unlocked=filters))
