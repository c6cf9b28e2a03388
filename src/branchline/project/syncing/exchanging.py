"""Exchange contents with one place: bring what it has and we lack, send what we have and it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchline.foundation.clock import SystemClock
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.data.guard import judge_keys, paths_of_keys
from branchline.project.data.places import here, place_of_remote
from branchline.project.git.annex import Annex
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.git.keys import digest_of_key
from branchline.project.git.settings import check_network
from branchline.project.manifest import printable_path
from branchline.project.place import Project
from branchline.project.saving import commit_only
from branchline.project.syncing.copies import copies_of, keys_at
from branchline.project.syncing.getting import PATIENCE, get, is_here

_SETTING = "branchline-content"


@dataclass(frozen=True)
class Exchanged:
    """What was exchanged.

    Args:
        brought: Files whose content came.
        sent: Files whose content went.
        held: Why rules keep a content from going or coming, by path.
        failed: Files whose content should have come or gone, and did not.
    """

    brought: Sequence[str] = ()
    sent: Sequence[str] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    failed: Sequence[str] = ()


def wants_contents(project: Project, remote: str, asked: bool | None) -> bool:
    """Tell whether contents are exchanged with a place; what was asked for once, holds from then on."""
    name = f"remote.{remote}.{_SETTING}"
    known = project.git.own.get(name) == "true"
    if asked is not None and asked != known:
        project.git.run("config", "--local", name, "true" if asked else "false")
        project.git.forget()
        return asked
    return known


def exchange(project: Project, identity: Identity, remote: str, progress: Progress) -> Exchanged:
    """Exchange the contents of all files as they are now, on record.

    What a rule keeps from either side stays where it is, and is named. What broke off goes on where
    it was.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        remote: What git calls the other place.
        progress: Told how far it is.
    """
    _prepare(project, remote)
    keys = keys_at(project, ["."])
    uuid = project.git.own.get(f"remote.{remote}.annex-uuid")
    copies = copies_of(project, list(dict.fromkeys(keys.values())))
    theirs = {k for k, told in copies.items() if any(c.there and c.uuid == uuid for c in told)}
    absent = {path: key for path, key in keys.items() if not is_here(project, key)}
    coming = {path: key for path, key in absent.items() if key in theirs}
    going = {p: k for p, k in keys.items() if p not in absent and k not in theirs}
    today, rules = SystemClock().now().date(), project.rules
    stood = paths_of_keys(project.git) if rules.rules and (coming or going) else None
    inward = judge_keys(project.git, rules, coming.values(), here(project), today, stood=stood)
    place = place_of_remote(project, remote)
    outward = judge_keys(project.git, rules, going.values(), place, today, stood=stood)
    held = {p: why for p, k in coming.items() if (why := inward[k]) is not None}
    held |= {p: why for p, k in going.items() if (why := outward[k]) is not None}
    brought: list[str] = []
    failed: list[str] = []
    wanted = [path for path in coming if path not in held]
    if wanted:
        got = get(project, identity, wanted, progress, remote=remote)
        brought = [each.path for each in got.arrived]
        failed = [each.path for each in got.failed]
    allowed = {path: key for path, key in going.items() if path not in held}
    sent = _sent(project, remote, allowed, progress) if allowed else []
    # The same content at several paths goes once.
    gone = {allowed[path] for path in sent}
    failed += [path for path, key in allowed.items() if key not in gone]
    if sent:
        _put_on_record(project, identity, remote, {path: allowed[path] for path in sent})
    return Exchanged(brought, sent, held, failed)


def _prepare(project: Project, remote: str) -> None:
    """Have a folder that git-annex does not know yet hold contents; elsewhere others see to that."""
    place = Path(project.git.own.get(f"remote.{remote}.url", ""))
    if not place.is_absolute() or not place.is_dir():
        return
    Annex(Git(place, project.git.held)).begin(f"{remote} in {place.name}")
    # Git-annex finds out by itself what the place is called.
    project.annex.run("info", "--fast", "--json", remote, accept=(0, 1), network=True)
    project.git.forget()


def _sent(
    project: Project, remote: str, allowed: Mapping[str, str], progress: Progress
) -> list[str]:
    check_network(project.git.own)
    words = ("copy", f"--to={remote}", "--batch", "-z", "--json", "--json-progress")
    sent: list[str] = []
    for told in project.annex.stream((*words, "--json-error-messages"), list(allowed), PATIENCE):
        action, path = told.get("action"), told.get("file")
        if isinstance(action, dict):
            progress(f"sending contents: {len(sent)} of {len(allowed)}")
        elif told.get("success") and isinstance(path, str) and path in allowed:
            sent.append(path)
    return sent


def _put_on_record(
    project: Project, identity: Identity, remote: str, sent: Mapping[str, str]
) -> None:
    message = f"Sent {len(sent)} contents to {remote}"
    recorder = Recorder(project, identity)
    listed = [
        {"path": printable_path(path), "content": digest_of_key(key) or key, "to": remote}
        for path, key in sent.items()
    ]
    record = {
        "type": "data",
        "action": "send",
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    _, paths = recorder.write(record, recorder.keep_json("location", listed))
    commit_only(project, paths, message)
