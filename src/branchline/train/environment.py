"""What a train runs in: the lock in its bundle, held against the bundle, or an image's digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME, Lock, parse_lock
from branchline.foundation.digest import Digest, digest_of, sha256_of
from branchline.train.entry import FunctionsEntry
from branchline.train.errors import BundleRefused
from branchline.train.manifest import MANIFEST, Manifest

_RUNTIME = ("numpy", "pyarrow")
"""What the sandbox's own part needs of every image."""
_RELOCK = "Lock and build it again with 'branchline environment lock' and '… build'"


@dataclass(frozen=True)
class TrainEnvironment:
    """Say what a train runs in.

    Args:
        image: The image's digest; None for each machine's own Python environment.
        lock: What the image was built from and can be built from again; None if it is not told.
        python: The distributions it imports.
    """

    image: Digest | None = None
    lock: Lock | None = None
    python: tuple[str, ...] = ()

    @property
    def reproducible(self) -> bool:
        """Whether anybody can build this environment again from the train alone."""
        return self.lock is not None


def read_environment(manifest: Manifest, files: Mapping[str, bytes]) -> TrainEnvironment:
    """Read what a train runs in from its manifest and files.

    Raises:
        BundleRefused: The lock is missing, names no image, or does not fit the rest of the train.
        Corrupt, Refused: It is no lock, or was changed since it was written.
    """
    needs = manifest.environment
    if needs.lock is None:
        return TrainEnvironment(needs.image, python=needs.python)
    if needs.lock not in files:
        raise BundleRefused(
            f"{MANIFEST} names {needs.lock!r}, which is not in the train",
            advice="Make one with 'branchline environment lock' and '… build'",
        )
    lock = parse_lock(files[needs.lock])
    if lock.image is None:
        raise BundleRefused(
            f"{needs.lock!r} names no image", advice="Build it with 'branchline environment build'"
        )
    _check_pylock(needs.lock, lock, files)
    _check_imports(manifest, lock)
    return TrainEnvironment(lock.image, lock, needs.python)


def _check_pylock(path: str, lock: Lock, files: Mapping[str, bytes]) -> None:
    if lock.python is None:
        return
    beside = path.removesuffix(LOCK_NAME) + PYLOCK_NAME
    if beside not in files:
        raise BundleRefused(f"{path!r} needs {beside!r}, which is not in the train", advice=_RELOCK)
    if sha256_of(digest_of(files[beside])).hex() != lock.python.pylock_sha256:
        raise BundleRefused(
            f"{beside!r} is not the one that {path!r} was made with", advice=_RELOCK
        )


def _check_imports(manifest: Manifest, lock: Lock) -> None:
    lacking = missing(lock, (*_RUNTIME, *_frames(manifest), *manifest.environment.python))
    if lacking:
        raise BundleRefused(
            f"The train's environment lacks {', '.join(dict.fromkeys(lacking))}",
            advice="Add them to what the lock is made from, and lock and build it again",
        )


def missing(lock: Lock, requirements: Iterable[str]) -> list[str]:
    """Return those requirements ("name" or "name==version") that a lock does not meet.

    A wheel meets them; without a version Debian's package ``python3-NAME`` does, too. Where Python
    is conda's, its packages do, and Debian's do not.
    """
    wheels = {} if lock.python is None else {_normal(w.name): w.version for w in lock.python.wheels}
    debian = {package.name for package in lock.debian.packages}
    if lock.conda is not None and lock.conda.python is not None:
        # Imported here: few locks have any of conda's packages.
        from branchline.environment.lock.conda.resolve import of_python

        wheels, debian = of_python(lock.conda) | wheels, set()
    lacking = []
    for text in requirements:
        name, _, version = text.partition("==")
        found = wheels.get(_normal(name))
        held = found is not None and version in ("", found)
        if not held and (version or f"python3-{_normal(name)}" not in debian):
            lacking.append(text)
    return lacking


def _frames(manifest: Manifest) -> tuple[str, ...]:
    entry = manifest.station
    frames = isinstance(entry, FunctionsEntry) and entry.frame == "pandas" and manifest.needs
    return ("pandas",) if frames else ()


def _normal(name: str) -> str:
    """Return a distribution's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
