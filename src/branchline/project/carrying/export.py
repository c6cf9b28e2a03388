"""Write a whole project into one file."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.digest import digest_from, digest_of
from branchline.foundation.durable import sync_folder
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.files import (
    Recorder,
    record_names,
)
from branchline.project.activity.record import Detail
from branchline.project.carrying.crate import described, written
from branchline.project.carrying.form import (
    BUNDLE,
    CRATE,
    FILES,
    MANIFEST,
    Absent,
    Content,
    Manifest,
    Piece,
    name_of_key,
)
from branchline.project.carrying.held import blob_in, paths_in, plain_files
from branchline.project.cloning import look_through
from branchline.project.data.guard import check_push, judge_keys, paths_of_keys
from branchline.project.git.intake import Progress
from branchline.project.git.keys import digest_of_key, object_place
from branchline.project.manifest import printable_path
from branchline.project.names import shown
from branchline.project.place import Project
from branchline.project.saving import commit_only, save

_PIECE = 1 << 20
_LINK = "120000"
_OF_GIT_ANNEX = ("refs/heads/synced/", "refs/heads/adjusted/", "refs/heads/views/")


@dataclass(frozen=True)
class Exported:
    """What `export` did.

    Args:
        file: Where the export is.
        size: Its bytes.
        manifest: What it holds.
        saved: The commit that kept what was not saved yet.
    """

    file: Path
    size: int
    manifest: Manifest
    saved: str | None


def export(
    project: Project,
    identity: Identity,
    file: Path,
    progress: Progress,
    *,
    crate: bool = False,
    to: str | None = None,
    everything: bool = False,
    complete: bool = False,
) -> Exported:
    """Write history, contents and activity into one file, durably or not at all.

    What is not saved yet is saved first. That the project was exported goes on record before, so the
    export has that record, too.

    Args:
        project: The project, held by its lock.
        identity: Whose keys sign the record.
        file: Where to; there must be nothing yet.
        progress: Told what is done.
        crate: Whether it is to be an RO-Crate, with the files as they are now.
        to: A place that the project's rules describe: it is judged as if it went there.
        everything: Whether what rules keep from an unknown place is in it all the same.
        complete: Whether it has to have every content.

    Raises:
        NotAllowed: Git itself holds something that may not leave.
        NotFound: A content is not in this clone, and all are wanted; or there is no such place.
        Conflict: There is something at the file.
        Refused: A name or a link of the project cannot be laid out everywhere.
        Corrupt: A content here is damaged.
    """
    git = project.git
    if os.path.lexists(file):
        raise Conflict(f"There is something at {file}", advice="Choose a new name")
    if file.resolve().is_relative_to(project.root):
        raise Refused("An export cannot lie in the project", advice="Choose a place outside it")
    if to is not None and to not in project.rules.places:
        raise NotFound(
            f"No rule knows a place {to[:80]!r}", advice="See [places] in branchline.toml"
        )
    saved = save(project, identity, progress, message="As it was before an export").commit
    # What cannot be laid out everywhere could not be taken in again.
    look_through(git)
    refs = _refs(project)
    today = SystemClock().now().date()
    stood = paths_of_keys(git)
    held: Mapping[str, str | None] = {}
    if not everything:
        tips = [c for ref, c in refs.items() if ref != "refs/heads/git-annex"]
        check_push(git, project.rules, to, tips, [], today)
        held = judge_keys(git, project.rules, stood, to, today, stood=stood)
    left_out = [_absent(k, stood[k], why) for k, why in sorted(held.items()) if why is not None]
    wanted = [key for key in sorted(stood) if held.get(key) is None]
    missing = [
        _absent(k, stood[k], "not in the clone") for k in wanted if not _place(project, k).exists()
    ]
    if missing and complete:
        raise NotFound(
            f"The content of {shown(missing[0].paths[0])} is not in this clone "
            f"({len(missing)} are missing)",
            advice="Get them with 'branchline get', or export without --complete",
        )
    _put_on_record(project, identity, file.name, to, everything, left_out)
    refs = _refs(project)
    gone = {each.key for each in missing}
    waiting = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        with waiting.open("xb") as out:
            with zipfile.ZipFile(out, "w", allowZip64=True) as archive:
                made = _Writer(project, archive, progress)
                history = made.history(list(refs))
                entries = made.files() if crate else {}
                found = [made.content(key, entries) for key in wanted if key not in gone]
                manifest = _manifest(project, refs, history, found, missing, left_out)
                if crate:
                    blobs = partial(blob_in, project, {each.key for each in found})
                    graph = described(project, manifest, entries, paths_in(project, refs), blobs)
                    _add(archive, CRATE, written(graph))
                text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
                _add(archive, MANIFEST, text + b"\n")
            out.flush()
            os.fsync(out.fileno())
        os.link(waiting, file)
        sync_folder(file.parent)
    finally:
        waiting.unlink(missing_ok=True)
    return Exported(file, file.stat().st_size, manifest, saved)


class _Writer:
    """Writes into the zip what is large."""

    def __init__(self, project: Project, archive: zipfile.ZipFile, progress: Progress) -> None:
        self.project, self.archive, self.progress = project, archive, progress
        self._done = 0

    def history(self, refs: Sequence[str]) -> Piece:
        self.progress("writing the history")
        with tempfile.TemporaryDirectory(dir=self.project.state) as folder:
            place = Path(folder) / BUNDLE
            self.project.git.run("bundle", "create", "--quiet", str(place), *refs)
            with place.open("rb") as source:
                return self._write(BUNDLE, source)

    def files(self) -> dict[str, Content]:
        """Write the files as they are saved, and return what is at each path below ``files``."""
        found = {}
        for path, (name, text) in plain_files(self.project.git).items():
            _add(self.archive, FILES + path, text)
            found[path] = Content(f"git:{name}", FILES + path, len(text), digest_of(text))
        return found

    def content(self, key: str, files: dict[str, Content]) -> Content:
        self._done += 1
        self.progress(f"writing contents: {self._done}")
        with _place(self.project, key).open("rb") as source:
            name = name_of_key(key)
            piece = self._write(name, source)
        expected = digest_of_key(key)
        if expected is not None and piece.digest != expected:
            raise Corrupt(
                f"The content {key} in this clone is damaged",
                advice="Look at it with 'git annex fsck'; get it again from elsewhere",
            )
        return Content(key, name, piece.size, piece.digest)

    def _write(self, name: str, source: IO[bytes]) -> Piece:
        state, size = hashlib.sha256(), 0
        with self.archive.open(_entry(name), "w", force_zip64=True) as target:
            while piece := source.read(_PIECE):
                state.update(piece)
                size += len(piece)
                target.write(piece)
        return Piece(size, digest_from(state.digest()))


def _manifest(
    project: Project,
    refs: dict[str, str],
    history: Piece,
    found: Sequence[Content],
    missing: Sequence[Absent],
    left_out: Sequence[Absent],
) -> Manifest:
    head, branch = project.git.head(), project.git.branch()
    assert head is not None
    return Manifest(
        project.described.id,
        project.described.name,
        branch or "main",
        head,
        refs,
        len(record_names(project.root)),
        history,
        tuple(found),
        tuple(missing),
        tuple(left_out),
        rfc3339(SystemClock().now()),
    )


def _refs(project: Project) -> dict[str, str]:
    words = ("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
    lines = [line.split(" ", 1) for line in project.git.word(*words).splitlines()]
    return {name: commit for commit, name in lines if not name.startswith(_OF_GIT_ANNEX)}


def _place(project: Project, key: str) -> Path:
    return project.root / ".git/annex/objects" / object_place(key)


def _absent(key: str, paths: set[str], why: str) -> Absent:
    return Absent(key, tuple(sorted(printable_path(path) for path in paths)), why)


def _put_on_record(
    project: Project,
    identity: Identity,
    name: str,
    to: str | None,
    everything: bool,
    left_out: Sequence[Absent],
) -> None:
    message = f"Exported the project as {name}"
    detail = Detail("manifest", {"to": to, "everything": everything, "left_out": len(left_out)})
    record = {
        "type": "project",
        "action": "export",
        "message": message,
        "commit": project.git.head(),
        "branch": project.git.branch(),
    }
    _, paths = Recorder(project, identity).write(record, detail)
    commit_only(project, paths, message)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o100644 << 16
    return entry


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = _entry(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
