"""Hold what a push brings against the project's rules of data: those that hold, and those it brings."""

from __future__ import annotations

from datetime import datetime

from branchline.central.hub.contents import Contents, rules_at
from branchline.central.hub.door import Visitor
from branchline.central.hub.rights import Standing
from branchline.foundation.errors import NotAllowed
from branchline.project.data.guard import check_push
from branchline.project.data.judging import loosened
from branchline.project.git.command import Git
from branchline.project.names import shown


def check_data(
    git: Git,
    standing: Standing,
    visitor: Visitor,
    contents: Contents,
    ref: str,
    tip: str,
    now: datetime,
) -> None:
    """Refuse files that may not be at the hub as git keeps them, and rules that others may not loosen.

    Args:
        git: The repository, with what was pushed.
        standing: The hosted project.
        visitor: Who pushes.
        contents: Knows the hub's place in rules.
        ref: The branch or tag.
        tip: The commit it is to end with.
        now: The hub's time.

    Raises:
        NotAllowed: A file may not be here; or somebody who is no owner would permit more than before.
        Refused: The rules are not acceptable.
    """
    brought = rules_at(git, tip)
    held = rules_at(git, "HEAD") if _begun(git) else brought
    for rules in (brought,) if brought == held else (brought, held):
        place = contents.place_of(rules, standing)
        check_push(git, rules, place, [tip], ["--all"], now.date(), standing.visibility)
    if visitor.role == "own" or git.word("symbolic-ref", "HEAD") != ref:
        return
    paths = git.lines("ls-tree", "-r", "-z", "--name-only", "--full-tree", tip)
    found = loosened(held, brought, paths)
    if found:
        raise NotAllowed(
            f"The rules of data would permit more than they do: {shown(found[0])}",
            advice="An owner of the project changes rules, and pushes them",
        )


def _begun(git: Git) -> bool:
    return bool(git.run("rev-parse", "--verify", "--quiet", "HEAD", accept=(0, 1, 128)))
