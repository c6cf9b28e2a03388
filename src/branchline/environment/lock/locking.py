"""Lock an environment: Debian first, since it brings the Python that all else is chosen for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from packaging.utils import canonicalize_name

from branchline.environment.lock.conda.resolve import lock_conda, of_python
from branchline.environment.lock.debian.machine import Machine, read_machine
from branchline.environment.lock.debian.resolve import LockedDebian, lock_debian
from branchline.environment.lock.fetch import (
    Pools,
    Progress,
    cache_of,
    keep_text,
    python_of,
    silent,
)
from branchline.environment.lock.model import (
    PYLOCK_NAME,
    CondaPart,
    DebianPart,
    Lock,
    Sha256,
    SpecPart,
    source_of,
)
from branchline.environment.lock.python.pylock import target_of
from branchline.environment.lock.python.resolve import LockedPython, lock_python
from branchline.environment.lock.room import room_in
from branchline.environment.lock.suites import RECIPE
from branchline.environment.lock.wanted import Options, Wanted, decide
from branchline.environment.spec import Detected
from branchline.foundation.errors import Refused, Unavailable


@dataclass(frozen=True)
class Locked:
    """A lock with the texts that lie beside it.

    Args:
        pylock: ``pylock.toml``; empty where the lock has no Python part.
        evidence: The release files' texts, by SHA-256.
        notes: Sentences a person should read.
    """

    lock: Lock
    pylock: bytes = b""
    evidence: Mapping[Sha256, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def lock_environment(
    detected: Detected | None,
    options: Options,
    store: Pools,
    *,
    before: Locked | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> Locked:
    """Lock what spec files and options ask for.

    What ``before`` holds stays, as far as what is asked for now allows it and ``options.upgrade``
    does not name it. Where the same is asked for as before, nothing is resolved at all.

    Args:
        detected: What spec files ask for; None where there are none.
        options: What a person decides.
        store: Where packages are kept, and apt's lists.
        before: The lock that is renewed.
        machine: This machine's apt; read from its configuration where nothing is said.
        progress: Told what is done.

    Raises:
        Refused: Something asked for does not exist, cannot be locked, or excludes the rest.
        Corrupt: Something that came is not what it must be.
        Unavailable: A mirror or an index cannot be reached, or the disk is full.
    """
    with room_in(store.folder):
        return _lock(detected, options, store, before, machine, progress)


def _lock(
    detected: Detected | None,
    options: Options,
    store: Pools,
    before: Locked | None,
    machine: Machine | None,
    progress: Progress,
) -> Locked:
    wanted = decide(detected, options, before.lock if before else None)
    if before is not None and before.lock.debian.suite != wanted.suite.name:
        before = None
    free = _Free.of(options.upgrade, before)
    debian = _debian(wanted, options, store, before, free, machine, progress)
    lock = Lock(RECIPE, _epoch(debian.part), _spec(wanted, options), debian.part)
    if wanted.conda is not None:
        conda = _conda(wanted, options, store, before, free, lock, progress)
        lock = msgspec.structs.replace(lock, conda=conda)
    pylock = b""
    if wanted.has_python:
        python = _python(wanted, options, store, before, free, lock, progress)
        pylock = python.pylock
        keep_text(pylock, python.part.pylock_sha256, store, PYLOCK_NAME)
        lock = msgspec.structs.replace(lock, python=python.part)
    if before is not None and before.lock.digest == lock.digest:
        lock = before.lock
    return Locked(lock, pylock, debian.evidence, debian.notes)


@dataclass(frozen=True)
class _Free:
    """What may move when a lock is renewed; None where that is everything."""

    debian: frozenset[str] | None = frozenset()
    python: frozenset[str] | None = frozenset()
    conda: frozenset[str] | None = frozenset()

    @classmethod
    def of(cls, names: Sequence[str] | None, before: Locked | None) -> _Free:
        """Tell Debian's packages from Python's by what the lock has.

        Raises:
            Refused: The lock has none of the name.
        """
        if names is None or before is None:
            return cls(None, None, None)
        lock = before.lock
        sources = {source_of(package) for package in lock.debian.packages if package.name in names}
        debian = {p.name for p in lock.debian.packages if source_of(p) in sources}
        wheels = {wheel.name for wheel in (lock.python.wheels if lock.python else ())}
        python = {canonicalize_name(name) for name in names} & wheels
        conda = {p.name for p in (lock.conda.packages if lock.conda else ())} & set(names)
        for name in names:
            if name not in debian | conda and canonicalize_name(name) not in wheels:
                raise Refused(
                    f"The lock has no package {name[:80]}, so there is nothing to upgrade",
                    advice="Name one that it has, or ask for it in a spec file or with --with",
                )
        return cls(frozenset(debian), frozenset(python), frozenset(conda))


def _debian(
    wanted: Wanted,
    options: Options,
    store: Pools,
    before: Locked | None,
    free: _Free,
    machine: Machine | None,
    progress: Progress,
) -> LockedDebian:
    if (
        before is not None
        and free.debian == frozenset()
        and before.lock.spec.debian == wanted.debian
    ):
        return LockedDebian(before.lock.debian, before.evidence)
    progress(f"resolving the Debian packages of {wanted.suite.name}")
    found = lock_debian(
        wanted.debian,
        wanted.suite,
        machine or read_machine(),
        cache_of(store),
        store.debs,
        offline=options.offline,
        keep=before.lock.debian if before and free.debian is not None else None,
        free=free.debian or (),
    )
    evidence = {**(before.evidence if before else {}), **found.evidence}
    named = {release.inrelease_sha256 for release in found.part.releases}
    return replace(found, evidence={key: evidence[key] for key in named if key in evidence})


def _conda(
    wanted: Wanted,
    options: Options,
    store: Pools,
    before: Locked | None,
    free: _Free,
    lock: Lock,
    progress: Progress,
) -> CondaPart:
    assert wanted.conda is not None
    earlier = before.lock.conda if before else None
    if (
        before is not None
        and earlier is not None
        and free.conda == frozenset()
        and _asked_of_channels(before.lock.spec) == _asked_of_channels(lock.spec)
    ):
        return earlier
    progress(f"resolving conda's packages from {', '.join(wanted.conda.channels)}")
    try:
        return lock_conda(
            wanted.conda,
            wanted.suite,
            lock.debian.architecture,
            store.folder / "channels",
            before=earlier,
            free=free.conda,
            offline=options.offline,
        )
    except Unavailable as error:
        if not wanted.instead:
            raise
        advice = f"{error.advice}; or accept this with --accept-suggestions: {wanted.instead}"
        raise Unavailable(error.refused, advice=advice, detail=error.detail) from error


def _asked_of_channels(spec: SpecPart) -> tuple[object, ...]:
    return spec.conda, spec.channels, spec.runtime, spec.lab


def _python(
    wanted: Wanted,
    options: Options,
    store: Pools,
    before: Locked | None,
    free: _Free,
    lock: Lock,
    progress: Progress,
) -> LockedPython:
    version = python_of(lock)
    if before is not None and before.lock.python is not None and free.python == frozenset():
        same = _asked(before.lock.spec) == _asked(lock.spec) and options.newest is None
        same = same and before.lock.conda == lock.conda
        if same and python_of(before.lock) == version:
            return LockedPython(before.lock.python, before.pylock)
    progress(f"resolving the Python packages for {version}")
    present = of_python(lock.conda) if lock.conda else {}
    return lock_python(
        replace(wanted.python, present=present),
        target_of(wanted.suite, lock.debian.architecture, version),
        store.wheels,
        before=before.pylock if before else b"",
        upgrade=None if free.python is None else sorted(free.python),
        newest=options.newest,
        offline=options.offline,
    )


def _asked(spec: SpecPart) -> tuple[object, ...]:
    """Return what decides Python's part; constraints and hashes stand in the files."""
    return spec.winner, spec.files, spec.python, spec.runtime, spec.lab


def _spec(wanted: Wanted, options: Options) -> SpecPart:
    return SpecPart(
        winner=wanted.winner,
        files=dict(wanted.files),
        debian=wanted.debian,
        python=wanted.python.requirements,
        python_version=wanted.python_version,
        runtime=options.runtime,
        lab=True if wanted.lab else None,
        conda=wanted.conda.specs if wanted.conda else None,
        channels=wanted.conda.channels if wanted.conda else None,
        differences=wanted.differences,
    )


def _epoch(part: DebianPart) -> int:
    """Return the date rule's date: the newest of the release files."""
    return max(int(release.date.timestamp()) for release in part.releases)
