"""Sync a project with another place: save, bring, merge, send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from branchline.foundation.errors import Conflict, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.files import FOLDER, Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.git.intake import Progress
from branchline.project.git.landing import differences, land
from branchline.project.merging.looking import check_new
from branchline.project.merging.merge import (
    Judge,
    Merged,
    check_same_project,
    go_on,
    waiting,
)
from branchline.project.merging.merge import accept as anything
from branchline.project.merging.pending import How, Pending
from branchline.project.merging.weighing import is_within
from branchline.project.place import Project
from branchline.project.saving import commit_only, save
from branchline.project.syncing.exchanging import Exchanged, exchange, wants_contents
from branchline.project.syncing.remotes import (
    fetch,
    refs_below,
    remote_of,
    remotes,
)
from branchline.project.syncing.rewriting import Rewritten, rewritten_there
from branchline.project.syncing.sending import send
from branchline.project.syncing.telling import count_commits, is_work

_ANNEX = "git-annex"
_TRIES = 6
_NONE = "0" * 40


@dataclass(frozen=True)
class Synced:
    """What one sync did.

    Args:
        state: ``synced``; ``waiting`` for answers; or ``rewritten``: others rewrote history there.
        remote: What git calls the other place.
        address: Where it is.
        branch: What was synced.
        commit: The commit both have now.
        saved: The commit that kept what was not saved yet.
        brought: How many commits came.
        sent: How many went.
        merge: What came of merging, where there was anything to merge.
        rewritten: What somebody did to history there.
        record: What was put on record.
        exchanged: Which contents came and went; None where only git's side was synced.
    """

    state: str
    remote: str
    address: str
    branch: str
    commit: str | None = None
    saved: str | None = None
    brought: int = 0
    sent: int = 0
    merge: Merged | None = None
    rewritten: Rewritten | None = None
    record: Signed | None = None
    exchanged: Exchanged | None = None


def sync(
    project: Project,
    identity: Identity,
    where: str,
    wanted: Mapping[str, How],
    progress: Progress,
    *,
    done: bool = False,
    accept: bool = False,
    content: bool | None = None,
    judge: Judge = anything,
) -> Synced:
    """Save, bring what is elsewhere, merge it, and send the whole.

    Where it stops for answers, the next sync goes on with them. Nothing is sent before all that was
    brought is merged, and nothing here changes before that was looked through.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign.
        where: A remote's name or an address; the usual one if empty.
        wanted: What is to become of conflicts, by path or folder.
        progress: Told what is done.
        done: Whether files that are merged by hand are finished.
        accept: Whether a history that others rewrote is merged all the same.
        content: Whether contents come and go, too, now and from now on; as before by default.
        judge: Has the last word on what a merge makes. Where it refuses, what was brought stays apart,
            and nothing is merged or sent.

    Raises:
        Conflict: Another merge waits, or no branch is checked out; or the judge refuses.
        NotAllowed: Something may not go there; nothing was sent.
        Unavailable, NotFound, Refused, GitFailed: The other place cannot be reached, or refuses.
    """
    git = project.git
    remote = remote_of(project, where)
    branch = git.branch()
    if branch is None:
        raise Conflict("No branch is checked out", advice="Begin one with 'branchline branch NAME'")
    state = Synced("synced", remote, remotes(project)[remote], branch)
    begun = git.head()
    pending = waiting(project)
    if pending is not None and pending.remote != remote:
        raise Conflict(
            f"The merge of {pending.name} is not done",
            advice="Finish it, or leave it with 'branchline merge --abandon'",
        )
    if pending is not None:
        merged = go_on(project, identity, pending, wanted, progress, done=done, judge=judge)
        state = replace(state, merge=merged, saved=merged.saved)
        if merged.state == "waiting":
            return replace(state, state="waiting")
        wanted = {}
    else:
        saved = save(project, identity, progress, message=f"As it was before a sync with {remote}")
        state = replace(state, saved=saved.commit)
    state = _through(project, identity, state, begun, wanted, progress, accept=accept, judge=judge)
    if state.state == "synced" and wants_contents(project, remote, content):
        exchanged = exchange(project, identity, remote, progress)
        state = replace(state, exchanged=exchanged)
        if exchanged.brought or exchanged.sent:
            # That they came and went is news for the other side, too.
            state = _through(
                project, identity, state, git.head(), {}, progress, accept=accept, judge=judge
            )
    return replace(state, commit=git.head())


def _through(
    project: Project,
    identity: Identity,
    state: Synced,
    begun: str | None,
    wanted: Mapping[str, How],
    progress: Progress,
    *,
    accept: bool,
    judge: Judge,
) -> Synced:
    """Bring, merge and send, again and again while others send at the same time."""
    remote, branch = state.remote, state.branch
    for _ in range(_TRIES):
        there = fetch(project, remote, progress)
        rewritten = None if accept else rewritten_there(project, remote, branch, there)
        if rewritten is not None:
            return _stop(project, identity, replace(state, rewritten=rewritten))
        _take_over(project, remote, there)
        state = _bring(project, identity, state, there, wanted, progress, judge)
        if state.state == "waiting":
            return state
        _merge_locations(project, progress)
        state = _put_on_record(project, identity, state, begun, there.get(branch))
        if send(project, remote, branch, there, progress):
            return state
    raise Unavailable(f"Others send to {remote} all the time", advice="Sync again; nothing is lost")


def _merge_locations(project: Project, progress: Progress) -> None:
    """Have git-annex take in what others told of copies, and what it has not written down yet."""
    here = refs_below(project, "refs/heads")
    mine = here.get(_ANNEX)
    names = refs_below(project, "refs/remotes").items()
    told = [commit for name, commit in names if name.endswith(f"/{_ANNEX}")]
    told += [commit for name, commit in here.items() if name == f"synced/{_ANNEX}"]
    journal = project.root / ".git/annex/journal"
    waits = journal.is_dir() and any(journal.iterdir())
    if mine is None or waits or not all(is_within(project.git, tip, mine) for tip in told):
        progress("merging what git-annex knows")
        project.annex.run("merge", "--quiet")


def _bring(
    project: Project,
    identity: Identity,
    state: Synced,
    there: Mapping[str, str],
    wanted: Mapping[str, How],
    progress: Progress,
    judge: Judge,
) -> Synced:
    """Merge what the other place has, and what somebody left here for this branch."""
    git, remote, branch = project.git, state.remote, state.branch
    left = refs_below(project, "refs/heads").get(f"synced/{branch}")
    tips = (there.get(branch), there.get(f"synced/{branch}"), left)
    for theirs in dict.fromkeys(tip for tip in tips if tip is not None):
        mine = git.head()
        if mine is None or is_within(git, theirs, mine):
            continue
        check_same_project(project, theirs)
        count = count_commits(git, theirs, mine)
        if is_within(git, mine, theirs) and not _loses_records(project, mine, theirs):
            check_new(git, mine, theirs)
            progress("laying out")
            land(git, theirs, branch)
        else:
            pending = Pending(f"{remote}/{branch}", theirs, remote=remote)
            merged = go_on(project, identity, pending, wanted, progress, judge=judge)
            state = replace(state, merge=merged, saved=state.saved or merged.saved)
            if merged.state == "waiting":
                return replace(state, state="waiting")
            wanted = {}
        state = replace(state, brought=state.brought + count)
    return state


def _loses_records(project: Project, mine: str, theirs: str) -> bool:
    found = differences(project.git, mine, theirs, FOLDER)
    return any(each.letter != "A" for each in found)


def _take_over(project: Project, remote: str, there: Mapping[str, str]) -> None:
    """Have git know what is there, once it may be merged."""
    lines = [
        f"update {place}/{remote}/{name} {commit}\n"
        for name, commit in there.items()
        for place in ("refs/remotes", "refs/branchline/seen")
    ]
    known = refs_below(project, f"refs/remotes/{remote}")
    lines += [
        f"delete refs/remotes/{remote}/{n}\n" for n in known if n not in there and n != "HEAD"
    ]
    project.git.run("update-ref", "--stdin", feed="".join(lines).encode())


def _stop(project: Project, identity: Identity, state: Synced) -> Synced:
    """Put on record that others rewrote history; once for each way in which they did."""
    found = state.rewritten
    assert found is not None
    git = project.git
    ways = f"{found.before[:12]}-{(found.after or _NONE)[:12]}"
    mark = f"refs/branchline/rewritten/{state.remote}/{ways}"
    record = None
    if not git.run("rev-parse", "--verify", "--quiet", f"{mark}/before", accept=(0, 1)):
        # What was seen stays reachable here, whatever becomes of the branch there.
        git.run("update-ref", f"{mark}/before", found.before)
        if found.after is not None:
            git.run("update-ref", f"{mark}/after", found.after)
        what = "is gone" if found.after is None else "was rewritten by others"
        message = f"The branch {found.branch} at {state.remote} {what}"
        detail = Detail(
            "alarm",
            {"remote": state.remote, "address": state.address, "branch": found.branch}
            | {"before": found.before, "after": found.after},
        )
        record = _write(project, identity, "reset", message, detail, outcome="failed")
    return replace(state, state="rewritten", commit=git.head(), record=record)


def _put_on_record(
    project: Project, identity: Identity, state: Synced, begun: str | None, theirs: str | None
) -> Synced:
    """Write what is brought and sent, if there is anything but earlier records of syncs in it."""
    git = project.git
    head = git.head()
    assert head is not None
    sent = count_commits(git, head, theirs)
    worth = (sent and is_work(git, theirs, head)) or (state.brought and is_work(git, begun, head))
    if worth and state.record is None:
        message = f"Synced with {state.remote}: {state.brought} commits brought, {sent} sent"
        detail = Detail(
            "ref",
            {"remote": state.remote, "address": state.address, "branch": state.branch}
            | {"theirs": theirs, "mine": head, "brought": state.brought, "sent": sent},
        )
        state = replace(state, record=_write(project, identity, "merge", message, detail))
        sent += 1
    return replace(state, sent=sent)


def _write(
    project: Project,
    identity: Identity,
    action: str,
    message: str,
    detail: Detail,
    outcome: str = "done",
) -> Signed:
    record = {
        "type": "sync",
        "action": action,
        "outcome": outcome,
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    signed, paths = Recorder(project, identity).write(record, detail)
    commit_only(project, paths, message)
    return signed
