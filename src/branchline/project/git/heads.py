"""Read what is checked out from git's files, where they are of the plain kind.

Source: gitrepository-layout(5), git-pack-refs(1).
"""

from __future__ import annotations

import os
import re

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH = "ref: refs/heads/"
_LARGEST = 16 << 20


def read_head(git: str | os.PathLike[str]) -> tuple[str | None, str | None] | None:
    """Return the commit and the branch that are checked out.

    Args:
        git: The folder ``.git``.

    Returns:
        No commit before the first, no branch where a commit is checked out by itself; None where
        only git knows.
    """
    try:
        said = _read(os.path.join(git, "HEAD")).strip()
        if _COMMIT.fullmatch(said):
            return said, None
        name = said.removeprefix(_BRANCH)
        if (
            not said.startswith(_BRANCH)
            or not name
            or any(p in ("", ".", "..") for p in name.split("/"))
        ):
            return None
        try:
            commit = _read(os.path.join(git, "refs", "heads", name)).strip()
        except FileNotFoundError:
            return _packed(git, f"refs/heads/{name}"), name
        return (commit, name) if _COMMIT.fullmatch(commit) else None
    except (OSError, UnicodeDecodeError):
        return None


def _packed(git: str | os.PathLike[str], name: str) -> str | None:
    try:
        lines = _read(os.path.join(git, "packed-refs")).splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        commit, _, found = line.partition(" ")
        if found == name and _COMMIT.fullmatch(commit):
            return commit
    return None


def _read(file: str) -> str:
    if os.path.islink(file):
        raise OSError("a link")
    with open(file, "rb") as source:
        return source.read(_LARGEST).decode()
