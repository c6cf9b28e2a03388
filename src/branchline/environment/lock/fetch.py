"""Bring what a lock names into the store: from this machine's own mirrors and indexes, by hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from branchline.environment.lock.conda.fetch import fetch_conda
from branchline.environment.lock.debian.fetch import fetch_debs
from branchline.environment.lock.debian.machine import Machine, read_machine
from branchline.environment.lock.debian.versions import upstream_of
from branchline.environment.lock.model import PYLOCK_NAME, CondaPackage, Lock, Sha256
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.python.fetch import fetch_wheels
from branchline.environment.lock.python.pylock import NamedWheel, every_url, target_of
from branchline.environment.lock.room import room_in
from branchline.environment.lock.suites import suite_named
from branchline.foundation.errors import Corrupt, NotFound

Progress = Callable[[str], None]
"""Told, in one sentence, what is done now."""

_SHOWN = 3


class Pools(Protocol):
    """What locking and fetching need of a store."""

    folder: Path
    debs: Pool
    wheels: Pool
    condas: Pool
    texts: Pool


def silent(sentence: str) -> None:
    """Tell nobody what is done now."""


def absent(lock: Lock, store: Pools) -> list[str]:
    """Return the files that a lock names and a store does not have, Debian's first."""
    debs = [p.path.rpartition("/")[2] for p in lock.debian.packages if not store.debs.has(p.sha256)]
    condas = lock.conda.packages if lock.conda else ()
    debs += [package.file for package in condas if not store.condas.has(package.sha256)]
    wheels = lock.python.wheels if lock.python else ()
    return debs + [wheel.file for wheel in wheels if not store.wheels.has(wheel.sha256)]


def fetch(
    lock: Lock,
    pylock: bytes,
    store: Pools,
    *,
    machine: Machine | None = None,
    offline: bool = False,
    progress: Progress = silent,
) -> None:
    """Bring everything that a lock names into a store; what is there already is not fetched.

    Args:
        lock: What is needed.
        pylock: The ``pylock.toml`` beside it; empty where the lock has no Python part.
        store: Takes the files.
        machine: How mirrors are reached; this machine's own apt where nothing is said.
        offline: Ask nobody: only look whether all is there.
        progress: Told what is done.

    Raises:
        NotFound: Something is not to be had any more, or not offline; the sentence says what
            remains to be done.
        Corrupt: A mirror or an index has other bytes under a name, or ``pylock`` is not the lock's.
        Unavailable: A mirror or an index cannot be reached, or the disk is full.
    """
    with room_in(store.folder):
        keep_pylock(lock, pylock, store)
        if offline:
            _refuse_absent(absent(lock, store))
        else:
            _fetch(lock, pylock, store, machine, progress)


def _fetch(
    lock: Lock, pylock: bytes, store: Pools, machine: Machine | None, progress: Progress
) -> None:
    debs = [p for p in lock.debian.packages if not store.debs.has(p.sha256)]
    if debs:
        megabytes = sum(package.size for package in debs) / 1e6
        progress(f"fetching {len(debs)} Debian packages, {megabytes:.1f} MB")
        fetch_debs(debs, lock.debian.suite, machine or read_machine(), cache_of(store), store.debs)
    condas = [p for p in _condas(lock) if not store.condas.has(p.sha256)]
    if condas:
        megabytes = sum(package.size for package in condas) / 1e6
        progress(f"fetching {len(condas)} packages of conda's, {megabytes:.1f} MB")
        fetch_conda(condas, store.condas)
    wheels = named_wheels(lock, pylock, store)
    if wheels:
        megabytes = sum(wheel.size or 0 for wheel in wheels) / 1e6
        progress(f"fetching {len(wheels)} wheels, {megabytes:.1f} MB")
        suite = suite_named(lock.debian.suite)
        target = target_of(suite, lock.debian.architecture, python_of(lock))
        fetch_wheels(wheels, store.wheels, target)


def _condas(lock: Lock) -> Sequence[CondaPackage]:
    return lock.conda.packages if lock.conda else ()


def keep_pylock(lock: Lock, pylock: bytes, store: Pools) -> None:
    """Keep a lock's ``pylock.toml`` in the store, where builds look for it.

    Raises:
        Corrupt: It is not the one the lock names.
    """
    if lock.python is None or (not pylock and store.texts.has(lock.python.pylock_sha256)):
        return
    keep_text(pylock, lock.python.pylock_sha256, store, f"{PYLOCK_NAME} beside the lock")


def keep_text(text: bytes, name: Sha256, store: Pools, what: str) -> None:
    """Keep a text in the store under its SHA-256.

    Raises:
        Corrupt: It has another.
    """
    if sha256(text).hexdigest() != name:
        raise Corrupt(
            f"{what} is not the one the lock was made with",
            advice="Take both from where they were kept, or lock again",
        )
    if not store.texts.has(name):
        with store.texts.scratch() as folder:
            file = folder / "text"
            file.write_bytes(text)
            store.texts.adopt(file, name, len(text), what)


def named_wheels(lock: Lock, pylock: bytes, store: Pools) -> Sequence[NamedWheel]:
    """Return the wheels that a store lacks, with the places where they were found."""
    if lock.python is None:
        return ()
    lacking = [wheel for wheel in lock.python.wheels if not store.wheels.has(wheel.sha256)]
    places = every_url(pylock) if lacking and pylock else {}
    return [
        NamedWheel(w.name, w.version, w.file, w.sha256, w.size, places.get(w.sha256, ""))
        for w in lacking
    ]


def cache_of(store: Pools) -> Path:
    """Return where private roots of apt are kept."""
    return store.folder / "apt"


def python_of(lock: Lock) -> str:
    """Return the whole version of the Python that a lock's wheels are for."""
    if lock.conda is not None and lock.conda.python is not None:
        return lock.conda.python
    series = suite_named(lock.debian.suite).python
    name = f"python{series}-minimal"
    return next(
        (upstream_of(p.version) for p in lock.debian.packages if p.name == name), f"{series}.0"
    )


def _refuse_absent(files: Iterable[str]) -> None:
    every = list(files)
    if every:
        more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
        raise NotFound(
            f"The store lacks {', '.join(every[:_SHOWN])}{more}",
            advice="Fetch them where there is a network, or 'environment import' them",
            detail={"absent": every},
        )
