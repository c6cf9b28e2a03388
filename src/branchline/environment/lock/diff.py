"""What differs between two locks, in the terms people think in: packages and versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from packaging.version import Version

from branchline.environment.lock.debian.versions import is_older
from branchline.environment.lock.model import (
    CondaPackage,
    CondaPart,
    DebianPackage,
    DebianPart,
    Lock,
    PythonPart,
    Wheel,
)

Kind = Literal["added", "removed", "upgraded", "downgraded", "rebuilt"]

P = TypeVar("P", DebianPackage, Wheel, CondaPackage)

_SECURITY = "-security"


@dataclass(frozen=True)
class Change:
    """One package that differs.

    Args:
        part: ``debian``, ``conda`` or ``python``.
        kind: ``rebuilt`` where the version stayed and the bytes did not.
        before: The version before; empty where there was none.
        after: The version after; empty where there is none.
        requested: Whether a person asked for it by name.
        security: Whether it is an update from the suite of security updates.
    """

    part: Literal["debian", "conda", "python"]
    name: str
    kind: Kind
    before: str = ""
    after: str = ""
    requested: bool = False
    security: bool = False


@dataclass(frozen=True)
class LockDiff:
    """Everything that differs between two locks.

    Args:
        changes: Packages, Debian's first, each part by name.
        rest: Sentences on all else: suite, dates, Python, stated differences.
    """

    changes: tuple[Change, ...]
    rest: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether the locks hold the same."""
        return not self.changes and not self.rest


def compare(before: Lock | None, after: Lock) -> LockDiff:
    """Compare two locks; against None, everything was added."""
    changes = [*_debian(before.debian if before else None, after.debian)]
    changes += _conda(before.conda if before else None, after.conda)
    changes += _python(before.python if before else None, after.python)
    return LockDiff(tuple(changes), tuple(_rest(before, after)) if before else ())


def _debian(before: DebianPart | None, after: DebianPart) -> Iterable[Change]:
    old = {p.name: p for p in (before.packages if before else ())}
    new = {p.name: p for p in after.packages}
    for name, first, last, either in _differing(old, new):
        kind = _kind(first, last, is_older)
        security = kind == "upgraded" and either.suite.endswith(_SECURITY)
        versions = _version(first), _version(last)
        yield Change("debian", name, kind, *versions, either.requested, security)


def _conda(before: CondaPart | None, after: CondaPart | None) -> Iterable[Change]:
    old = {p.name: p for p in (before.packages if before else ())}
    new = {p.name: p for p in (after.packages if after else ())}
    for name, first, last, either in _differing(old, new):
        kind = _kind(first, last, _is_earlier)
        yield Change("conda", name, kind, _version(first), _version(last), either.requested)


def _is_earlier(first: str, last: str) -> bool:
    """Compare two versions of conda's, as rattler does."""
    from rattler import Version as CondaVersion

    return CondaVersion(first) < CondaVersion(last)


def _python(before: PythonPart | None, after: PythonPart | None) -> Iterable[Change]:
    old = {w.name: w for w in (before.wheels if before else ())}
    new = {w.name: w for w in (after.wheels if after else ())}
    for name, first, last, either in _differing(old, new):
        kind = _kind(first, last, lambda a, b: Version(a) < Version(b))
        yield Change("python", name, kind, _version(first), _version(last), either.requested)


def _differing(
    old: Mapping[str, P], new: Mapping[str, P]
) -> Iterator[tuple[str, P | None, P | None, P]]:
    """Yield (name, before, after, the one of the two that is there) of what has other bytes."""
    for name in sorted({*old, *new}):
        first, last = old.get(name), new.get(name)
        if last is not None and (first is None or first.sha256 != last.sha256):
            yield name, first, last, last
        elif first is not None and last is None:
            yield name, first, None, first


def _version(package: DebianPackage | Wheel | CondaPackage | None) -> str:
    return package.version if package else ""


def _kind(
    first: DebianPackage | Wheel | CondaPackage | None,
    last: DebianPackage | Wheel | CondaPackage | None,
    older: Callable[[str, str], bool],
) -> Kind:
    if first is None:
        return "added"
    if last is None:
        return "removed"
    if first.version == last.version:
        return "rebuilt"
    return "upgraded" if older(first.version, last.version) else "downgraded"


def _rest(before: Lock, after: Lock) -> Iterable[str]:
    for what, old, new in (
        ("Debian suite", before.debian.suite, after.debian.suite),
        ("architecture", before.debian.architecture, after.debian.architecture),
        ("build recipe", before.recipe, after.recipe),
        ("Python", _series(before), _series(after)),
        ("conda's channels", _channels(before), _channels(after)),
        ("uv", _uv(before), _uv(after)),
        ("date", _day(before), _day(after)),
    ):
        if old != new:
            yield f"{what}: {old} → {new}"
    for sentence in after.spec.differences:
        if sentence not in before.spec.differences:
            yield f"now on purpose: {sentence}"
    for sentence in before.spec.differences:
        if sentence not in after.spec.differences:
            yield f"no longer: {sentence}"


def _series(lock: Lock) -> str:
    return lock.python.version if lock.python else "none"


def _channels(lock: Lock) -> str:
    return ", ".join(lock.spec.channels or ()) or "none"


def _uv(lock: Lock) -> str:
    return lock.python.uv if lock.python else "none"


def _day(lock: Lock) -> str:
    newest = max((release.date for release in lock.debian.releases), default=None)
    return newest.strftime("%Y-%m-%d %H:%M") if newest else "none"
