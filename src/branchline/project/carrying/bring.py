"""Make a project of an export again, once every byte of it was held against what it says."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from branchline.foundation.digest import digest_from
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused, Unavailable
from branchline.foundation.zips import DAMAGED_ZIP
from branchline.project.activity.verify import Checked, verify
from branchline.project.carrying.form import (
    BUNDLE,
    MANIFEST,
    Content,
    Manifest,
    check_entries,
    read_manifest,
)
from branchline.project.cloning import look_through, remove_clone
from branchline.project.data.guard import install_hook, paths_of_keys
from branchline.project.description import read_description
from branchline.project.git.calling import GitFailed
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress, sync_file_system
from branchline.project.git.keys import digest_of_key, object_place
from branchline.project.git.telling import tell_locations
from branchline.project.names import shown
from branchline.project.place import Project

_PIECE = 1 << 20
_SPARE = 64 << 20


@dataclass(frozen=True)
class Brought:
    """What `bring` did.

    Args:
        project: The project.
        manifest: What the export said it holds.
        modules: Submodules that were left out.
        checked: What verification of its activity found.
    """

    project: Project
    manifest: Manifest
    modules: list[str]
    checked: Checked


def bring(file: Path, folder: Path | None, progress: Progress) -> Brought:
    """Make a project of an export, in a new folder.

    Refused or killed, it leaves nothing at the folder.

    Args:
        file: The export.
        folder: Where it goes; must be new or empty. By default it has the project's name.
        progress: Told what is done.

    Raises:
        NotFound: There is no such file.
        Refused: It is no export, or one that cannot be laid out everywhere.
        Corrupt: Something in it is not what it says; the sentence names it.
        Conflict: There is something at the folder.
        Unavailable: There is not enough space.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}")
    with file.open("rb") as stream:
        archive, manifest = opened(stream, file.name)
        with archive:
            where = folder or Path(manifest.name)
            if where.exists() and (not where.is_dir() or any(where.iterdir())):
                raise Conflict(f"There is something at {where}", advice="Choose a new folder")
            return _bring(archive, manifest, where, progress)


def opened(stream: BinaryIO, name: str) -> tuple[zipfile.ZipFile, Manifest]:
    """Read what an export says it holds; no content is read yet.

    Args:
        stream: The file.
        name: What it is called in sentences.

    Raises:
        Refused: It is no export.
        Corrupt: It is damaged, or no zip.
    """
    try:
        archive = zipfile.ZipFile(stream)
        entries = check_entries(archive.infolist())
        text = archive.read(MANIFEST)
    except DAMAGED_ZIP as error:
        raise Corrupt(
            f"{name} is damaged, or no zip at all: {error}", advice="Have it made again"
        ) from error
    return archive, read_manifest(text, entries)


def _bring(
    archive: zipfile.ZipFile, manifest: Manifest, folder: Path, progress: Progress
) -> Brought:
    parent = make_folder(folder.absolute().parent, 0o755)
    needed = 2 * manifest.history.size + sum(each.size for each in manifest.contents) + _SPARE
    if needed > shutil.disk_usage(parent).free:
        raise Unavailable(f"There is not enough space: {needed >> 20} MiB are needed")
    waiting = parent / f".{folder.name}.{secrets.token_hex(4)}.import"
    try:
        make_folder(waiting)
        modules = _history(archive, manifest, waiting, progress)
        project = Project(waiting)
        progress("laying out")
        project.git.run("read-tree", "-m", "-u", "HEAD", unlocked=True)
        progress("preparing git-annex")
        project.annex.begin(f"{folder.name} at {os.uname().nodename}")
        install_hook(waiting)
        _contents(archive, manifest, project, progress)
        if folder.exists():
            folder.rmdir()
        waiting.rename(folder)
    except BaseException:
        remove_clone(waiting)
        raise
    made = Project(folder.resolve())
    progress("verifying its activity")
    return Brought(made, manifest, modules, verify(made))


