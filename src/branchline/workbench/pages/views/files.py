"""The project's files: folder by folder, and what each holds."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from branchline.foundation.errors import NotFound
from branchline.project.changes import Change
from branchline.project.differing import changes_of
from branchline.project.git.keys import key_in_link, object_place, size_of_key
from branchline.project.place import Project
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.code import code
from branchline.workbench.pages.shown.media import EMPTY
from branchline.workbench.pages.shown.notebook import ShownCell, notebook
from branchline.workbench.pages.shown.rich_text import markdown
from branchline.workbench.pages.shown.sheet import Sheet, sheet
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import Frame, frame

_ENTRIES = 2000
_READ = 512 << 10
_NOTEBOOK = 8 << 20
PICTURES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
    ".webp": "image/webp", ".svg": "image/svg+xml",
}  # fmt: skip
_TABLES = (".csv", ".tsv", ".tab")


@dataclass(frozen=True)
class Entry:
    """Something in a folder.

    Args:
        name: Its name.
        path: Its path in the project.
        kind: folder, file or link.
        size: Its bytes, where they are known.
        kept: By whom: git, git-annex, or nobody (``ignored`` and new files).
        here: Whether its content is in this clone.
        change: What differs from the last save; empty if nothing does.
    """

    name: str
    path: str
    kind: str
    size: int | None = None
    kept: str = ""
    here: bool = True
    change: str = ""


@dataclass(frozen=True)
class Crumb:
    """A folder on the way."""

    name: str
    path: str


@dataclass(frozen=True)
class FolderPage:
    """A folder.

    Args:
        frame: What stands around it.
        path: Its path; empty for the project itself.
        crumbs: The folders on the way.
        entries: Folders first.
        more: How many more there are.
        readme: What it says of itself.
    """

    frame: Frame
    path: str
    crumbs: tuple[Crumb, ...]
    entries: tuple[Entry, ...]
    more: int
    readme: Markup


@dataclass(frozen=True)
class FilePage:
    """A file.

    Args:
        frame: What stands around it.
        crumbs: The folders on the way.
        entry: The file.
        form: How it is shown: code, table, picture, notebook, markdown, bytes or absent.
        text: Its text as HTML.
        table: Its first rows.
        cells: Its cells.
        cut: Whether there is more than is shown.
        lines: How many lines are shown.
    """

    frame: Frame
    crumbs: tuple[Crumb, ...]
    entry: Entry
    form: str
    text: Markup = EMPTY
    table: Sheet | None = None
    cells: tuple[ShownCell, ...] = ()
    cut: bool = False
    lines: int = 0


def folder_page(opened: Opened, path: str) -> FolderPage:
    """Return what a folder's page shows.

    Raises:
        NotFound: There is none, or a link is on the way.
    """
    project = opened.project
    place = _inside(project, path)
    changes = {
        _without_slash(c.path): c
        for c in changes_of(project, [path] if path else [], each=False, aside=True)
    }
    names = sorted(os.listdir(place), key=lambda name: (name.casefold(), name))
    shown = [name for name in names if path or name != ".git"]
    found = [
        _entry(project, f"{path}/{name}" if path else name, changes) for name in shown[:_ENTRIES]
    ]
    found.sort(key=lambda entry: entry.kind != "folder")
    readme = place / "README.md"
    said = _beginning(readme, _READ).decode(errors="replace") if _is_file(readme) else ""
    return FolderPage(
        frame=frame(opened, "files", path or "Files"),
        path=path,
        crumbs=_crumbs(path),
        entries=tuple(found),
        more=max(0, len(shown) - _ENTRIES),
        readme=markdown(said) if said else Markup(""),
    )


def file_page(opened: Opened, path: str) -> FilePage:
    """Return what a file's page shows.

    Raises:
        NotFound: There is none, or a link is on the way.
    """
    project = opened.project
    content = content_of(project, path)
    entry = _entry(
        project, path, {_without_slash(c.path): c for c in changes_of(project, [path], aside=True)}
    )
    around = frame(opened, "files", entry.name)
    crumbs = _crumbs(path)
    if entry.kind == "folder":
        raise _nothing(path)
    if content is None:
        form = "absent" if entry.kept == "git-annex" else "link"
        return FilePage(around, crumbs, entry, form)
    ending = Path(path).suffix.lower()
    if ending in PICTURES:
        return FilePage(around, crumbs, entry, "picture")
    if ending == ".ipynb" and (entry.size or 0) <= _NOTEBOOK:
        cells = notebook(_beginning(content, _NOTEBOOK))
        if cells is not None:
            return FilePage(around, crumbs, entry, "notebook", cells=tuple(cells))
    raw = _beginning(content, _READ)
    whole = len(raw) == entry.size
    if b"\0" in raw[:8192]:
        return FilePage(
            around, crumbs, entry, "bytes", escape(_dump(raw[:512])), cut=len(raw) > 512
        )
    text = raw.decode(errors="replace")
    if ending in _TABLES and (table := sheet(text, whole=whole)) is not None:
        return FilePage(around, crumbs, entry, "table", table=table, cut=not table.whole)
    if ending in (".md", ".markdown"):
        return FilePage(around, crumbs, entry, "markdown", markdown(text), cut=not whole)
    shown = code(text, Path(path).name)
    return FilePage(
        around, crumbs, entry, "code", shown, cut=not whole, lines=len(text.splitlines())
    )


def content_of(project: Project, path: str) -> Path | None:
    """Return where a file's content is; None where it is not here, or is none of the project's.

    A link is followed into the project's own annex, and nowhere else.

    Raises:
        NotFound: A link is on the way to it.
    """
    if any(map(_is_odd, path.split("/"))):
        raise _nothing(path)
    file = _inside(project, path.rpartition("/")[0]) / path.rpartition("/")[2]
    if file.is_symlink():
        key = key_in_link(os.readlink(file))
        if key is None:
            return None
        file = project.root / ".git/annex/objects" / object_place(key)
    return file if _is_file(file) else None


def _nothing(path: str) -> NotFound:
    return NotFound(f"There is no {plain(path[:200])!r} in the project")


def _is_odd(part: str) -> bool:
    return part in ("", ".", "..", ".git") or "\0" in part


def _inside(project: Project, path: str) -> Path:
    """Return a folder of the project; no part of its path is a link, or leads up."""
    parts = path.split("/") if path else []
    here = project.root
    for part in parts:
        if _is_odd(part) or (here := here / part).is_symlink():
            raise _nothing(path)
    if not here.is_dir():
        raise _nothing(path)
    return here


def _entry(project: Project, path: str, changes: dict[str, Change]) -> Entry:
    file = project.root / path
    name = plain(path.rpartition("/")[2].encode("utf-8", "backslashreplace").decode())
    try:
        found = os.lstat(file)
    except (OSError, ValueError):
        raise _nothing(path) from None
    change = changes[path].kind if path in changes else ""
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, path, "folder", change=change)
    if not stat.S_ISLNK(found.st_mode):
        return Entry(
            name, path, "file", found.st_size, "" if change == "new" else "git", True, change
        )
    key = key_in_link(os.readlink(file))
    if key is None:
        return Entry(name, path, "link", change=change)
    here = (project.root / ".git/annex/objects" / object_place(key)).exists()
    return Entry(name, path, "file", size_of_key(key), "git-annex", here, change)


def _crumbs(path: str) -> tuple[Crumb, ...]:
    parts = path.split("/") if path else []
    return tuple(Crumb(plain(part), "/".join(parts[: n + 1])) for n, part in enumerate(parts))


def _without_slash(path: str) -> str:
    return path.removesuffix("/")


def _is_file(file: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(file).st_mode)
    except OSError:
        return False


def _beginning(file: Path, most: int) -> bytes:
    with file.open("rb") as source:
        return source.read(most)


def _dump(raw: bytes) -> str:
    lines = []
    for at in range(0, len(raw), 16):
        row = raw[at : at + 16]
        said = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {said}")
    return "\n".join(lines)
