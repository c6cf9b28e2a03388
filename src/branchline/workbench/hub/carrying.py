"""Bring a clone's branches to its hub, and a hosted project from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from branchline.environment.service import Progress
from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import Conflict
from branchline.project.data.places import check_lines
from branchline.project.git.calling import GitFailed, call
from branchline.project.git.environment import clean_environment
from branchline.project.git.settings import check_network
from branchline.project.place import Project

ANNEX = "git-annex"
_TRIES = 4
_BEHIND = ("fetch first", "non-fast-forward", "would not go on from where it ends here")


def send_branches(
    project: Project, remote: str, settings: Mapping[str, str], progress: Progress
) -> list[str]:
    """Send all branches, and what git-annex knows, to the hub; return the branches.

    Args:
        project: The clone.
        remote: What git calls the hub in it.
        settings: Git's settings for the way there; they may hold secrets.
        progress: Told what is done.

    Raises:
        Conflict: Somebody pushed meanwhile; nothing of these branches came in.
        GitFailed: The hub refused something; its sentence is in this one.
    """
    git = project.git
    listed = git.run("for-each-ref", "--format=%(refname:short)", "refs/heads").decode().split()
    branches = [name for name in listed if not name.startswith(("synced/", "adjusted/", ANNEX))]
    progress(f"sending {', '.join(branches)}")
    _check(project, remote, branches)
    if ANNEX not in listed:
        _push(project, remote, settings, branches)
        return branches
    # It writes down what it still has in its journal.
    project.annex.run("merge", "--quiet")
    try:
        _push(project, remote, settings, [*branches, ANNEX])
    except Conflict:
        # Which of them, the next call tells.
        _push(project, remote, settings, branches)
        _send_locations(project, remote, settings, progress)
    return branches


def _send_locations(
    project: Project, remote: str, settings: Mapping[str, str], progress: Progress
) -> None:
    """Send what git-annex knows of copies; what others sent meanwhile is taken in first."""
    for left in reversed(range(_TRIES)):
        progress("sending what git-annex knows")
        _git(project, settings, "fetch", "--quiet", remote)
        project.annex.run("merge", "--quiet")
        try:
            _push(project, remote, settings, [ANNEX])
        except Conflict:
            if not left:
                raise
        else:
            return


def _check(project: Project, remote: str, branches: Sequence[str]) -> None:
    """Hold what is about to be sent against the project's rules, as git's hook would."""
    lines = []
    for name in branches:
        tip = project.git.word("rev-parse", f"refs/heads/{name}")
        words = ("rev-parse", "--verify", "--quiet", f"refs/remotes/{remote}/{name}")
        there = project.git.run(*words, accept=(0, 1)).decode().strip() or "0" * len(tip)
        lines.append(f"refs/heads/{name} {tip} refs/heads/{name} {there}")
    address = project.git.own.get(f"remote.{remote}.url", "")
    check_lines(project, remote, address, "\n".join(lines), SystemClock().now().date())


def _push(
    project: Project, remote: str, settings: Mapping[str, str], branches: Sequence[str]
) -> None:
    names = [f"refs/heads/{name}:refs/heads/{name}" for name in branches]
    try:
        _git(project, settings, "push", "--quiet", "--no-verify", "--", remote, *names)
    except GitFailed as error:
        if any(sign in error.refused for sign in _BEHIND):
            raise Conflict(
                "Somebody pushed meanwhile, or you go on from elsewhere",
                advice=f"Pull from {remote!r}, merge, and do the same again",
            ) from error
        raise


def _git(project: Project, settings: Mapping[str, str], *words: str) -> None:
    """Run git with the person's own ways to other machines."""
    check_network(project.git.own)
    environment = clean_environment(settings, network=True)
    call(("git", *words), project.root, environment, held=project.git.held)
