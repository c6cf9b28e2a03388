"""Collect garbage: what no image of the store needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.image import images
from branchline.environment.image.objects import name_of
from branchline.environment.image.store import Store, remove
from branchline.environment.image.trees import tree_names
from branchline.environment.lock.fetch import cache_of
from branchline.environment.lock.leftovers import clear_apt, clear_fetching
from branchline.environment.lock.pool import Pool
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Collected:
    """What was removed.

    Args:
        images: By request.
        layers: That no image has.
        trees: That no image is laid out as.
        objects: Contents that no layer has.
        files: Packages and wheels that no lock of an image names.
        unfinished: Folders that killed programs left.
        leftovers: Files that fetches left, and package lists that nobody has used for a month.
        size: Bytes freed, as files' sizes.
    """

    images: int
    layers: int
    trees: int
    objects: int
    files: int
    unfinished: int
    leftovers: int
    size: int


def collect(store: Store, *, forget: Sequence[Digest] = (), pools: bool = False) -> Collected:
    """Remove images by request, and everything that no remaining image needs.

    A crash leaves less garbage, never a damaged image: images go first, and what they need last.

    Args:
        store: The store.
        forget: Images to remove.
        pools: Whether packages and wheels go, too, that no image's lock names. They are what
            an image can be built from again without a network. Debian's package lists go, too.

    Raises:
        NotFound: An image to forget is not there.
        Unavailable: Something is being built.
    """
    with store.collecting():
        for digest in forget:
            if not images.folder_of(store, digest).exists():
                raise NotFound(f"The image {digest} is not in the store {store.folder}")
        unfinished = store.sweep()
        for digest in forget:
            remove(images.folder_of(store, digest))
        kept = [images.open_image(store, digest) for digest in images.all_images(store)]
        live = {layer.digest for image in kept for layer in image.layers}
        trees = _trees(store, {name for image in kept for name in tree_names(image.digest, store)})
        layers = _layers(store, live)
        objects, size = _objects(store, live)
        files, more = _pools(store, [image.digest for image in kept]) if pools else (0, 0)
        left, bytes_ = clear_fetching(store.folder / "fetching")
        lists, most = clear_apt(cache_of(store), everything=pools)
        _forget_holds(store)
    size += more + bytes_ + most
    return Collected(len(forget), layers, trees, objects, files, unfinished, left + lists, size)


def _trees(store: Store, live: set[str]) -> int:
    dead = [tree for tree in store.trees.iterdir() if tree.name not in live]
    for tree in dead:
        remove(tree)
    return len(dead)


def _layers(store: Store, live: set[Digest]) -> int:
    removed = 0
    for file in (store.folder / "layers").iterdir():
        if file.is_file() and f"sha256:{file.name.removesuffix('.json')}" not in live:
            file.unlink()
            removed += 1
    for key in (store.folder / "layers" / "by-key").iterdir():
        if key.read_text("ascii") not in live:
            key.unlink()
    return removed


def _objects(store: Store, live: set[Digest]) -> tuple[int, int]:
    needed = {
        name_of(entry)
        for digest in live
        for entry in store.layer(digest).entries
        if entry.kind == "file"
    }
    removed = size = 0
    for name, path in store.objects.names():
        if name not in needed:
            size += os.lstat(path).st_size
            os.unlink(path)
            removed += 1
    return removed, size


def _pools(store: Store, kept: Iterable[Digest]) -> tuple[int, int]:
    debs, wheels, condas, texts = set[str](), set[str](), set[str](), set[str]()
    for digest in kept:
        lock = images.lock_of(store, digest)
        if lock is None:
            continue
        debs |= {package.sha256 for package in lock.debian.packages}
        texts |= {release.inrelease_sha256 for release in lock.debian.releases}
        if lock.conda is not None:
            condas |= {package.sha256 for package in lock.conda.packages}
        if lock.python is not None:
            wheels |= {wheel.sha256 for wheel in lock.python.wheels}
            texts.add(lock.python.pylock_sha256)
    found = [
        _pool(pool, needed)
        for pool, needed in (
            (store.debs, debs),
            (store.wheels, wheels),
            (store.condas, condas),
            (store.texts, texts),
        )
    ]
    return sum(count for count, _ in found), sum(size for _, size in found)


def _pool(pool: Pool, needed: set[str]) -> tuple[int, int]:
    removed = size = 0
    for file in pool.folder.iterdir() if pool.folder.is_dir() else ():
        if file.name not in needed and not _arrives(file):
            size += file.stat().st_size
            file.unlink()
            removed += 1
    return removed, size


def _arrives(file: Path) -> bool:
    """Tell whether a file may be on its way in: it has no name yet, and is of today."""
    return file.name.startswith(".") and time.time() - file.stat().st_mtime < _DAY_SECONDS


def _forget_holds(store: Store) -> None:
    """Remove lock files; the store's own stays, since it is held."""
    for file in (store.folder / "held").iterdir():
        if file.name != "store":
            file.unlink()
