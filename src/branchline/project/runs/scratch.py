"""A scratch copy of a project as one commit has it: nothing that happens there touches the project."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from branchline.foundation.durable import make_folder
from branchline.foundation.errors import NotFound, Refused
from branchline.project.git.keys import key_in_link, key_in_pointer, object_place
from branchline.project.git.objects import read_objects
from branchline.project.names import why_not
from branchline.project.place import Project


@contextmanager
def scratch_copy(project: Project, commit: str, needed: Sequence[str]) -> Iterator[Path]:
    """Give a folder with a commit's files, contents of git-annex included; removed afterwards.

    Args:
        project: The project.
        commit: The commit.
        needed: Paths whose content must be there; of others, what is here is laid out.

    Raises:
        NotFound: There is no such commit, or a needed content is not in this clone.
        Refused: A name in the commit cannot be laid out.
    """
    base = make_folder(project.state / "scratch") / secrets.token_hex(8)
    base.mkdir()
    try:
        work = base / "work"
        work.mkdir()
        _lay_out(project, commit, needed, base, work)
        yield work
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _lay_out(project: Project, commit: str, needed: Sequence[str], base: Path, work: Path) -> None:
    git = project.git
    found = git.lines("ls-tree", "-r", "-z", "--full-tree", commit)
    paths = [line.partition("\t")[2] for line in found]
    for path in paths:
        if ".." in path.split("/") or (why_not(path) or "").find(".git") != -1:
            raise Refused(f"{path!r} in the commit {commit[:12]} cannot be laid out")
    index = {"GIT_INDEX_FILE": str(base / "index")}
    git.run("read-tree", commit, variables=index)
    git.run("checkout-index", "--all", "--force", f"--prefix={work}/", variables=index)
    for line in found:
        meta, _, path = line.partition("\t")
        mode = meta.split()[0]
        file = work / path
        if mode == "120000":
            key = key_in_link(os.readlink(file))
        elif mode.startswith("100") and file.stat().st_size < 4096:
            key = key_in_pointer(file.read_bytes())
        else:
            continue
        if key is not None:
            _content(project, key, path, file, must=_is_needed(path, needed))


def _content(project: Project, key: str, path: str, file: Path, *, must: bool) -> None:
    """Put a copy of a content in place of the link to it: a command may do with it what it will."""
    place = project.root / ".git/annex/objects" / object_place(key)
    if place.exists():
        file.unlink()
        shutil.copyfile(place, file)
    elif must:
        raise NotFound(
            f"The content of {path!r} is not in this clone",
            advice=f"Get it with 'git annex get --key={key}'",
        )


def _is_needed(path: str, needed: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in needed)


def contents_of(
    project: Project, commit: str, paths: Sequence[str]
) -> dict[str, bytes | Path | None]:
    """Return files as a commit has them: their bytes, or where git-annex has them; None if not here.

    Args:
        project: The project.
        commit: The commit.
        paths: Those wanted; what it does not have is left out.
    """
    if not paths:
        return {}
    lines = project.git.lines("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    parts = [line.partition("\t") for line in lines]
    asked = "".join(f"{meta.split()[2]}\n" for meta, _, _ in parts).encode()
    texts = read_objects(project.git, asked, len(parts))
    found: dict[str, bytes | Path | None] = {}
    for (meta, _, path), text in zip(parts, texts, strict=True):
        link = meta.startswith("120000")
        key = key_in_link(os.fsdecode(text)) if link else key_in_pointer(text)
        if key is None:
            found[path] = text
            continue
        place = project.root / ".git/annex/objects" / object_place(key)
        found[path] = place if place.exists() else None
    return found
