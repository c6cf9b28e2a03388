"""Build an image from a lock and the store's pools; nothing is fetched here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from branchline.environment.image import images
from branchline.environment.image.conda import build_conda, link_scripts
from branchline.environment.image.configure import BuildFailed
from branchline.environment.image.debian import build_base, build_extra, has_base
from branchline.environment.image.differences import refuse_other
from branchline.environment.image.early import unpack_python
from branchline.environment.image.entries import Layer, stacked
from branchline.environment.image.image import Image, documents, labels_of
from branchline.environment.image.meta import build_meta
from branchline.environment.image.parts import parts_of
from branchline.environment.image.python import overwritten, wheels_begun
from branchline.environment.image.recipe import CONDA, RECIPE
from branchline.environment.image.store import Store
from branchline.environment.image.trees import lay_out, materialise, split
from branchline.environment.lock.model import Lock
from branchline.foundation.disk import DiskFull, has_room, told_when_full
from branchline.foundation.errors import Refused, Unavailable

Progress = Callable[[str], None]


def build_image(
    lock: Lock, store: Store, *, progress: Progress = lambda sentence: None, jobs: int = 0
) -> Image:
    """Build the image of a lock; layers that the store has are not built again.

    Everything the lock names must be in the store's pools: nothing is fetched. When the call
    returns, the image is durable and its trees are laid out.

    Args:
        lock: What to build. If it names an image, that very one must come out.
        store: Holds what the lock names, and takes the image.
        progress: Told, in a sentence, what is done now.
        jobs: How many threads and compilers work at once; 0 for one per processor.

    Raises:
        NotFound: A package, a wheel or the `pylock.toml` is not in the store.
        Corrupt: One of them is not what the lock names, or is damaged.
        Refused: A package does not configure itself, a wheel is hostile, the lock is of another
            recipe, or another image came out than the one the lock names.
        Unavailable: The disk is full, or bubblewrap is missing.
    """
    if lock.recipe != RECIPE:
        raise Refused(
            f"The lock is of recipe {lock.recipe}; this program builds recipe {RECIPE}",
            advice="Use the version of Branchline that wrote it, or lock again",
        )
    jobs = jobs or len(os.sched_getaffinity(0))
    with _disk_errors(store):
        _tidy(store)
        with store.building():
            try:
                return _build(lock, store, progress, jobs)
            finally:
                store.tidied()


def _build(lock: Lock, store: Store, progress: Progress, jobs: int) -> Image:
    seconds: dict[str, float] = {}
    with (
        store.temporary("python", aside=True) as scratch,
        wheels_begun(
            lock, store, _early(lock, store, scratch), progress=progress, jobs=jobs
        ) as wheels_of,
    ):
        with _timed("base", seconds):
            base = build_base(lock, store, progress=progress, jobs=jobs)
        with _timed("extra", seconds):
            extra = build_extra(lock, store, base, progress=progress, jobs=jobs)
        debian = [base] if extra is None else [base, extra]
        with _timed("conda", seconds):
            conda = build_conda(lock, store, debian, progress=progress, jobs=jobs)
        with _timed("wheels", seconds):
            wheels = wheels_of(lambda: _tree([*debian, *conda], store))
    with _timed("meta", seconds):
        below = [*debian, *conda, *wheels]
        parts = parts_of(lock, below, store)
        twice, scripts = overwritten([*conda, *wheels]), link_scripts(conda)
        if scripts:
            progress(f"{len(scripts)} link scripts of conda's packages were not run")
        layers = [*below, build_meta(lock, below, twice, store, parts, scripts)]
    with _timed("image", seconds):
        progress("entering the image")
        written = documents(
            layers,
            architecture=lock.debian.architecture,
            epoch=lock.epoch,
            labels=labels_of(lock),
            path=(f"/{CONDA}/bin",) if lock.conda else (),
        )
        refuse_other(lock, written.digest, layers, store)
        image = images.add(store, written, lock=lock)
        materialise(image, store)
    return images.with_seconds(image, seconds)


def _early(lock: Lock, store: Store, scratch: Path) -> Callable[[], Path] | None:
    """Return what gives the lock's Python before its Debian is built; None if that is there."""
    if lock.conda is not None or has_base(lock, store):
        return None
    return lambda: unpack_python(lock, store, scratch)


def _tree(layers: Sequence[Layer], store: Store) -> Path:
    """Return the tree of some layers, laid out."""
    entries, _, _ = split(stacked([layer.entries for layer in layers]))
    return store.trees / lay_out(entries, store) / "root"


def _tidy(store: Store) -> None:
    """Remove what killed builds left, if nobody builds just now."""
    with contextlib.suppress(Unavailable), store.collecting():
        store.sweep()


@contextmanager
def _timed(phase: str, seconds: dict[str, float]) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[phase] = round(time.monotonic() - began, 3)


@contextmanager
def _disk_errors(store: Store) -> Iterator[None]:
    full = DiskFull(
        f"The disk of the store {store.folder} is full; nothing half-built was kept",
        advice="Make room, for example with 'branchline environment gc', and build again",
    )
    try:
        with told_when_full(full):
            yield
    except BuildFailed as error:
        # A package's script says in its own words that it could not write.
        if has_room(store.folder):
            raise
        raise full from error
