"""Hold what a train says of its origin against the project: commit, code, activity, lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import BranchlineError, NotFound
from branchline.project.activity.feed import newest
from branchline.project.activity.files import FOLDER, read_blob, value_of
from branchline.project.activity.record import Record, Signed, check_signature
from branchline.project.activity.verify import verify
from branchline.project.data.listing import every_list
from branchline.project.git.keys import digest_of_key, key_in_link, key_in_pointer
from branchline.project.git.objects import read_objects
from branchline.project.names import shown
from branchline.project.place import Project
from branchline.train.bundle import OpenBundle
from branchline.train.manifest import MANIFEST
from branchline.train.origin import Origin, with_origin

_MAGIC = (b"%%writefile", b"%%file")


@dataclass(frozen=True)
class Step:
    """One thing that was checked.

    Args:
        says: What holds, if it does.
        problem: Why it does not; empty if it does.
    """

    says: str
    problem: str = ""


@dataclass(frozen=True)
class Written:
    """Who wrote a file of a train last.

    Args:
        path: In the project.
        how: cell, run or save.
        record: The record's digest.
        at: When.
        by: The name claimed in it.
        message: What it says.
        place: The notebook and prompt, or the command.
    """

    path: str
    how: str
    record: str
    at: str
    by: str
    message: str
    place: str = ""


@dataclass(frozen=True)
class Traced:
    """What came of it.

    Args:
        steps: What was checked.
        written: For each file of the train that was found, who wrote it last.
    """

    steps: tuple[Step, ...]
    written: tuple[Written, ...]

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not any(step.problem for step in self.steps)


def trace(project: Project, train: OpenBundle) -> Traced:
    """Hold a train against the project that it says it was packed from.

    Args:
        project: A clone of it.
        train: The train.

    Raises:
        NotFound: The train says nothing of a project.
    """
    origin = train.manifest.origin
    if origin is None:
        raise NotFound(
            "The train names no project", advice="Only trains that were packed in a project do"
        )
    steps = [_project(project, origin)]
    if not steps[0].problem:
        steps += [_commit(project, origin)]
    if any(step.problem for step in steps):
        return Traced(tuple(steps), ())
    steps += [_files(project, origin, train.files), _record(project, origin)]
    steps += list(_lists(project, origin))
    return Traced(tuple(steps), tuple(_written(project, origin, train.files)))


def _project(project: Project, origin: Origin) -> Step:
    says = f"The train was packed from this project, {project.described.name}"
    known = project.described.id
    return Step(says, "" if known == origin.project else f"It names {origin.project}, not {known}")


def _commit(project: Project, origin: Origin) -> Step:
    says = f"The project has the commit {origin.commit[:12]}"
    found = project.git.run("branch", "--all", "--contains", origin.commit, accept=(0, 1, 128, 129))
    return Step(says, "" if found.strip() else "No branch of this clone has it")


def _files(project: Project, origin: Origin, files: Mapping[str, bytes]) -> Step:
    says = f"All {len(files)} files of the train are as that commit has them"
    there = _tree(project, origin)
    for path, data in sorted(files.items()):
        name = _in_project(origin, path)
        if name not in there:
            return Step(says, f"The commit has no {shown(name)}")
        (content,) = read_objects(project.git, f"{there[name][1]}\n".encode(), 1)
        key = (
            key_in_link(os.fsdecode(content))
            if there[name][0] == "120000"
            else key_in_pointer(content)
        )
        if path == MANIFEST:
            same = key is None and with_origin(content, origin) == data
        elif key is not None:
            same = digest_of_key(key) == digest_of(data)
        else:
            same = content == data
        if not same:
            return Step(says, f"{shown(name)} is another one there")
    return Step(says)


def _record(project: Project, origin: Origin) -> Step:
    says = f"The activity holds, up to record number {origin.seq} of {origin.clone} and beyond"
    found = next((s for s in newest(project) if s.digest == origin.record), None)
    if found is None or (found.record.clone, found.record.seq) != (origin.clone, origin.seq):
        return Step(says, "That record is not in this clone's activity")
    faults = [fault for fault in verify(project).faults if fault.clone in ("", origin.clone)]
    return Step(says, faults[0].sentence if faults else "")


def _lists(project: Project, origin: Origin) -> Iterator[Step]:
    if not origin.lists:
        return
    try:
        known = {e.digest: e for versions in every_list(project).values() for e in versions}
    except BranchlineError as error:
        yield Step("The data lists can be read", error.refused)
        return
    for used in origin.lists:
        says = f"The data list {used.name}@{used.number} is the one that the train names"
        found = known.get(used.digest)
        same = found is not None and (found.name, found.number) == (used.name, used.number)
        yield Step(says, "" if same else "This clone has no such version")


def _written(project: Project, origin: Origin, files: Mapping[str, bytes]) -> Iterator[Written]:
    """Yield who wrote each file last, as far as records tell: a run, a cell, or a save."""
    there = _tree(project, origin)
    names = {_in_project(origin, path): path for path in files}
    wanted = {n: _content_name(project, *there[n]) for n in names if n in there}
    saved: dict[str, Signed] = {}
    ran: dict[str, Signed] = {}
    cells: dict[str, Signed] = {}
    for signed in _up_to(project, origin):
        record = signed.record
        if record.type == "execution":
            for entry in (value_of(project, record, "outputs") or {}).get("files", []):
                _first(ran, entry, wanted, signed)
            text = _cell_text(project, record)
            for name, path in names.items() if text else ():
                if name not in cells and text == files[path].strip():
                    cells[name] = signed
        elif record.type in ("code", "data", "environment"):
            for entry in value_of(project, record, "manifest") or []:
                _first(saved, entry, wanted, signed)
    for name in sorted(wanted):
        for how, found in (("run", ran), ("cell", cells), ("save", saved)):
            if name in found:
                yield _told(project, name, how, found[name])
                break


def _up_to(project: Project, origin: Origin) -> Iterator[Signed]:
    """Yield the records that the commit has, newest first, and the last one that the train names."""
    words = ("ls-tree", "-r", "-z", "--name-only", origin.commit, "--", FOLDER)
    held = {path.removeprefix(f"{FOLDER}/") for path in project.git.lines(*words)}
    for signed in newest(project):
        if signed.name in held or signed.digest == origin.record:
            check_signature(signed)
            yield signed


def _first(
    found: dict[str, Signed], entry: Mapping[str, object], wanted: Mapping[str, str], signed: Signed
) -> None:
    path = str(entry.get("path"))
    if path not in found and wanted.get(path) == entry.get("content"):
        found[path] = signed


def _told(project: Project, name: str, how: str, signed: Signed) -> Written:
    record = signed.record
    place = ""
    if how == "cell":
        facts = value_of(project, record, "metadata") or {}
        place = f"{facts.get('notebook') or 'a notebook'}, prompt {facts.get('prompt', '?')}"
    elif how == "run":
        place = " ".join((record.detail("command") or {}).get("words", []))[:200]
    return Written(name, how, signed.digest, record.at, record.by.name, record.message, place)


def _cell_text(project: Project, record: Record) -> bytes:
    """Return what a cell held, or wrote into a file with IPython's own words; empty for no cell."""
    found = next((each for each in record.details if each.kind == "code"), None)
    if found is None or not (found.digest or isinstance(found.value, str)):
        return b""
    try:
        text = read_blob(project, found.digest) if found.digest else found.value.encode()
    except NotFound:
        # Its content is not in this clone: the file's save is told of instead.
        return b""
    first, _, rest = text.partition(b"\n")
    return (rest if first.startswith(_MAGIC) else text).strip()


def _tree(project: Project, origin: Origin) -> dict[str, tuple[str, str]]:
    words = ("ls-tree", "-r", "-z", "--full-tree", origin.commit, "--", origin.folder or ".")
    found = {}
    for line in project.git.lines(*words):
        meta, _, path = line.partition("\t")
        found[path] = (meta.split()[0], meta.split()[2])
    return found


def _content_name(project: Project, mode: str, blob: str) -> str:
    if mode != "120000":
        return f"git:{blob}"
    (target,) = read_objects(project.git, f"{blob}\n".encode(), 1)
    key = key_in_link(os.fsdecode(target))
    return f"git:{blob}" if key is None else digest_of_key(key) or key


def _in_project(origin: Origin, path: str) -> str:
    return f"{origin.folder}/{path}" if origin.folder else path
