"""Run a command in a project and put it on record, whatever becomes of it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import NotFound
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.record import Detail, Signed
from branchline.project.adding import add
from branchline.project.data.listing import in_use
from branchline.project.data.receipts import record_gap
from branchline.project.differing import changes_of
from branchline.project.git.intake import Progress
from branchline.project.manifest import Entry, staged
from branchline.project.place import Project, check_inside
from branchline.project.runs.places import Place, Shown
from branchline.project.runs.process import Ended
from branchline.project.saving import commit_only, commit_record, content_tree, save
from branchline.project.syncing.getting import get

_SHOWN = 200


@dataclass(frozen=True)
class Order:
    """What is to be run.

    Args:
        words: The command.
        inputs: Paths of the project that it reads.
        outputs: Paths that it writes.
        message: Why.
        seed: For its random numbers.
        lists: The data lists that it uses, as people name them.
    """

    words: Sequence[str]
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    message: str = ""
    seed: int = 0
    lists: Sequence[str] = ()


@dataclass(frozen=True)
class Ran:
    """What came of it.

    Args:
        ended: How it ended.
        outcome: done, failed or interrupted.
        outputs: What it wrote, declared or not.
        record: What was put on record.
        missing: Outputs that were declared and are not there.
    """

    ended: Ended
    outcome: str
    outputs: Sequence[Entry]
    record: Signed
    missing: Sequence[str]


@dataclass(frozen=True)
class Before:
    """What it ran on.

    Args:
        commit: What was saved then; None before the first.
        tree: Git's tree of it, without the activity.
        inputs: What it was said to read.
        lists: The data lists it was said to use, by name, number and digest.
    """

    commit: str | None
    tree: str
    inputs: Sequence[Entry]
    lists: Sequence[dict[str, str | int]] = ()


def any_seed() -> int:
    """Return a seed made by chance; a record tells it, so a repetition has the same."""
    return secrets.randbelow(2**31)


def run(
    folder: Path, identity: Identity, order: Order, place: Place, progress: Progress, shown: Shown
) -> Ran:
    """Save what there is, run a command, save what it wrote, and put it on record.

    A command that fails or is interrupted is recorded just so, with all it wrote. If this program
    itself ends before that, the next one records the gap.

    Args:
        folder: The project's.
        identity: Whose keys sign.
        order: What is to be run.
        place: In what.
        progress: Told what is done.
        shown: Where what the command prints is passed on to.

    Raises:
        NotFound: An input or a list is not there, or not in this clone; or there is no such program.
        Conflict: A list names other files than the project has.
        Refused: Something in the project cannot be saved.
    """
    with Project.open(folder).working() as project:
        record_gaps(project, identity)
        record_gap(project, identity)
        save(project, identity, progress, message="As it was before a command ran")
        inputs = entries_of(project, order.inputs)
        _bring_inputs(project, identity, inputs, progress)
        lists = [each.named() for each in in_use(project, order.lists)]
        _make_writable(project, order.outputs)
        code, tree = project.git.head(), content_tree(project)
    with _begun(project, order):
        ended = place.run(order.words, project.root, order.seed, shown)
        with Project(project.root).working() as project:
            before = Before(code, tree, inputs, lists)
            return _record(project, identity, order, place, ended, before, progress)


def _record(
    project: Project,
    identity: Identity,
    order: Order,
    place: Place,
    ended: Ended,
    before: Before,
    progress: Progress,
) -> Ran:
    touched = [change.path for change in changes_of(project)]
    add(project, (), progress)
    missing = [path for path in order.outputs if not os.path.lexists(project.root / path)]
    changed = [p for p in touched if not p.endswith("/") and not p.startswith("activity/")]
    outputs = entries_of(project, [*order.outputs, *changed], missing_ok=True)
    outcome = "interrupted" if ended.interrupted else "failed" if ended.code or missing else "done"
    recorder = Recorder(project, identity)
    declared = {"declared": list(order.outputs), "missing": missing}
    details = [
        Detail("command", {"words": list(order.words), "exit": ended.code}),
        Detail("code", {"commit": before.commit, "tree": before.tree}),
        recorder.keep_json("inputs", _listed(before.inputs, {"declared": list(order.inputs)})),
        recorder.keep_json("outputs", _listed(outputs, declared)),
        Detail("resources", dict(ended.resources)),
        Detail("metadata", {"began": ended.began, "ended": ended.ended}),
        Detail("seed", order.seed),
        Detail("environment", place.as_json()),
        recorder.keep("stdout", ended.stdout, "text/plain"),
        recorder.keep("stderr", ended.stderr, "text/plain"),
    ]
    if before.lists:
        details.append(recorder.keep_json("lists", list(before.lists)))
    line = " ".join(order.words)
    record = {
        "type": "execution",
        "action": {"done": "run", "failed": "fail", "interrupted": "interrupt"}[outcome],
        "outcome": outcome,
        "message": order.message or (line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"),
        "commit": project.git.head(),
        "tree": content_tree(project),
        "branch": project.git.branch(),
    }
    signed = commit_record(project, recorder, record, details)
    return Ran(ended, outcome, outputs, signed, missing)


def _listed(entries: Sequence[Entry], more: dict[str, Any]) -> dict[str, Any]:
    return {"files": [entry.as_json() for entry in entries], **more}


def entries_of(project: Project, paths: Sequence[str], *, missing_ok: bool = False) -> list[Entry]:
    """Return what is tracked at and below paths, with digests.

    Raises:
        NotFound: Nothing is tracked at one of them.
    """
    found: dict[str, tuple[str, str, str, str]] = {}
    for line in project.git.lines("ls-files", "-s", "-z", "--", *paths) if paths else []:
        meta, _, path = line.partition("\t")
        mode, name, _ = meta.split()
        found[path] = (mode, name, "A", path)
    for path in () if missing_ok else paths:
        if path not in found and not any(each.startswith(f"{path}/") for each in found):
            raise NotFound(f"There is nothing saved at {path!r}", advice="Check the input's name")
    return [
        Entry(entry.path, "", entry.content, entry.size)
        for entry in staged(project, list(found.values()))
    ]


def _bring_inputs(
    project: Project, identity: Identity, entries: Sequence[Entry], progress: Progress
) -> None:
    """Bring the inputs that are not in this clone; that they were brought is on record."""
    absent = [entry.path for entry in entries if not (project.root / entry.path).exists()]
    if not absent:
        return
    failed = get(project, identity, absent, progress).failed
    if failed:
        raise NotFound(failed[0].why, detail={"absent": [each.path for each in failed[:100]]})


def _make_writable(project: Project, paths: Sequence[str]) -> None:
    """Put copies in place of links into the annex, so that a command can write where it will."""
    for path in paths:
        place = check_inside(project.root, path.rpartition("/")[0]) if "/" in path else project.root
        make_folder(place, 0o755)
    for entry in entries_of(project, paths, missing_ok=True):
        file = project.root / entry.path
        if file.is_symlink() and file.exists():
            copy = file.with_name(f".{file.name}.copy.tmp")
            shutil.copyfile(file, copy)
            os.replace(copy, file)


@contextmanager
def _begun(project: Project, order: Order) -> Iterator[None]:
    """Leave word that a command runs, for the case that nobody is there to record its end."""
    folder = make_folder(project.state / "runs")
    file = folder / f"{secrets.token_hex(8)}.json"
    at = rfc3339(SystemClock().now())
    write_durably(file, msgspec.json.encode({"at": at, "words": list(order.words)}))
    with file.open("rb") as held:
        # Held by this process alone: once it has ended, whoever looks finds it free.
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
        file.unlink()


def record_gaps(project: Project, identity: Identity) -> int:
    """Put on record which commands ran without their end being recorded; return how many."""
    count = 0
    for file in sorted((project.state / "runs").glob("*.json")):
        with file.open("rb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            told = decode_json(held.read() or b"{}", dict[str, Any])
        line = " ".join(told.get("words", []))[:_SHOWN]
        until = rfc3339(SystemClock().now())
        record = {
            "type": "gap",
            "action": "record",
            "outcome": "failed",
            "message": f"Nobody recorded how this ended: {line}",
            "commit": project.git.head(),
            "branch": project.git.branch(),
        }
        detail = Detail("command", {**told, "from": told.get("at"), "until": until})
        signed, paths = Recorder(project, identity).write(record, detail)
        commit_only(project, paths, signed.record.message)
        file.unlink()
        count += 1
    return count
