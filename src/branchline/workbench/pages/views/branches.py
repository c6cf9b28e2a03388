"""The project's branches."""

from __future__ import annotations

from dataclasses import dataclass

from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import Frame, frame

_FORMAT = "%(refname:lstrip=2)%00%(committerdate:iso-strict)%00%(contents:subject)%00%(objectname:short=12)"


@dataclass(frozen=True)
class Branch:
    """One branch.

    Args:
        name: Its name.
        at: When its last commit was made.
        subject: That commit's first line.
        commit: That commit.
        here: Whether it is checked out.
        ahead: How many commits it has that the one checked out has not.
        behind: How many it lacks.
    """

    name: str
    at: str
    subject: str
    commit: str
    here: bool
    ahead: int = 0
    behind: int = 0


@dataclass(frozen=True)
class BranchesPage:
    """All branches, the one that changed last first."""

    frame: Frame
    branches: tuple[Branch, ...]


def branches_page(opened: Opened) -> BranchesPage:
    """Return what the page of branches shows."""
    git = opened.project.git
    here = git.branch()
    words = ("for-each-ref", "--sort=-committerdate", f"--format={_FORMAT}", "refs/heads")
    found = []
    for line in git.run(*words).decode(errors="replace").splitlines():
        name, at, subject, commit = line.split("\0")
        if name == "git-annex":
            continue
        ahead = behind = 0
        if here and name != here:
            counted = git.word(
                "rev-list", "--left-right", "--count", f"refs/heads/{here}...refs/heads/{name}"
            )
            behind, ahead = map(int, counted.split())
        found.append(Branch(plain(name), at, plain(subject), commit, name == here, ahead, behind))
    return BranchesPage(frame(opened, "branches", "Branches"), tuple(found))
