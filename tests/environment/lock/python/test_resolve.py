"""Python distributions locked by the real uv from an index of the test's own."""

from __future__ import annotations

import hashlib
import tomllib

import pytest
from tests.environment.lock.conftest import Shelf
from tests.environment.lock.python.index import Index

from branchline.environment.lock.python.pylock import Target
from branchline.environment.lock.python.resolve import LockedPython, PythonWanted, lock_python
from branchline.foundation.errors import Corrupt, Refused, Unavailable

TARGET = Target("3.11.2", "x86_64", (2, 36))


def asking(*requirements: str) -> PythonWanted:
    """Return what is asked for by requirements alone."""
    return PythonWanted(requirements)


def versions(locked: LockedPython) -> dict[str, str]:
    """Return what is locked, by name."""
    return {wheel.name: wheel.version for wheel in locked.part.wheels}


def test_a_lock_holds_what_is_needed_with_hashes(index: Index, shelf: Shelf) -> None:
    """What was asked for is marked; markers of other systems count for nothing."""
    sha256 = index.add("top", "1.0", "Under_Neath>=1; python_version >= '3.11'")
    index.add("under_neath", "2.0")
    index.add("under_neath", "1.0")
    index.announced["under-neath"] = index.announced.pop("under_neath")
    wanted = PythonWanted(("top", "absent; sys_platform == 'win32'"), more=("top", "under-neath"))
    locked = lock_python(wanted, TARGET, shelf.wheels)
    top, under = locked.part.wheels
    assert (top.name, top.version, top.sha256, top.requested) == ("top", "1.0", sha256, True)
    assert (under.name, under.version, under.requested) == ("under-neath", "2.0", False)
    assert top.file == "top-1.0-py3-none-any.whl"
    assert locked.part.pylock_sha256 == hashlib.sha256(locked.pylock).hexdigest()
    assert locked.part.version == "3.11"
    assert not locked.pylock.startswith(b"#")
    assert tomllib.loads(locked.pylock.decode())["lock-version"] == "1.0"
    assert not shelf.wheels.folder.exists(), "the index told all that the lock needs"


def test_sizes_that_nobody_tells_are_found_out(index: Index, shelf: Shelf) -> None:
    """An index may keep sizes to itself; the wheel then comes into the store at once."""
    index.tells_sizes = False
    sha256 = index.add("top", "1.0")
    (wheel,) = lock_python(asking("top"), TARGET, shelf.wheels).part.wheels
    assert wheel.size == len(index.sent[wheel.file])
    assert shelf.wheels.has(sha256)


def test_the_best_wheel_for_the_image_is_taken(index: Index, shelf: Shelf) -> None:
    """Neither another Python's, nor another C library's, nor another system's."""
    for tag in ("cp312-cp312-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_39_x86_64"):
        index.add("fast", "1.0", tag=tag)
    for tag in ("cp311-cp311-manylinux_2_28_x86_64", "py3-none-any", "cp311-cp311-win_amd64"):
        index.add("fast", "1.0", tag=tag)
    (wheel,) = lock_python(asking("fast"), TARGET, shelf.wheels).part.wheels
    assert wheel.file == "fast-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"


def test_locking_again_keeps_versions_until_told_otherwise(index: Index, shelf: Shelf) -> None:
    """What is locked stays where it may; one name or all can be let go."""
    for name in ("one", "two"):
        index.add(name, "1.0")
    first = lock_python(asking("one", "two"), TARGET, shelf.wheels)
    for name in ("one", "two", "three"):
        index.add(name, "2.0")

    def again(*names: str, upgrade: tuple[str, ...] | None = ()) -> dict[str, str]:
        before = first.pylock
        asked = asking(*names)
        return versions(lock_python(asked, TARGET, shelf.wheels, before=before, upgrade=upgrade))

    # uv remembers an index's answer for minutes unless an upgrade makes it ask again.
    assert again("one", "two", upgrade=None) == {"one": "2.0", "two": "2.0"}
    assert again("one", "two", "three") == {"one": "1.0", "two": "1.0", "three": "2.0"}
    assert again("one", "two", upgrade=("one",)) == {"one": "2.0", "two": "1.0"}
    assert again("one>1", "two") == {"one": "2.0", "two": "1.0"}


