"""Ask git what differs from the last save."""

from __future__ import annotations

from collections.abc import Sequence

from branchline.project.changes import LINK, WORDS, Change, read_changes
from branchline.project.git.keys import key_in_pointer
from branchline.project.git.objects import read_objects
from branchline.project.place import Project

_MOST = 100
"""Of so many paths at most each is given to git: it holds every file against all of them."""


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
    found = read_changes(project.git.run(*words, "--", *paths, variables=variables))
    return through_filter(project, found, paths) if filters else found


def through_filter(
    project: Project, found: Sequence[Change], paths: Sequence[str] = ()
) -> list[Change]:
    """Leave out the unlocked files of git-annex that only seem to be changed.

    Git-annex says which; to call it takes long, and most projects have no such file.

    Args:
        project: The project.
        found: What differs, by git alone.
        paths: What git was asked for.
    """
    if project.annex.uuid is None:
        return list(found)
    unlocked = unlocked_among(project, [change for change in found if change.may_be_unlocked])
    if not unlocked:
        return list(found)
    asked = sorted(unlocked) if len(unlocked) <= _MOST else paths
    words = (*WORDS, "--untracked-files=no", "--", *asked)
    printed = project.git.run(*words, unlocked=True, variables={"GIT_OPTIONAL_LOCKS": "0"})
    changed = {change.path: change for change in read_changes(printed)}
    kept = (changed.get(each.path) if each.path in unlocked else each for each in found)
    return [each for each in kept if each is not None]


def unlocked_among(project: Project, changes: Sequence[Change]) -> set[str]:
    """Return which files the index knows as unlocked ones of git-annex."""
    known = [change for change in changes if change.mode != LINK and change.was.strip("0")]
    asked = "".join(f"{change.was}\n" for change in known).encode()
    contents = read_objects(project.git, asked, len(known)) if known else []
    return {c.path for c, text in zip(known, contents, strict=True) if key_in_pointer(text)}
