"""Judge a push: its branches, its names, its data, its checks, its activity, and what it says of copies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from branchline.central.hub.annex_lines import Edit, Judge, lines_of
from branchline.central.hub.contents import Contents
from branchline.central.hub.door import Visitor
from branchline.central.hub.pushed_checks import check_expectations
from branchline.central.hub.pushed_data import check_data
from branchline.central.hub.pushed_records import check_activity
from branchline.central.hub.rights import Standing
from branchline.central.hub.store import HubStore
from branchline.foundation.errors import Conflict, NotAllowed, Refused
from branchline.project.activity.record import Signed
from branchline.project.cloning import look_through
from branchline.project.description import read_description
from branchline.project.finding import FILE
from branchline.project.git.command import Git
from branchline.project.git.objects import read_objects
from branchline.project.manifest import EMPTY_TREE
from branchline.project.names import shown

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


@dataclass(frozen=True)
class Judging:
    """Judges one push as a whole.

    Args:
        git: The repository, with what was pushed.
        standing: The hosted project.
        visitor: Who pushes.
        store: What is known of it.
        contents: Its rules of data.
        present: Tells whether the hub has a content.
        now: The hub's time.
        source: The repository of which this one is a copy, if it is there.
    """

    git: Git
    standing: Standing
    visitor: Visitor
    store: HubStore
    contents: Contents
    present: Callable[[str], bool]
    now: datetime
    source: Git | None = None

    def judge(self, changes: Sequence[Change]) -> Judgement:
        """Return what is to be kept of a push, once all of it may come in.

        Raises:
            BranchlineError: It may not; the sentence says what, and why.
        """
        judged = Judgement()
        for change in changes:
            _check_ref(self.git, change)
        for change in changes:
            if change.is_annex:
                judged.clones += self._annex(change)
            else:
                tip = self.git.word("rev-parse", f"{change.new}^{{commit}}")
                self._project(change, tip)
                check_data(
                    self.git, self.standing, self.visitor, self.contents, change.ref, tip, self.now
                )
                check_expectations(self.git, change.ref, tip)
                base = self._base(change, tip)
                judged.records += check_activity(
                    self.git, base, tip, self.standing, self.store, judged.records
                )
        return judged

    def _project(self, change: Change, tip: str) -> None:
        look_through(self.git, tip)
        described = read_description(self.git.run("cat-file", "blob", f"{tip}:{FILE}"))
        if described.id != self.standing.project:
            raise Refused(
                f"{shown(change.ref.removeprefix(_HEADS))} holds another project than "
                f"{self.standing.place}",
                advice="Publish it as one of its own with 'branchline hub publish'",
            )

    def _base(self, change: Change, tip: str) -> str:
        """Return what is known of a branch's history: where it ended, or where it left another."""
        if not change.made and change.is_work:
            return change.old
        words = ("merge-base", "HEAD", tip)
        return self.git.run(*words, accept=(0, 1, 128)).decode().strip() or EMPTY_TREE

    def _annex(self, change: Change) -> list[str]:
        there = (
            self.git.run("rev-parse", "--verify", "--quiet", ANNEX, accept=(0, 1)).decode().strip()
        )
        synced = change.ref != ANNEX
        before = there if synced else ("" if change.made else change.old)
        edits = annex_edits(self.git, before or EMPTY_TREE, change.new, union=synced)
        judge = Judge(
            party=self.visitor.name,
            role=self.visitor.role,
            hub=self.standing.annex,
            clones=self.store.clones(self.standing.hosted),
            present=self.present,
            now=self.now.timestamp(),
            first=not there and self.visitor.role == "own",
            vouched=self._vouched,
        )
        return judge.check(edits)

    def _vouched(self, path: str) -> list[str]:
        """Return what the original's branch says in a file: it was judged there."""
        if self.source is None:
            return []
        (text,) = read_objects(self.source, f"{ANNEX}:{path}\n".encode(), 1)
        return lines_of(text, path)


def check_stays(change: Change) -> None:
    """Refuse to remove a branch or tag.

    Raises:
        NotAllowed: It would go.
    """
    if change.removed:
        raise NotAllowed(
            f"{shown(change.ref.removeprefix(_HEADS))} stays: what was pushed here is evidence",
            advice="Delete it in your clone only, or the whole project with 'branchline hub delete'",
        )


def _check_ref(git: Git, change: Change) -> None:
    name = shown(change.ref.removeprefix(_HEADS))
    if change.ref.startswith(_TAGS):
        if not change.made:
            raise NotAllowed(f"The tag {name} stands already", advice="Choose another name")
        words = ("rev-parse", "--verify", "--quiet", f"{change.new}^{{commit}}")
        if not git.run(*words, accept=(0, 1, 128)):
            raise Refused(f"The tag {name} names no commit", advice="Tag commits only")
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


def annex_edits(git: Git, old: str, new: str, *, union: bool) -> list[Edit]:
    """Return the files of git-annex's branch that differ between two commits or trees.

    Args:
        git: The repository.
        old: Before.
        new: After.
        union: Whether what stood there before stays, whatever the later one lacks.

    Raises:
        Refused: Something on it is no plain file.
    """
    words = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new)
    parts = git.lines(*words)
    found = [(meta.split(), path) for meta, path in zip(parts[::2], parts[1::2], strict=True)]
    for meta, path in found:
        if meta[1] not in ("100644", "000000"):
            raise Refused(f"{shown(path)} on git-annex's branch is no plain file")
    names = [name for meta, _ in found for name in (meta[2], meta[3])]
    asked = "".join(f"{name}\n" for name in names).encode()
    texts = read_objects(git, asked, len(names)) if names else []
    edits = []
    for (meta, path), before, after in zip(found, texts[::2], texts[1::2], strict=True):
        gone = meta[4] == "D"
        if union and gone:
            continue
        whole = before + (b"" if before.endswith(b"\n") or not before else b"\n") + after
        edits.append(Edit(path, before, None if gone else whole if union else after))
    return edits
