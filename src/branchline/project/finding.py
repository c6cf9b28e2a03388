"""Find the repository that a folder is in."""

from __future__ import annotations

import os

from branchline.foundation.errors import Refused

FILE = "branchline.toml"
"""The file that makes a repository a project."""

LOCK = ".git/branchline/lock"
"""The file whose lock is held by whoever changes a project."""


def repository_of(folder: str) -> str | None:
    """Return the innermost folder with ``.git`` that holds a folder; None if there is none.

    Raises:
        Refused: Its ``.git`` is a link or a file that leads elsewhere.
    """
    here = os.path.realpath(folder)
    while True:
        git = os.path.join(here, ".git")
        if os.path.islink(git) or os.path.isfile(git):
            raise Refused(
                f"{git} leads to a repository elsewhere",
                advice="Work in the main clone; linked work trees and submodules are not projects",
            )
        if os.path.isdir(git):
            return here
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above
