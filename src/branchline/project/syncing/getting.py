"""Bring the content of files that this clone does not have, and put on record where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import NotAllowed, NotFound
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.data.guard import judge_keys
from branchline.project.data.places import here
from branchline.project.git.intake import Progress
from branchline.project.git.keyed import held, key_id_of
from branchline.project.git.keys import digest_of_key, is_forgeable, object_place, size_of_key
from branchline.project.git.settings import check_network
from branchline.project.manifest import printable_path
from branchline.project.names import shown
from branchline.project.place import Project
from branchline.project.saving import commit_only
from branchline.project.syncing.copies import Copy, copies_of, keys_at

_FROM = re.compile(r"^from (\S+?)\.\.\.$", re.M)
_REMOTE = re.compile(r"^remote\.(.+)\.url$")
_NAMED = 3
PATIENCE = {"annex.stalldetection": "1KB/60s"}
"""How slow a transfer is given up; what arrived of it is kept, and the next one goes on from there."""


@dataclass(frozen=True)
class Arrived:
    """A content that came.

    Args:
        path: The file.
        key: Git-annex's name of the content.
        remote: Where it came from, as git calls it; empty where git-annex did not say.
    """

    path: str
    key: str
    remote: str


@dataclass(frozen=True)
class Failed:
    """A content that did not come.

    Args:
        path: The file.
        key: Git-annex's name of the content.
        why: A sentence on who has it, or had it.
    """

    path: str
    key: str
    why: str


@dataclass(frozen=True)
class Got:
    """What `get` did.

    Args:
        arrived: What came.
        failed: What did not.
        here: How many contents were here already.
        record: What was put on record; None where nothing was to be brought.
        unchecked: Files whose content came and could not be held against its name: it is keyed, and
            this clone has no data key; or it is a name that any content can bear.
    """

    arrived: Sequence[Arrived]
    failed: Sequence[Failed]
    here: int
    record: Signed | None
    unchecked: Sequence[str] = ()


def get(
    project: Project,
    identity: Identity,
    paths: Sequence[str],
    progress: Progress,
    *,
    remote: str = "",
    leave: bool = False,
) -> Got:
    """Bring the content of files, and put on record what came from where, and what did not.

    A transfer that broke goes on where it was. Every content is held against its name.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        paths: Files, and folders with all below them.
        progress: Told how far it is.
        remote: Only from there; from wherever it is by default.
        leave: Whether what a rule keeps from this clone is left out and named, and the rest comes.

    Raises:
        NotFound: Git-annex keeps nothing at a path, or there is no such remote.
        NotAllowed: A rule says that this clone may not have one, and it is not to be left.
    """
    if remote and f"remote.{remote}.url" not in project.git.own:
        known = f"remote.{remote}.annex-uuid" in project.git.own
        if not known:
            raise NotFound(f"There is no remote {remote[:80]!r}", advice="See 'git remote'")
    keys = keys_at(project, paths)
    absent = {path: key for path, key in keys.items() if not is_here(project, key)}
    if not absent:
        return Got((), (), len(keys), None)
    kept_out = _kept_out(project, absent)
    if kept_out and not leave:
        raise NotAllowed(next(iter(kept_out.values())), advice="See 'branchline data rules'")
    wanted = {path: key for path, key in absent.items() if path not in kept_out}
    arrived = _transfer(project, wanted, remote, progress) if wanted else []
    came = {each.path for each in arrived}
    # The same content may stand at several paths; git-annex brings it once.
    arrived += [
        Arrived(path, key, "")
        for path, key in wanted.items()
        if path not in came and is_here(project, key)
    ]
    came = {each.path for each in arrived}
    left = {path: key for path, key in absent.items() if path not in came}
    copies = copies_of(project, list(left.values()))
    failed = [
        Failed(path, key, kept_out.get(path) or _why(path, copies[key]))
        for path, key in left.items()
    ]
    unchecked = tuple(each.path for each in arrived if not _checkable(project, each.key))
    record = _put_on_record(project, identity, arrived, failed, unchecked)
    return Got(arrived, failed, len(keys) - len(absent), record, unchecked)


def _transfer(
    project: Project, absent: Mapping[str, str], remote: str, progress: Progress
) -> list[Arrived]:
    check_network(project.git.own)
    words = ("get", "--batch", "-z", "--json", "--json-progress", "--json-error-messages")
    chosen = (f"--from={remote}",) if remote else ()
    total = sum(size_of_key(key) or 0 for key in absent.values())
    arrived: list[Arrived] = []
    done = 0
    settings = {**PATIENCE, **_verifying(project)}
    for told in project.annex.stream((*words, *chosen), list(absent), settings):
        action = told.get("action")
        if isinstance(action, dict):
            now = done + int(told.get("byte-progress") or 0)
            progress(_far(now, total, len(arrived), len(absent)))
            continue
        path = told.get("file")
        if told.get("success") and isinstance(path, str) and path in absent:
            done += size_of_key(absent[path]) or 0
            found = _FROM.search(str(told.get("note", "")))
            arrived.append(Arrived(path, absent[path], found[1] if found else remote))
            progress(_far(done, total, len(arrived), len(absent)))
    return arrived


def _verifying(project: Project) -> dict[str, str]:
    """Return the settings by which git-annex holds all that comes against its name, from anywhere."""
    remotes = [found[1] for found in map(_REMOTE.match, project.git.own) if found]
    return {f"remote.{name}.annex-verify": "true" for name in remotes} | {"annex.verify": "true"}


def _checkable(project: Project, key: str) -> bool:
    """Tell whether this clone can hold a content against its name."""
    name = key_id_of(key)
    return held(project.root, name) is not None if name is not None else not is_forgeable(key)


def _far(done: int, total: int, count: int, of: int) -> str:
    share = f", {100 * done // total} % of {total / (1 << 20):.1f} MiB" if total else ""
    return f"bringing contents: {count} of {of}{share}"


def is_here(project: Project, key: str) -> bool:
    """Tell whether a content is in this clone."""
    return (project.root / ".git/annex/objects" / object_place(key)).exists()


def _kept_out(project: Project, absent: Mapping[str, str]) -> dict[str, str]:
    """Return the files that may not come into this clone, each with a sentence that says why."""
    today = SystemClock().now().date()
    said = judge_keys(project.git, project.rules, absent.values(), here(project), today)
    return {
        path: f"{shown(path)} may not come into this clone: {reason}"
        for path, key in absent.items()
        if (reason := said[key]) is not None
    }


def _why(path: str, copies: Sequence[Copy]) -> str:
    """Say who has a content, or had it last."""
    having = [each.name for each in copies if each.there]
    had = [f"{each.name} (until {each.at})" for each in copies if not each.there]
    if having:
        names = ", ".join(having[:_NAMED])
        return f"{shown(path)} could not be brought; it is said to be at {names}, which was not reached"
    if had:
        return f"{shown(path)} is nowhere any more; it was once at {', '.join(had[:_NAMED])}"
    return f"{shown(path)} is nowhere, and no place ever said that it had it"


def _put_on_record(
    project: Project,
    identity: Identity,
    arrived: Sequence[Arrived],
    failed: Sequence[Failed],
    unchecked: Sequence[str],
) -> Signed:
    sources = sorted({each.remote for each in arrived if each.remote})
    where = f" from {', '.join(sources)}" if sources else ""
    some = f"; {len(failed)} could not be brought" if failed else ""
    message = f"Brought {len(arrived)} contents{where}{some}"
    recorder = Recorder(project, identity)
    listed = [
        {"path": printable_path(e.path), "content": digest_of_key(e.key) or e.key, "from": e.remote}
        for e in arrived
    ]
    lost = [
        {"path": printable_path(e.path), "content": digest_of_key(e.key) or e.key} for e in failed
    ]
    details: list[Detail] = [recorder.keep_json("location", listed)]
    if unchecked:
        paths = [printable_path(path) for path in unchecked]
        details.append(recorder.keep_json("metadata", {"unchecked": paths}))
    if lost:
        details.append(recorder.keep_json("error", lost))
    record = {
        "type": "data",
        "action": "get",
        "outcome": "failed" if failed else "done",
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    signed, written = recorder.write(record, *details)
    commit_only(project, written, message)
    return signed
