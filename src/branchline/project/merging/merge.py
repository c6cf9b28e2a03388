"""Merge another line of work into this one, asking where the two contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.description import read_description
from branchline.project.finding import FILE
from branchline.project.git.intake import Progress
from branchline.project.git.landing import land
from branchline.project.merging.answers import choices_of, counted, entries_of
from branchline.project.merging.building import blob_of, commit_of_tree, tree_with
from branchline.project.merging.byhand import lay_both, put_back
from branchline.project.merging.explaining import Explained, explain
from branchline.project.merging.looking import check_new
from branchline.project.merging.pending import (
    How,
    Pending,
    forget_pending,
    keep_pending,
    read_pending,
)
from branchline.project.merging.weighing import Weighed, is_within, weigh
from branchline.project.place import Project
from branchline.project.saving import save, without_activity

Judge = Callable[[str], None]
"""Is given the commit a merge would make, before anything changes; raises what stands in its way."""

_OWN = ("git-annex", "synced/git-annex")


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Args:
        state: ``merged``, ``nothing`` to merge, ``waiting`` for answers, or ``abandoned``.
        name: What was merged, as people call it.
        commit: The commit it made.
        saved: The commit that kept what was not saved yet.
        record: What was put on record.
        conflicts: Those that wait for an answer.
        chosen: What was chosen so far, by path.
        notebooks: Those that were merged by cell.
        kept: Records that the other side had changed, kept as they were.
        aside: Where files went that were edited by hand, and are not wanted any more.
    """

    state: str
    name: str
    commit: str | None = None
    saved: str | None = None
    record: Signed | None = None
    conflicts: Sequence[Explained] = ()
    chosen: Mapping[str, How] = field(default_factory=dict)
    notebooks: Sequence[str] = ()
    kept: Sequence[str] = ()
    aside: Path | None = None


def accept(commit: str) -> None:
    """Let a merge be made, whatever it is."""


def merge(
    project: Project,
    identity: Identity,
    name: str,
    wanted: Mapping[str, How],
    progress: Progress,
    *,
    judge: Judge = accept,
) -> Merged:
    """Merge a branch into the one that is checked out, or go on with that.

    What is not saved yet is saved first. As long as a conflict has no answer, nothing changes but
    the list of answers; it may be merged from elsewhere in the meantime, and answers may change.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        name: The branch; one of a remote as ``hub/main``.
        wanted: What is to become of conflicts, by path or folder.
        progress: Told what is done.
        judge: Has the last word, once there is an answer for every conflict.

    Raises:
        NotFound: There is no such branch, or no conflict at a path.
        Conflict: Another merge waits, or a file that is not kept is in the way; or the judge refuses.
        Refused: What the branch has cannot be laid out everywhere, or it is another project's.
    """
    pending = waiting(project)
    if pending is not None and pending.name != name:
        raise Conflict(
            f"The merge of {pending.name} is not done",
            advice="Finish it, or leave it with 'branchline merge --abandon'",
        )
    pending = pending or Pending(name, _commit_of(project, name))
    return go_on(project, identity, pending, wanted, progress, judge=judge)


def resume(
    project: Project,
    identity: Identity,
    wanted: Mapping[str, How],
    progress: Progress,
    *,
    done: bool = False,
    judge: Judge = accept,
) -> Merged:
    """Go on with the merge that waits.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        wanted: More answers.
        progress: Told what is done.
        done: Whether files that are merged by hand are finished.
        judge: As for `merge`.

    Raises:
        NotFound: No merge waits.
        Conflict: A file by hand still holds both versions; or the judge refuses.
    """
    pending = waiting(project)
    if pending is None:
        raise NotFound("No merge waits for an answer", advice="Say which branch is to be merged")
    return go_on(project, identity, pending, wanted, progress, done=done, judge=judge)


def abandon(project: Project) -> Merged:
    """Leave the merge that waits; both sides stay as they are, edited files are put aside.

    Raises:
        NotFound: No merge waits.
    """
    pending = waiting(project)
    if pending is None:
        raise NotFound("No merge waits for an answer")
    aside = put_back(project, pending.by_hand)
    forget_pending(project)
    return Merged("abandoned", pending.name, aside=aside)


def waiting(project: Project) -> Pending | None:
    """Return the merge that waits; one that a killed command finished does not any more."""
    pending = read_pending(project)
    head = project.git.head()
    if pending is not None and head is not None and is_within(project.git, pending.theirs, head):
        forget_pending(project)
        return None
    return pending


