"""Send a branch, and what git-annex knows, to another place; nothing is forced on anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from branchline.foundation.clock import SystemClock
from branchline.project.data.places import check_lines
from branchline.project.git.intake import Progress
from branchline.project.git.trouble import from_there, trouble
from branchline.project.merging.weighing import is_within
from branchline.project.place import Project
from branchline.project.syncing.remotes import Talked, refs_below, talk

_ANNEX = "git-annex"
_BEHIND = ("[rejected]", "would not go on from where it ends here", "cannot lock ref")
_CHECKED_OUT = ("currently checked out", "refusing to update checked out branch")
_NONE = "0" * 40


def send(
    project: Project, remote: str, branch: str, there: Mapping[str, str], progress: Progress
) -> bool:
    """Send the branch and what git-annex knows; tell whether both arrived or were there.

    Args:
        project: The project, held by its lock.
        remote: What git calls the other place.
        branch: The branch.
        there: What is there, as it was brought: commits by branch.
        progress: Told what is done.

    Raises:
        NotAllowed: A rule keeps something here; nothing was sent.
        Refused: The other place does not want it.
    """
    mine = refs_below(project, "refs/heads")
    names = [n for n in (branch, _ANNEX) if n in mine and not _has(project, there, n, mine[n])]
    if not names:
        return True
    _check_rules(project, remote, branch, mine[branch], there.get(branch))
    progress(f"sending to {remote}")
    to = {name: name for name in names}
    talked = _push(project, remote, to, progress)
    if any(sign in talked.printed + talked.said for sign in _CHECKED_OUT):
        # Somebody works in that very folder: what is sent waits there for the next sync of his.
        to[branch] = f"synced/{branch}"
        talked = _push(project, remote, to, progress)
    if talked.code == 0:
        lines = [
            f"update {place}/{remote}/{to[name]} {mine[name]}\n"
            for name in names
            for place in ("refs/remotes", "refs/branchline/seen")
        ]
        project.git.run("update-ref", "--stdin", feed="".join(lines).encode())
        return True
    if any(sign in talked.printed + talked.said for sign in _BEHIND):
        return False
    raise trouble(remote, _reason(talked.printed, talked.said))


def _reason(printed: str, said: str) -> str:
    """Return what is said of a push that was refused; the other side's own words, if it has any."""
    lines = [line.split("\t")[-1] for line in printed.splitlines() if line.startswith("!")]
    return (
        said
        if from_there(said) or not lines
        else "\n".join((said, *(f"remote: {line}" for line in lines)))
    )


def _has(project: Project, there: Mapping[str, str], name: str, commit: str) -> bool:
    tips: Sequence[str | None] = (there.get(name), there.get(f"synced/{name}"))
    return any(tip is not None and is_within(project.git, commit, tip) for tip in tips)


def _push(project: Project, remote: str, names: Mapping[str, str], progress: Progress) -> Talked:
    words = ("push", "--porcelain", "--progress", "--no-verify", "--no-recurse-submodules")
    refs = [f"refs/heads/{name}:refs/heads/{to}" for name, to in names.items()]
    return talk(project, remote, (*words, "--", remote, *refs), progress)


def _check_rules(project: Project, remote: str, branch: str, tip: str, known: str | None) -> None:
    line = f"refs/heads/{branch} {tip} refs/heads/{branch} {known or _NONE}\n"
    address = project.git.own.get(f"remote.{remote}.url", "")
    check_lines(project, remote, address, line, SystemClock().now().date())