def _history(
    archive: zipfile.ZipFile, manifest: Manifest, waiting: Path, progress: Progress
) -> list[str]:
    """Take the history in, and judge it as that of any project from elsewhere."""
    progress("reading the history")
    git = Git(waiting)
    git.run("init", "--quiet", f"--initial-branch={_branch(manifest)}", "--template=")
    git.forget()
    bundle = waiting / ".git" / BUNDLE
    entry = Content(BUNDLE, BUNDLE, manifest.history.size, manifest.history.digest)
    _write(archive, entry, bundle)
    listed = _refs_of(git, bundle)
    if listed != manifest.refs:
        raise Corrupt(f"{BUNDLE} brings other branches than {MANIFEST} says")
    words = ("-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags")
    more = ("--no-recurse-submodules", "--no-write-fetch-head", "--update-head-ok")
    refs = [f"{ref}:{ref}" for ref in manifest.refs]
    try:
        git.run(*words, *more, str(bundle), *refs)
    except GitFailed as error:
        raise Corrupt(f"The history in the export is damaged: {error.refused}") from error
    bundle.unlink()
    if git.head() != manifest.head:
        raise Corrupt(f"The branch {manifest.branch!r} does not end where {MANIFEST} says")
    modules = look_through(git)
    text = git.run("cat-file", "blob", "HEAD:branchline.toml")
    if read_description(text).id != manifest.project:
        raise Corrupt(f"The history is of another project than {MANIFEST} says")
    return modules


def _branch(manifest: Manifest) -> str:
    ref = f"refs/heads/{manifest.branch}"
    if manifest.refs.get(ref) != manifest.head or any(
        not each.startswith(("refs/heads/", "refs/tags/")) for each in manifest.refs
    ):
        raise Refused(f"{MANIFEST} names branches that no project has")
    return manifest.branch


def _refs_of(git: Git, bundle: Path) -> dict[str, str]:
    try:
        printed = git.word("bundle", "list-heads", str(bundle))
    except GitFailed as error:
        raise Corrupt(f"{BUNDLE} is damaged: {error.refused}") from error
    return {name: commit for commit, name in (line.split(" ", 1) for line in printed.splitlines())}


def _contents(
    archive: zipfile.ZipFile, manifest: Manifest, project: Project, progress: Progress
) -> None:
    """Put contents into their places, each held against its name, and tell git-annex of them."""
    known = paths_of_keys(project.git)
    for number, each in enumerate(manifest.contents):
        if number % 100 == 0:
            progress(f"taking contents in: {number} of {len(manifest.contents)}")
        if each.key not in known:
            raise Refused(f"No file of the project has the content {each.key[:120]!r}")
        named = digest_of_key(each.key)
        if named is not None and named != each.digest:
            raise Corrupt(f"The content of {_paths(known[each.key])} is not what its name says")
        place = project.root / ".git/annex/objects" / object_place(each.key)
        make_folder(place.parent, 0o755)
        _write(archive, each, place)
        place.chmod(0o444)
        place.parent.chmod(0o555)
    sync_file_system(project.root)
    uuid = project.annex.uuid
    assert uuid is not None
    tell_locations(project.git, uuid, [each.key for each in manifest.contents])


def _write(archive: zipfile.ZipFile, content: Content, place: Path) -> None:
    """Write one file of the zip, no more than it says it has, and only if it is what it says."""
    state, size = hashlib.sha256(), 0
    with place.open("xb") as target:
        for piece in _pieces(archive, content.file):
            size += len(piece)
            if size > content.size:
                break
            state.update(piece)
            target.write(piece)
    if size != content.size or digest_from(state.digest()) != content.digest:
        raise Corrupt(f"{shown(content.file)} in the export is not what {MANIFEST} says it is")


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Yield what a file of the zip holds; only what reading raises is the zip's fault."""
    try:
        with archive.open(name) as source:
            while piece := source.read(_PIECE):
                yield piece
    except DAMAGED_ZIP as error:
        raise Corrupt(f"{shown(name)} in the export is damaged") from error


def _paths(paths: set[str]) -> str:
    return ", ".join(shown(path) for path in sorted(paths)[:3])