def go_on(
    project: Project,
    identity: Identity,
    pending: Pending,
    wanted: Mapping[str, How],
    progress: Progress,
    *,
    done: bool = False,
    judge: Judge = accept,
) -> Merged:
    """Merge as far as answers go; finish once there is one for every conflict."""
    git, name = project.git, pending.name
    branch = git.branch()
    if branch is None:
        raise Conflict("No branch is checked out", advice="Begin one with 'branchline branch NAME'")
    said = f"As it was before {name} was merged"
    saved = save(project, identity, progress, message=said, apart=pending.by_hand).commit
    mine = git.head()
    if mine is None or is_within(git, pending.theirs, mine):
        forget_pending(project)
        return Merged("nothing", name, saved=saved)
    progress(f"merging {name}")
    weighed = weigh(git, mine, pending.theirs)
    choices = choices_of(weighed, pending, wanted)
    dropped = [p for p in pending.by_hand if p not in choices or choices[p].how != "hand"]
    new = [p for p, c in choices.items() if c.how == "hand" and p not in pending.by_hand]
    now = msgspec.structs.replace(pending, choices=choices)
    aside = put_back(project, dropped)
    open_ = [path for path in weighed.clashes if path not in choices]
    if open_ or new or (now.by_hand and not done):
        # Told first: a save in between must not take a file with both versions for somebody's work.
        keep_pending(project, now)
        lay_both(project, [weighed.clashes[path] for path in new], name)
        return Merged(
            "waiting",
            name,
            saved=saved,
            conflicts=explain(git, weighed, open_),
            chosen={path: choice.how for path, choice in choices.items()},
            notebooks=weighed.notebooks,
            kept=weighed.kept,
            aside=aside,
        )
    keep_pending(project, now)
    try:
        return _finish(project, identity, now, weighed, branch, saved, progress, judge)
    except Conflict:
        if not now.choices:
            # Nothing of it is to be kept: the same words merge what the branch is by then.
            forget_pending(project)
        raise


def _finish(
    project: Project,
    identity: Identity,
    pending: Pending,
    weighed: Weighed,
    branch: str,
    saved: str | None,
    progress: Progress,
    judge: Judge,
) -> Merged:
    git, how = project.git, {path: choice.how for path, choice in pending.choices.items()}
    tree = tree_with(git, weighed.tree, entries_of(project, pending, weighed, progress))
    recorder = Recorder(project, identity)
    record = {
        "type": "branch",
        "action": "merge",
        "message": f"Merged {pending.name}{counted(how)}"[:1000],
        "commit": weighed.mine,
        "tree": without_activity(project, tree),
        "branch": branch,
    }
    sides = {"mine": weighed.mine, "theirs": weighed.theirs, "base": weighed.base}
    signed, files = recorder.prepare(
        record,
        Detail("ref", {"branch": pending.name, "remote": pending.remote, **sides}),
        recorder.whole("choice", how),
        Detail("metadata", {"notebooks": weighed.notebooks, "kept": weighed.kept}),
    )
    tree = tree_with(git, tree, {path: blob_of(git, text) for path, text in files.items()})
    check_new(git, weighed.mine, tree)
    commit = commit_of_tree(git, tree, [weighed.mine, weighed.theirs], signed.record.message)
    judge(commit)
    progress("laying out")
    land(git, commit, branch)
    recorder.remember(signed)
    forget_pending(project)
    return Merged(
        "merged",
        pending.name,
        commit,
        saved,
        signed,
        chosen=how,
        notebooks=weighed.notebooks,
        kept=weighed.kept,
    )


def _commit_of(project: Project, name: str) -> str:
    """Return the commit of a branch, here or of a remote."""
    git = project.git
    for place in ("refs/heads", "refs/remotes"):
        ref = f"{place}/{name}^{{commit}}"
        found = git.run("rev-parse", "--verify", "--quiet", ref, accept=(0, 1, 128))
        if found and name not in _OWN and not name.endswith("/git-annex"):
            commit = found.decode().strip()
            check_same_project(project, commit)
            return commit
    raise NotFound(f"There is no branch {name[:80]!r}", advice="See 'branchline branch'")


def check_same_project(project: Project, commit: str) -> None:
    """Refuse a commit of another project.

    Raises:
        Refused: It is, or it is none of a project.
    """
    text = project.git.run("cat-file", "blob", f"{commit}:{FILE}", accept=(0, 128))
    if not text or read_description(text).id != project.described.id:
        raise Refused(
            "What is there is not this project",
            advice="Clone it into a folder of its own with 'branchline clone'",
        )
