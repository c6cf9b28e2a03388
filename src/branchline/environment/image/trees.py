"""Lay images out as root filesystems: folders of hard links to the store's objects.

An image has three trees: Debian's, what is below /usr/local, and what the image says of itself.
Each is named by the digest of its list of files, so images that agree in one share it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.image.entries import Entry, check_shape, digest_of_entries, stacked
from branchline.environment.image.glance import Glance
from branchline.environment.image.image import Image
from branchline.environment.image.index import Hashes, check_index, write_index
from branchline.environment.image.objects import DATE_NS
from branchline.environment.image.recipe import LOCAL, META
from branchline.environment.image.store import Store
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt

_ROOT = "root"
_NAMES = "trees"


@dataclass(frozen=True)
class Trees:
    """Where an image is laid out. Read-only: whoever writes there destroys the environment.

    Args:
        debian: The root filesystem; bound at /.
        local: Bound at /usr/local.
        meta: Bound at /usr/share/branchline.
    """

    debian: Path
    local: Path
    meta: Path

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """The three of them."""
        return self.debian, self.local, self.meta


def materialise(image: Image, store: Store) -> Trees:
    """Return an image's trees, laid out and read back if they are not there yet.

    Trees that are there are not looked at: see `check_trees`.

    Raises:
        NotFound: A layer or a content is missing in the store.
        Corrupt: A content is not what its layer says; the sentence names the file.
    """
    if remembered := tree_names(image.digest, store):
        found = _trees(store, remembered)
        if all(path.is_dir() for path in found.all):
            return found
    seen = stacked([store.layer(layer.digest).entries for layer in image.layers])
    check_shape(seen)
    parts = split(seen)
    names = [lay_out(entries, store) for entries in parts]
    file = _names_file(image.digest, store)
    if file.parent.is_dir():
        store.write(file, " ".join(names).encode())
    return _trees(store, names)


def check_trees(trees: Trees) -> int:
    """Check that trees are what was built; return how many files had to be read for it.

    Raises:
        Corrupt: A file is another one than it was; the sentence names it.
    """
    with ExitStack() as looking:
        # All looks are begun before the first one is waited for.
        looks = [(p.parent, looking.enter_context(Glance(p.parent))) for p in trees.all]
        return sum(check_index(tree, glance=glance) for tree, glance in looks)


def split(seen: dict[str, Entry]) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """Divide what an image shows into the entries of its three trees."""
    debian, local, meta = [], [], []
    for path, entry in seen.items():
        if path.startswith(f"{LOCAL}/"):
            local.append(_below(entry, LOCAL))
        elif path.startswith(f"{META}/"):
            meta.append(_below(entry, META))
        else:
            debian.append(entry)
    return debian, local, meta


def _below(entry: Entry, folder: str) -> Entry:
    return Entry(
        entry.path[len(folder) + 1 :],
        entry.kind,
        entry.mode,
        entry.size,
        entry.sha256,
        entry.target,
    )


def lay_out(entries: Sequence[Entry], store: Store) -> str:
    """Make the tree of some entries, if there is none, and return its name."""
    name = digest_of_entries(entries).removeprefix("sha256:")
    target = store.trees / name
    with store.making(f"tree-{name}"):
        if target.is_dir():
            return name
        with store.temporary("tree") as scratch:
            tree = scratch / name
            root = tree / _ROOT
            root.mkdir(parents=True)
            _fill(root, entries, store)
            hashes: Hashes = {}
            write_index(tree, entries, hashes)
            store.publish(tree, target)
    _renew_others(store, name, hashes)
    return name


def _fill(root: Path, entries: Iterable[Entry], store: Store) -> None:
    folders = []
    for entry in entries:
        path = f"{root}/{entry.path}"
        if entry.kind == "folder":
            os.mkdir(path)
            folders.append((path, entry.mode))
        elif entry.kind == "link":
            os.symlink(entry.target, path)
        else:
            store.objects.link(entry, path)
    for path, mode in reversed([(str(root), 0o755), *folders]):
        os.chmod(path, mode | 0o500)
        os.utime(path, ns=(DATE_NS, DATE_NS))


def _renew_others(store: Store, name: str, hashes: Hashes) -> None:
    """Renew the indexes of trees that share files with a new one.

    A new hard link changes a file's ctime. Looked at now, while the contents just read are known,
    it costs nothing later, when somebody waits.
    """
    for tree in store.trees.iterdir():
        if tree.name != name:
            try:
                check_index(tree, hashes)
            except (Corrupt, FileNotFoundError):
                continue  # whoever uses it is told; or it has just been collected


def tree_names(image: Digest, store: Store) -> list[str]:
    """Return the names of the trees an image has been laid out as; none if it has not."""
    try:
        return _names_file(image, store).read_text("ascii").split()
    except FileNotFoundError:
        return []


def _names_file(image: Digest, store: Store) -> Path:
    return store.images / image.removeprefix("sha256:") / _NAMES


def _trees(store: Store, names: Sequence[str]) -> Trees:
    debian, local, meta = (store.trees / name / _ROOT for name in names)
    return Trees(debian, local, meta)
