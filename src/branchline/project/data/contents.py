"""The contents that a list names, from wherever this clone keeps them, whatever stands at their paths now."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from branchline.foundation.digest import digest_of_file
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import NotFound
from branchline.project.data.lists import Item
from branchline.project.git.keyed import held, key_id_of
from branchline.project.git.keys import digest_of_key, object_place
from branchline.project.git.objects import read_objects
from branchline.project.names import shown
from branchline.project.place import Project

GIT = "git:"


def place_of(project: Project, item: Item) -> Path | None:
    """Return where a content of git-annex is in this clone; None if it is not here, or git's."""
    if item.content.startswith(GIT):
        return None
    place = project.root / ".git/annex/objects" / object_place(item.content)
    return place if place.is_file() else None


def absent(project: Project, items: Sequence[Item]) -> list[str]:
    """Return the paths whose content is not in this clone."""
    return [
        item.path
        for item in items
        if not item.content.startswith(GIT) and place_of(project, item) is None
    ]


@contextmanager
def laid_out(project: Project, items: Sequence[Item]) -> Iterator[dict[str, Path]]:
    """Give contents as files whose names end as their paths do; removed afterwards.

    Args:
        project: The project.
        items: Which.

    Raises:
        NotFound: One is not in this clone.
    """
    missing = absent(project, items)
    if missing:
        raise NotFound(
            f"The content of {shown(missing[0])} is not in this clone",
            advice="Get it with 'branchline get'",
            detail={"absent": missing[:100]},
        )
    folder = make_folder(project.state / "scratch") / secrets.token_hex(8)
    folder.mkdir(mode=0o700)
    try:
        yield {item.path: _lay(project, item, folder, n) for n, item in enumerate(items)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verdict(project: Project, item: Item) -> str:
    """Return what holding a content against its name says: whole, changed, absent or unverified."""
    if item.content.startswith(GIT):
        name = item.content.removeprefix(GIT)
        found = project.git.run("cat-file", "-t", name, accept=(0, 1, 128))
        return "whole" if found.strip() == b"blob" else "absent"
    place = place_of(project, item)
    if place is None:
        return "absent"
    digest = digest_of_key(item.content)
    if digest is not None:
        return "whole" if digest_of_file(place) == digest else "changed"
    key = key_id_of(item.content)
    secret = held(project.root, key) if key is not None else None
    if secret is None:
        return "unverified"
    return "whole" if secret.name_of_file(place) == item.content else "changed"


def _lay(project: Project, item: Item, folder: Path, number: int) -> Path:
    name = folder / f"{number}{Path(item.path).suffix.lower()}"
    place = place_of(project, item)
    if place is not None:
        os.symlink(place, name)
    else:
        (content,) = read_objects(project.git, f"{item.content.removeprefix(GIT)}\n".encode(), 1)
        name.write_bytes(content)
    return name
