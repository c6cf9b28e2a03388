"""Read an image whole, say what is damaged, and make it again from what its lock names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from branchline.environment.image import images
from branchline.environment.image.build import build_image
from branchline.environment.image.entries import Entry
from branchline.environment.image.image import Image
from branchline.environment.image.index import check_index
from branchline.environment.image.normal import hashed
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.image.trees import materialise, tree_names
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt, NotFound

_JOBS = 2


@dataclass(frozen=True)
class Health:
    """What reading an image whole has shown.

    Args:
        files: How many files were read.
        damaged: Paths whose content is missing or has changed.
        trees: Paths in laid out trees that are not what was built.
        layers: Layers whose record is missing or does not give its tar.
    """

    files: int
    damaged: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    layers: tuple[Digest, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether everything is what was built."""
        return not (self.damaged or self.trees or self.layers)


def examine(image: Image, store: Store) -> Health:
    """Read everything an image is made of, and compare it with what its digest says.

    Raises:
        NotFound: There is no such image.
        Corrupt: The image's own documents have changed.
    """
    images.open_image(store, image.digest)
    layers: list[Digest] = []
    contents: dict[str, Entry] = {}
    for layer in image.layers:
        try:
            entries = store.layer(layer.digest).entries
        except (NotFound, Corrupt):
            layers.append(layer.digest)
            continue
        contents |= {store.objects.path(entry): entry for entry in entries if entry.kind == "file"}
    with ThreadPoolExecutor(_JOBS) as pool:
        right = pool.map(lambda item: _is_right(*item), contents.items(), chunksize=64)
        wrong = [path for path, is_right in zip(contents, right, strict=True) if not is_right]
    if not wrong:
        layers += _false_records(image, store, layers)
    damaged = tuple(contents[path].path for path in wrong)
    return Health(len(contents), damaged, _trees(image, store), tuple(layers))


def repair(image: Image, store: Store, health: Health, *, progress: Callable[[str], None]) -> Image:
    """Make an image again as it was, from what its lock names.

    Raises:
        NotFound: The lock, or a file it names, is not in the store.
        OtherImage: What came out is another image; the one there stays as it is.
    """
    lock = images.lock_of(store, image.digest)
    if lock is None:
        raise NotFound(
            f"The image {image.digest} was not built from a lock, so it cannot be built again",
            advice="Remove it with 'branchline environment gc --forget', and import it anew",
        )
    if not health.sound:
        clear_damage(image, store)
    built = build_image(lock.with_image(image.digest), store, progress=progress)
    materialise(built, store)
    return built


def clear_damage(image: Image, store: Store) -> None:
    """Take what is damaged of an image out of the store, so that it can be brought in again."""
    for layer in image.layers:
        _drop_damaged(store, layer.digest)
    # Every tree: they share contents, and a damaged one may have been read while it was sound.
    for name in tree_names(image.digest, store):
        with store.temporary("tree") as scratch, contextlib.suppress(FileNotFoundError):
            os.rename(store.trees / name, scratch / name)


def _drop_damaged(store: Store, digest: Digest) -> None:
    try:
        entries = store.layer(digest).entries
    except (NotFound, Corrupt):
        (store.folder / "layers" / f"{digest.removeprefix('sha256:')}.json").unlink(missing_ok=True)
        return
    for entry in entries:
        path = store.objects.path(entry)
        if entry.kind == "file" and os.path.lexists(path) and not _is_right(path, entry):
            os.unlink(path)


def _is_right(path: str, entry: Entry) -> bool:
    try:
        return hashed(path) == (entry.size, entry.sha256)
    except OSError:
        return False


def _false_records(image: Image, store: Store, unread: list[Digest]) -> list[Digest]:
    return [
        layer.digest
        for layer in image.layers
        if layer.digest not in unread
        and digest_and_size(store.layer(layer.digest).entries, store.objects.pieces)[0]
        != layer.digest
    ]


def _trees(image: Image, store: Store) -> tuple[str, ...]:
    wrong: list[str] = []
    for name in tree_names(image.digest, store):
        tree = store.trees / name
        if tree.exists():
            try:
                check_index(tree)
            except Corrupt as error:
                wrong += error.detail.get("paths", [f"tree {name}"])
    return tuple(wrong)
