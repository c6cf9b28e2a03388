"""Notice that others rewrote history at another place since it was last seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from branchline.project.merging.weighing import is_within
from branchline.project.place import Project
from branchline.project.syncing.remotes import refs_below

_ANNEX = "git-annex"


@dataclass(frozen=True)
class Rewritten:
    """A branch elsewhere that does not go on from where it was when it was last seen.

    Args:
        branch: Its name.
        before: The commit that was seen.
        after: What is there now; None where the branch is gone.
    """

    branch: str
    before: str
    after: str | None


def rewritten_there(
    project: Project, remote: str, branch: str, there: Mapping[str, str]
) -> Rewritten | None:
    """Return what does not go on from where it was when it was last seen; None if all does.

    Args:
        project: The project.
        remote: What git calls the other place.
        branch: The branch that is synced.
        there: What is there now: commits by branch.
    """
    git = project.git
    known = refs_below(project, f"refs/remotes/{remote}")
    seen = known | refs_below(project, f"refs/branchline/seen/{remote}")
    for name in (branch, _ANNEX):
        before, after = seen.get(name), there.get(name)
        if before is not None and (after is None or not is_within(git, before, after)):
            return Rewritten(name, before, after)
    return None
