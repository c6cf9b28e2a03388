"""Judge a push: its branches, its names, its data, its activity, and what it says of copies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from branchline.central.hub.door import Visitor
from branchline.central.hub.rights import Standing
from branchline.central.hub.store import HubStore
from branchline.foundation.errors import Conflict, NotAllowed, Refused
from branchline.project.activity.record import Signed
from branchline.project.cloning import look_through
from branchline.project.git.command import Git
from branchline.project.names import shown
from branchline.project.place import FILE, read_description

ANNEX = "refs/heads/git-annex"
SYNCED_ANNEX = "refs/heads/synced/git-annex"
_TAGS = "refs/tags/"
_HEADS = "refs/heads/"
_OURS = re.compile(r"^refs/heads/(?!git-annex/)(?!synced/git-annex/)[^\0-\x20\x7f]{1,200}$")
_NOTHING = re.compile(r"^0+$")


@dataclass(frozen=True)
class Change:
    """One branch or tag that a push moves.

    Args:
        old: Where it ended; zeros for a new one.
        new: Where it is to end; zeros for one that is to go.
        ref: Its whole name.
    """

    old: str
    new: str
    ref: str

    @property
    def made(self) -> bool:
        """Whether it is new."""
        return bool(_NOTHING.match(self.old))

    @property
    def removed(self) -> bool:
        """Whether it is to go."""
        return bool(_NOTHING.match(self.new))

    @property
    def is_annex(self) -> bool:
        """Whether git-annex's own knowledge is on it, and nothing else."""
        return self.ref in (ANNEX, SYNCED_ANNEX)

    @property
    def is_work(self) -> bool:
        """Whether it is a branch with the project on it."""
        return self.ref.startswith(_HEADS) and not self.is_annex


@dataclass
class Judgement:
    """What is to be kept of a push that may come in.

    Args:
        clones: Repositories that it tells of first.
        records: Records of activity that it brings.
    """

    clones: list[str] = field(default_factory=list)
    records: list[Signed] = field(default_factory=list)


def judge(
    git: Git, changes: Sequence[Change], standing: Standing, visitor: Visitor, store: HubStore
) -> Judgement:
    """Judge a push as a whole.

    Args:
        git: The repository, with what was pushed.
        changes: What is to move.
        standing: The hosted project.
        visitor: Who pushes.
        store: What is known of it.

    Raises:
        Refused, NotAllowed, Conflict, Corrupt: It may not come in; the sentence says what, and why.
    """
    judged = Judgement()
    for change in changes:
        _check_ref(git, change)
    for change in changes:
        if change.is_work:
            _check_project(git, change, standing)
    return judged


def _check_ref(git: Git, change: Change) -> None:
    name = shown(change.ref.removeprefix(_HEADS))
    if change.removed:
        raise NotAllowed(
            f"{name} stays: what was pushed here is evidence",
            advice="Delete the branch in your clone only, or the whole project with 'branchline hub delete'",
        )
    if change.ref.startswith(_TAGS):
        if not change.made:
            raise NotAllowed(f"The tag {name} stands already", advice="Choose another name")
        return
    if not _OURS.match(change.ref):
        raise Refused(f"{name} is no branch or tag", advice="Push branches and tags only")
    if git.word("cat-file", "-t", change.new) != "commit":
        raise Refused(f"{name} would end with something that is no commit")
    if not change.made:
        _check_goes_on(git, change, name)


def _check_goes_on(git: Git, change: Change, name: str) -> None:
    base = git.run("merge-base", change.old, change.new, accept=(0, 1)).decode().strip()
    if base != change.old:
        raise Conflict(
            f"{name} would not go on from where it ends here: history would be rewritten",
            advice="Pull, merge, and push again",
        )


def _check_project(git: Git, change: Change, standing: Standing) -> None:
    look_through(git, change.new)
    described = read_description(git.run("cat-file", "blob", f"{change.new}:{FILE}"))
    if described.id != standing.project:
        raise Refused(
            f"{shown(change.ref.removeprefix(_HEADS))} holds another project than {standing.place}",
            advice="Publish it as one of its own with 'branchline hub publish'",
        )
