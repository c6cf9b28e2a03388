"""Show a sandbox an image of the store: its trees, and nothing of the host.

The image's top-level folders are bound one by one, so that what a session needs beside them - its
scratch space, the train, the data - can stand between them without a mount point in the image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from branchline.environment.activation import variables, words_before
from branchline.environment.errors import EnvironmentDamaged
from branchline.environment.image.image import DEBIAN_PYTHON
from branchline.environment.image.images import open_image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import Trees, check_trees, materialise
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt

_PATH = "/usr/local/bin:/usr/bin:/bin"
_OF_SESSIONS = ("branchline", "data", "dev", "in", "out", "proc", "run", "sys", "tmp", "train")
_NOT_BOUND = frozenset((*_OF_SESSIONS, "work", "boot", "home", "media", "mnt", "root"))
"""Folders that a session makes for itself, and those that no program inside has business in."""
_FILES = (
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntrain:x:1000:1000:train:/tmp:/bin/sh\n"),
    ("/etc/group", "root:x:0:\ntrain:x:1000:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
)


@dataclass(frozen=True)
class ImageMount:
    """Say how a sandbox shows an image; see the sandbox's `EnvironmentMount`."""

    trees: Trees
    root: Sequence[tuple[Path, str]]
    links: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]
    python: str = DEBIAN_PYTHON
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    before: Sequence[str] = ()

    def verify(self) -> None:
        """Check that every file is what was built.

        Raises:
            EnvironmentDamaged: One is not; the sentence names it.
        """
        try:
            check_trees(self.trees)
        except Corrupt as error:
            raise _damaged(error) from error

    def with_files(self, paths: Sequence[str]) -> ImageMount:
        """Show some of this machine's files, too, where the image has a place for them."""
        texts = [
            (path, Path(path).read_text(errors="replace"))
            for path in paths
            if Path(path).is_file() and (self.trees.debian / path[1:]).is_file()
        ]
        return replace(self, files=[*self.files, *texts])


def mount_image(store: Store, digest: Digest) -> ImageMount:
    """Lay an image of the store out, if it is not yet, and return how it is shown.

    Raises:
        NotFound: It is not in the store, or not whole.
        EnvironmentDamaged: It is not what was built; the sentence names the file.
        Refused: A package of conda's says badly which variables it needs.
    """
    try:
        image = open_image(store, digest)
        mount = mount_trees(materialise(image, store))
        if not image.path:
            return replace(mount, python=image.python)
        return replace(
            mount,
            python=image.python,
            env={**variables(mount.trees.debian), "PATH": f"{image.path}:{_PATH}"},
            before=words_before(mount.trees.debian),
        )
    except Corrupt as error:
        raise _damaged(error) from error


def _damaged(error: Corrupt) -> EnvironmentDamaged:
    return EnvironmentDamaged(error.refused, advice=error.advice, detail=error.detail)


def mount_trees(trees: Trees) -> ImageMount:
    """Return how an image that is laid out is shown."""
    root: list[tuple[Path, str]] = []
    links: list[tuple[str, str]] = []
    with os.scandir(trees.debian) as listed:
        for found in sorted(listed, key=lambda each: each.name):
            inside = f"/{found.name}"
            if found.is_symlink():
                links.append((os.readlink(found.path), inside))
            elif found.name not in _NOT_BOUND and os.listdir(found.path):
                root.append((Path(found.path), inside))
    for folder, inside in ((trees.local, "/usr/local"), (trees.meta, "/usr/share/branchline")):
        if (trees.debian / inside[1:]).is_dir():
            root.append((folder, inside))
    # A file can be hidden by the session's own only where there is one: /etc is bound read-only.
    files = [(path, text) for path, text in _FILES if (trees.debian / path[1:]).is_file()]
    return ImageMount(trees, root, links, files)
