"""What differs between locks, in people's terms."""

from __future__ import annotations

import msgspec
from hypothesis import given
from tests.environment.lock.samples import LOCKS, SMALL

from branchline.environment.lock.diff import Change, compare
from branchline.environment.lock.model import DebianPackage, Lock, Sha256


def changed(name: str, version: str, *, suite: str = "bookworm", sha: str = "9") -> Lock:
    """Return the small lock with one Debian package in another version."""

    def replaced(package: DebianPackage) -> DebianPackage:
        if package.name != name:
            return package
        return msgspec.structs.replace(
            package, version=version, suite=suite, sha256=Sha256(sha * 64)
        )

    packages = tuple(map(replaced, SMALL.debian.packages))
    debian = msgspec.structs.replace(SMALL.debian, packages=packages)
    return msgspec.structs.replace(SMALL, debian=debian)


@given(LOCKS)
def test_a_lock_does_not_differ_from_itself(lock: Lock) -> None:
    """Nothing is told where nothing changed; against nothing, all was added."""
    assert compare(lock, lock).is_empty
    added = compare(None, lock).changes
    assert {change.kind for change in added} <= {"added"}
    wheels = lock.python.wheels if lock.python else ()
    assert len({c.name for c in added if c.part == "python"}) == len(wheels)


@given(LOCKS, LOCKS)
def test_a_difference_read_backwards_is_the_same_one(one: Lock, other: Lock) -> None:
    """What was added is removed the other way round."""
    there, back = compare(one, other).changes, compare(other, one).changes
    assert {(c.part, c.name, c.before, c.after) for c in there} == {
        (c.part, c.name, c.after, c.before) for c in back
    }


def test_updates_are_told_by_their_kind() -> None:
    """Newer, older, the same version with other bytes; and security updates as such."""
    expected = {
        ("1.6-3", "bookworm"): ("upgraded", False),
        ("1.6-3", "bookworm-security"): ("upgraded", True),
        ("1.6-1", "bookworm-security"): ("downgraded", False),
        ("1.6-2.1+deb12u1", "bookworm-security"): ("rebuilt", False),
    }
    for (version, suite), (kind, security) in expected.items():
        (change,) = compare(SMALL, changed("jq", version, suite=suite)).changes
        assert (change.kind, change.security) == (kind, security)
        assert change.requested


def test_wheels_and_all_else_are_told() -> None:
    """Removing Python's part removes its wheels; suites, recipes and reasons have sentences."""
    spec = msgspec.structs.replace(SMALL.spec, differences=())
    other = msgspec.structs.replace(SMALL, python=None, recipe=2, spec=spec)
    diff = compare(SMALL, other)
    assert diff.changes == (Change("python", "six", "removed", "1.17.0", "", True),)
    assert diff.rest == (
        "build recipe: 1 → 2",
        "Python: 3.11 → none",
        "uv: 0.13.8 → none",
        "no longer: python 3.10 asked for, 3.11 used on purpose",
    )
