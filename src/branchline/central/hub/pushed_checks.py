"""Hold a push against the project's checks: nothing is run here, what counts is what is on record."""

from __future__ import annotations

from branchline.checks.expectations import read_checks
from branchline.checks.results import read_result, require_met
from branchline.project.data.state import state_at
from branchline.project.git.command import Git


def check_expectations(git: Git, ref: str, tip: str) -> None:
    """Refuse a main branch of which a check is not met that is required and meant for a sync.

    Args:
        git: The repository, with what was pushed.
        ref: The branch.
        tip: The commit it is to end with.

    Raises:
        Conflict: One is not; the sentence names it, and why.
        Refused, Corrupt: The checks, or a record of one, are not acceptable.
    """
    if git.word("symbolic-ref", "HEAD") != ref:
        return
    state = state_at(git, tip)
    if state.checks:
        results = [read_result(each) for each in state.results]
        checks = read_checks(state.checks)
        require_met(checks, state.contents, state.lists, results, "the hub", when="sync")
