"""Remove contents from this clone: with git-annex's proof that they stand elsewhere, or because their
time has ended; either way with a receipt that says what it does not cover."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.data.contents import place_of
from branchline.project.data.guard import paths_of_keys
from branchline.project.data.listing import items_at
from branchline.project.data.lists import Item
from branchline.project.data.places import here
from branchline.project.data.rules import Handling
from branchline.project.git.command import GitFailed
from branchline.project.git.intake import Progress, read_objects
from branchline.project.git.keys import log_place, size_of_key
from branchline.project.git.proofs import DEBUG, Proof, read_proofs, trusted_uuids
from branchline.project.names import shown
from branchline.project.place import Project
from branchline.project.saving import commit_only, save

_BRANCH = "refs/heads/git-annex"
_NUMBER = re.compile(rb"^([0-9]{1,4})\b")
_GIT = "git:"
_PLACE = re.compile(r"^[0-9.]+s 1 (?P<uuid>[0-9A-Za-z-]{8,64})$")

_MARK = "dropping.json"
_ENDED = "Its time had ended"

NOT_COVERED = (
    "copies in other clones and at other places, those named in the receipt among them",
    "backups and snapshots of this machine's file systems",
    "what the disk still holds of a freed block: SSDs move blocks about",
    "copies that programs made elsewhere, and what they printed into records",
    "names, sizes and history: git keeps that there was such a file",
)
"""What the removal of a content says nothing of."""


@dataclass(frozen=True)
class Gone:
    """One content that was removed.

    Args:
        key: Git-annex's name of it.
        paths: Where it stands, or stood.
        proof: Why it was safe; None where its time had ended.
        claimed: The repositories that git-annex's branch says have a copy still; nobody asked them.
    """

    key: str
    paths: tuple[str, ...]
    proof: Proof | None
    claimed: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        found: dict[str, Any] = {"content": self.key, "paths": list(self.paths)}
        if self.proof is not None:
            copies = [{"kind": copy.kind, "uuid": copy.uuid} for copy in self.proof.copies]
            wanted = {"numcopies": self.proof.numcopies, "mincopies": self.proof.mincopies}
            found["proof"] = wanted | {"copies": copies}
        return found | {"size": size_of_key(self.key), "claimed": list(self.claimed)}


@dataclass
class Dropped:
    """What came of it.

    Args:
        gone: What was removed.
        kept: What was not, with the reason, by path.
        alarms: What was removed without a proof that holds, by content.
        record: The receipt; None where nothing was removed.
    """

    gone: list[Gone] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    record: Signed | None = None


@dataclass(frozen=True)
class Expired:
    """One content whose time has ended.

    Args:
        key: Git-annex's name of it; git's for a file that git keeps.
        paths: Where it stands, or stood.
        since: The last day on which it might be kept.
        present: Whether it is in this clone.
    """

    key: str
    paths: tuple[str, ...]
    since: date
    present: bool


def drop(
    project: Project, identity: Identity, paths: Sequence[str], reason: str, progress: Progress
) -> Dropped:
    """Remove the contents at paths from this clone, each once enough other copies were looked at.

    No word of git-annex's branch is taken for a copy: repositories that it calls trusted are asked
    like all others, and at least one copy has to be locked while this one goes.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the receipt.
        paths: Files and folders.
        reason: Why, for the receipt.
        progress: Told what is done.

    Raises:
        NotFound: Nothing is saved there, or nothing that git-annex keeps.
        NotAllowed: A rule wants a copy here.
        Conflict: A place that has to have a copy does not.
        Unavailable: It cannot be asked.
    """
    record_gap(project, identity)
    save(project, identity, progress, message="As it was before data were dropped")
    items = [i for i in items_at(project, paths) if not i.content.startswith(_GIT)]
    if not items:
        raise NotFound(
            "Git itself keeps what is there, in every clone and for good",
            advice="Only contents in git-annex can be dropped",
        )
    present = [item for item in items if place_of(project, item) is not None]
    stood = paths_of_keys(project.git)
    _check_required(project, present, stood, progress)
    found = Dropped()
    if present:
        progress(f"asking for copies of {len(present)} contents")
        with _begun(project, {item.content: item.path for item in present}, reason):
            _drop(project, present, stood, found)
            if found.gone:
                found.record = _receipt(project, identity, found, reason)
    return found


def expired(project: Project, today: date) -> list[Expired]:
    """Return what may not be kept any more, by every path at which it ever stood.

    Args:
        project: The project.
        today: The day.
    """
    rules = project.rules
    found = []
    for key, paths in paths_of_keys(project.git).items():
        until = rules.rule_for(*paths).expires
        if until is not None and today > until:
            there = place_of(project, Item("", key)) is not None
            found.append(Expired(key, tuple(sorted(paths)), until, there))
    for item in items_at(project, project.git.lines("ls-files", "-z")):
        until = rules.rule_for(item.path).expires
        if item.content.startswith(_GIT) and until is not None and today > until:
            found.append(Expired(item.content, (item.path,), until, True))
    return sorted(found, key=lambda each: each.paths)


def drop_expired(
    project: Project, identity: Identity, found: Sequence[Expired], progress: Progress
) -> Dropped:
    """Remove from this clone what may not be kept any more, the last copy, too.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the receipt.
        found: What `expired` named.
        progress: Told what is done.
    """
    record_gap(project, identity)
    done = Dropped()
    for each in found:
        if each.key.startswith(_GIT):
            done.kept[each.paths[0]] = "git itself keeps it, in every clone and for good"
    keys = {e.key: e.paths for e in found if e.present and not e.key.startswith(_GIT)}
    if not keys:
        return done
    progress(f"removing {len(keys)} contents")
    with _begun(project, {key: paths[0] for key, paths in keys.items()}, _ENDED):
        _remove(project, keys, done)
        if done.gone:
            done.record = _receipt(project, identity, done, _ENDED)
    return done


def record_gap(project: Project, identity: Identity) -> Signed | None:
    """Put on record which contents went while nobody was there to write the receipt.

    A removal that was killed leaves word of what it was about to remove.
    """
    file = project.state / _MARK
    if not file.exists():
        return None
    told = decode_json(file.read_bytes(), dict[str, Any])
    paths: dict[str, str] = told["contents"]
    gone = [key for key in paths if place_of(project, Item("", key)) is None]
    message = (
        f"Nobody recorded how a removal of {len(paths)} contents ended; {len(gone)} are not here"
    )
    record = {
        "type": "gap",
        "action": "record",
        "outcome": "failed",
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    recorder = Recorder(project, identity)
    found = [{"content": key, "paths": [paths[key]]} for key in gone]
    said = {"from": told["at"], "reason": told["reason"], "gone": found}
    signed, written = recorder.write(record, recorder.keep_json("location", said))
    commit_only(project, written, message)
    file.unlink()
    return signed


@contextmanager
def _begun(project: Project, contents: Mapping[str, str], reason: str) -> Iterator[None]:
    """Leave word of what is about to be removed, until it is on record."""
    file = make_folder(project.state) / _MARK
    told = {"at": rfc3339(SystemClock().now()), "contents": dict(contents), "reason": reason}
    write_durably(file, msgspec.json.encode(told))
    yield
    file.unlink()


def _remove(project: Project, keys: Mapping[str, tuple[str, ...]], done: Dropped) -> None:
    claimed = _claimed(project, list(keys))
    feed = "".join(f"{key}\n" for key in keys).encode()
    words = ("dropkey", "--force", "--json", "--json-error-messages", "--batch")
    printed, _ = project.annex.hear(*words, feed=feed, accept=(0, 1))
    for told in _answers(printed):
        key = told["key"]
        if told.get("success") and place_of(project, Item("", key)) is None:
            done.gone.append(Gone(key, keys[key], None, claimed[key]))
        else:
            done.kept[keys[key][0]] = _why(told)


def _drop(
    project: Project, items: Sequence[Item], stood: Mapping[str, set[str]], found: Dropped
) -> None:
    keys = {item.content: item.path for item in items}
    claimed = _claimed(project, list(keys))
    words = (
        *("drop", "--json", "--json-error-messages", *DEBUG, *_distrust(project)),
        *(
            f"--numcopies={_least(project, 'numcopies')}",
            f"--mincopies={_least(project, 'mincopies')}",
        ),
        *("--batch", "-z"),
    )
    # By path, so that what a person told git-annex to keep there is kept.
    feed = b"".join(os.fsencode(path) + b"\0" for path in keys.values())
    printed, said = project.annex.hear(*words, feed=feed, accept=(0, 1), network=True)
    proofs = read_proofs(said.decode(errors="replace"))
    for told in _answers(printed):
        key = told["key"]
        path = keys.get(key, key)
        if not told.get("success"):
            found.kept[path] = _why(told)
            continue
        proof = proofs.get(key)
        if proof is None or not proof.good:
            found.alarms.append(key)
        paths = tuple(sorted(stood.get(key, {path})))
        found.gone.append(Gone(key, paths, proof, claimed[key]))


def _check_required(
    project: Project, items: Sequence[Item], stood: Mapping[str, set[str]], progress: Progress
) -> None:
    """Refuse to remove what has to be here, or is not where else it has to be."""
    mine = here(project)
    remotes: dict[str, str] = {}
    for name, uuid in project.git.own.items():
        if name.startswith("remote.") and name.endswith(".annex-uuid"):
            remotes[uuid] = name.removeprefix("remote.").removesuffix(".annex-uuid")
    for item in items:
        handling: Handling = project.rules.rule_for(*stood.get(item.content, {item.path}))
        for place in handling.required:
            if place == mine:
                raise NotAllowed(
                    f"{shown(item.path)} has to be kept at {place}, which is this clone",
                    advice="Its rule is in branchline.toml, under 'required'",
                )
            progress(f"asking {place}")
            known = [u for u in project.rules.places[place].annex if u in remotes]
            if not known:
                raise Unavailable(
                    f"{shown(item.path)} has to be kept at {place}, and no remote leads there",
                    advice=f"Tell git of it, and git-annex's name of it under [places.{place}]",
                )
            asked = ("checkpresentkey", item.content)
            if not any(_present(project, *asked, remotes[uuid]) for uuid in known):
                raise Conflict(
                    f"{shown(item.path)} has to be kept at {place}, and is not there",
                    advice=f"Bring it there: 'git annex copy --to {remotes[known[0]]} PATH'",
                )


def _present(project: Project, *words: str) -> bool:
    try:
        project.annex.run(*words, network=True)
    except GitFailed:
        return False
    return True


def _distrust(project: Project) -> list[str]:
    """Return the options by which nobody's mere word stands for a copy."""
    (log,) = read_objects(project.git, f"{_BRANCH}:trust.log\n".encode(), 1)
    uuids = trusted_uuids(log.decode(errors="replace"))
    for name, value in project.git.own.items():
        if name.endswith(".annex-trustlevel") and value == "trusted":
            uuid = project.git.own.get(name.removesuffix("trustlevel") + "uuid")
            uuids += [uuid] if uuid else []
    return [f"--semitrust={uuid}" for uuid in sorted(set(uuids))]