def test_bounds_and_dates_are_kept(index: Index, shelf: Shelf) -> None:
    """Constraints bound without installing; what came out later can be left out."""
    index.add("one", "1.0")
    index.add("one", "2.0", uploaded="2025-06-01T00:00:00Z")
    bound = PythonWanted(("one",), constraints=("one<2", "never"))
    assert versions(lock_python(bound, TARGET, shelf.wheels)) == {"one": "1.0"}
    dated = lock_python(asking("one"), TARGET, shelf.wheels, newest="2025-01-01T00:00:00Z")
    assert versions(dated) == {"one": "1.0"}


def test_hashes_in_requirements_are_held_to(index: Index, shelf: Shelf) -> None:
    """A person's own hashes decide over what the index says."""
    sha256 = index.add("one", "1.0")
    right = PythonWanted(("one==1.0",), hashes={"one==1.0": (f"sha256:{sha256}", "md5:00")})
    assert versions(lock_python(right, TARGET, shelf.wheels)) == {"one": "1.0"}
    wrong = PythonWanted(("one==1.0",), hashes={"one==1.0": ("sha256:" + "0" * 64,)})
    with pytest.raises(Refused, match=r"one==1\.0 names the hashes it accepts"):
        lock_python(wrong, TARGET, shelf.wheels)
    weak = PythonWanted(("one==1.0",), hashes={"one==1.0": ("sha512:" + "0" * 128,)})
    with pytest.raises(Refused, match="none of them is a SHA-256"):
        lock_python(weak, TARGET, shelf.wheels)


@pytest.mark.parametrize(
    ("requirements", "why"),
    [
        (("nothing",), "No index at hand has a Python package nothing"),
        (("one>=3",), "cannot be met together: .*one"),
        (("needs-one", "one==2.0"), "cannot be met together: .*needs-one"),
        (("raw",), "raw would have to be built from source"),
        (("elsewhere",), "elsewhere 1.0 has no wheel for Python 3.11"),
    ],
)
def test_what_cannot_be_had_is_named(
    index: Index, shelf: Shelf, requirements: tuple[str, ...], why: str
) -> None:
    """One sentence, with the package in it, and what to do."""
    index.add("one", "1.0")
    index.add("one", "2.0")
    index.add("needs_one", "1.0", "one<2")
    index.announced["needs-one"] = index.announced.pop("needs_one")
    index.add_source("raw", "1.0")
    index.add("elsewhere", "1.0", tag="cp39-cp39-manylinux_2_17_x86_64")
    with pytest.raises(Refused, match=why) as refusal:
        lock_python(asking(*requirements), TARGET, shelf.wheels)
    assert refusal.value.advice
    assert "\n" not in str(refusal.value)
    assert len(refusal.value.refused) < 400


def test_a_package_that_lies_about_its_hash_is_refused(index: Index, shelf: Shelf) -> None:
    """What comes is hashed, whatever the index announced."""
    index.tells_sizes = False
    index.add("one", "1.0")
    index.sent["one-1.0-py3-none-any.whl"] += b"more"
    with pytest.raises(Corrupt, match=r"one-1\.0-py3-none-any\.whl has the SHA-256"):
        lock_python(asking("one"), TARGET, shelf.wheels)


def test_without_the_network_what_is_kept_is_used(index: Index, shelf: Shelf) -> None:
    """An answer once had can be had again offline; another cannot, and it is said why."""
    index.add("one", "1.0")
    first = lock_python(asking("one"), TARGET, shelf.wheels)
    before = len(index.asked)
    assert lock_python(asking("one"), TARGET, shelf.wheels, offline=True).part == first.part
    assert len(index.asked) == before
    with pytest.raises(Unavailable, match="Without the network"):
        lock_python(asking("two"), TARGET, shelf.wheels, offline=True)


def test_an_index_that_does_not_answer_is_a_matter_of_the_network(
    index: Index, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there: it may work later."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(Unavailable, match=r"index of Python packages does not answer: .*refused"):
        lock_python(asking("one"), TARGET, shelf.wheels)
