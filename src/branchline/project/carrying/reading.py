"""Read an export, and hold every part of it against what it says of itself."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from branchline.foundation.digest import digest_from
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.zips import DAMAGED_ZIP
from branchline.project.carrying.form import (
    BUNDLE,
    MANIFEST,
    Content,
    Manifest,
    check_entries,
    read_manifest,
)
from branchline.project.cloning import look_through
from branchline.project.description import read_description
from branchline.project.git.calling import GitFailed
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.git.keys import digest_of_key
from branchline.project.names import shown

_PIECE = 1 << 20


def is_export(file: Path) -> bool:
    """Tell whether a file looks like an export of a project: a zip with the list of one."""
    try:
        with zipfile.ZipFile(file) as archive:
            return MANIFEST in archive.NameToInfo
    except DAMAGED_ZIP:
        return False


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


@contextmanager
def opened_export(file: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """Open an export, and give it with what it says it holds.

    Args:
        file: The export.

    Raises:
        NotFound: There is no such file.
        Refused: It is no export.
        Corrupt: It is damaged, or no zip.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}")
    with file.open("rb") as stream:
        archive, manifest = opened(stream, file.name)
        with archive:
            yield archive, manifest


def take_history(
    archive: zipfile.ZipFile, manifest: Manifest, waiting: Path, progress: Progress
) -> list[str]:
    """Take the history in, and judge it as that of any project from elsewhere; return its submodules.

    Args:
        archive: The export.
        manifest: What it says it holds.
        waiting: A new folder, for the repository.
        progress: Told what is done.

    Raises:
        Corrupt: It is damaged, or not what the manifest says.
        Refused: It cannot be laid out everywhere.
    """
    progress("reading the history")
    git = Git(waiting)
    git.run("init", "--quiet", f"--initial-branch={_branch(manifest)}", "--template=")
    git.forget()
    bundle = waiting / ".git" / BUNDLE
    entry = Content(BUNDLE, BUNDLE, manifest.history.size, manifest.history.digest)
    take(archive, entry, bundle)
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


def check_named(content: Content, known: dict[str, set[str]]) -> None:
    """Hold what an export says of a content against the project that is to have it.

    Args:
        content: What it says.
        known: Where each content of the project ever stood.

    Raises:
        Refused: No file of the project has it.
        Corrupt: Its digest is not the one in its name.
    """
    if content.key not in known:
        raise Refused(f"No file of the project has the content {content.key[:120]!r}")
    named = digest_of_key(content.key)
    if named is not None and named != content.digest:
        raise Corrupt(f"The content of {_paths(known[content.key])} is not what its name says")


@contextmanager
def _target(place: Path | None) -> Iterator[IO[bytes]]:
    with Path(os.devnull).open("wb") if place is None else place.open("xb") as target:
        yield target


def take(archive: zipfile.ZipFile, content: Content, place: Path | None) -> None:
    """Read one file of the zip, no more than it says it has, and hold it against its digest.

    Args:
        archive: The export.
        content: What it says of the file.
        place: Where the file is written to; None to check it alone.

    Raises:
        Corrupt: It is not what the manifest says.
    """
    state, size = hashlib.sha256(), 0
    with _target(place) as target:
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