def _least(project: Project, what: str) -> int:
    """Return how many copies are wanted; no branch can say fewer than one."""
    found = _NUMBER.match(project.annex.run(what))
    return max(1, int(found[1]) if found else 1)


def _claimed(project: Project, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return who is said to have each content, beside this clone."""
    asked = "".join(f"{_BRANCH}:{log_place(key)}\n" for key in keys).encode()
    found = {}
    for key, text in zip(keys, read_objects(project.git, asked, len(keys)), strict=True):
        lines = [_PLACE.match(line) for line in text.decode(errors="replace").splitlines()]
        uuids = {line["uuid"] for line in lines if line} - {project.annex.uuid}
        found[key] = tuple(sorted(uuids))
    return found


def _answers(printed: bytes) -> list[dict[str, Any]]:
    return [decode_json(line, dict[str, Any]) for line in printed.splitlines() if line.strip()]


def _why(told: Mapping[str, Any]) -> str:
    words = [*told.get("error-messages", []), str(told.get("note", ""))]
    return " ".join(" ".join(words).split())[:300] or "git-annex did not say why"


def _receipt(project: Project, identity: Identity, found: Dropped, reason: str) -> Signed:
    count = f"{len(found.gone)} content{'s' if len(found.gone) != 1 else ''}"
    alarm = f"; {len(found.alarms)} without a proof that holds" if found.alarms else ""
    record = {
        "type": "data",
        "action": "drop",
        "message": f"Removed {count} from this clone{alarm}. {reason}".rstrip(". ")[:1000],
        "outcome": "failed" if found.alarms else "done",
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    recorder = Recorder(project, identity)
    details = [
        recorder.keep_json("proof", [each.as_json() for each in found.gone]),
        Detail("receipt", _said(project, reason)),
    ]
    if found.alarms:
        details.append(recorder.keep_json("alarm", found.alarms))
    signed, paths = recorder.write(record, *details)
    commit_only(project, paths, signed.record.message)
    return signed


def _said(project: Project, reason: str) -> dict[str, Any]:
    return {
        "reason": reason,
        "clone": project.annex.uuid,
        "host": os.uname().nodename,
        "covers": "the contents' files in this clone's .git/annex",
        "does_not_cover": list(NOT_COVERED),
    }
