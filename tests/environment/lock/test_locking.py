"""Whole environments: Debian from a mirror of the tests' own, Python from an index of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.environment.lock.conftest import Shelf
from tests.environment.lock.debian.mirror import NEXT_DAY, Mirror
from tests.environment.lock.python.index import Index, serving

from branchline.environment.lock.fetch import absent, fetch
from branchline.environment.lock.folder import read_locked, write_locked
from branchline.environment.lock.licences import Licence
from branchline.environment.lock.locking import Locked, lock_environment
from branchline.environment.lock.sbom import list_of_parts
from branchline.environment.lock.texts import texts_of
from branchline.environment.lock.wanted import Options
from branchline.environment.spec import Detected
from branchline.foundation.errors import Corrupt, NotFound, Refused


class Bench:
    """A person who locks one project."""

    def __init__(self, shelf: Shelf, mirror: Mirror, index: Index) -> None:
        self.shelf, self.mirror, self.index = shelf, mirror, index
        self.machine = mirror.machine()
        self.told: list[str] = []
        for name in ("numpy", "pyarrow", "tiny", "other"):
            index.add(name, "1.0")

    def lock(
        self,
        *,
        debian: str = "tool",
        python: str = "tiny",
        before: Locked | None = None,
        **more: object,
    ) -> Locked:
        asked = Detected(
            winner="Python", debian=tuple(debian.split()), python=tuple(python.split())
        )
        self.told.clear()
        return lock_environment(
            asked,
            Options(**more),  # type: ignore[arg-type]
            self.shelf,
            before=before,
            machine=self.machine,
            progress=self.told.append,
        )

    def fetch(self, locked: Locked, *, offline: bool = False) -> None:
        fetch(locked.lock, locked.pylock, self.shelf, machine=self.machine, offline=offline)


@pytest.fixture
def bench(shelf: Shelf, mirror: Mirror, index: Index) -> Bench:
    """What a test starts from."""
    return Bench(shelf, mirror, index)


def wheels(locked: Locked) -> dict[str, str]:
    """Return what is locked of Python, by name."""
    assert locked.lock.python is not None
    return {wheel.name: wheel.version for wheel in locked.lock.python.wheels}


def debs(locked: Locked) -> dict[str, str]:
    """Return what is locked of Debian, by name."""
    return {package.name: package.version for package in locked.lock.debian.packages}


def test_an_environment_is_locked_fetched_and_complete(bench: Bench, tmp_path: Path) -> None:
    """Both parts, the runtime, the date rule; then everything is in the store, and no host anywhere."""
    locked = bench.lock()
    assert set(wheels(locked)) == {"numpy", "pyarrow", "tiny"}
    assert locked.lock.python is not None
    assert [w.name for w in locked.lock.python.wheels if w.requested] == ["tiny"]
    assert locked.lock.epoch == 1735718400, "2025-01-01 08:00 UTC, the date of the release files"
    text = locked.lock.text
    assert "127.0.0.1" not in text
    assert str(bench.mirror.folder) not in text
    assert len(absent(locked.lock, bench.shelf)) == len(debs(locked)) + len(wheels(locked))
    bench.fetch(locked)
    assert absent(locked.lock, bench.shelf) == []
    assert bench.shelf.texts.has(locked.lock.python.pylock_sha256)
    bench.fetch(locked, offline=True)
    write_locked(locked, tmp_path / "project")
    assert read_locked(tmp_path / "project").lock.text == text


def test_where_wheels_come_from_does_not_matter(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two indexes with the same wheels, other addresses, dates and manners: one lock, to the bit."""
    first = bench.lock()
    with serving(Index(tells_sizes=False)) as other:
        for name in ("numpy", "pyarrow", "tiny"):
            other.add(name, "1.0", uploaded="2023-05-05T00:00:00Z")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{other.url}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another"))
        second = bench.lock()
        assert (second.lock.digest, second.pylock) == (first.lock.digest, first.pylock)
        assert b"127.0.0.1" not in first.pylock
        assert str(tmp_path).encode() not in first.pylock
        bench.fetch(first)
    assert absent(first.lock, bench.shelf) == []


def test_the_runtime_can_be_left_out(bench: Bench) -> None:
    """Without it and without requirements there is no Python part."""
    assert set(wheels(bench.lock(runtime=False))) == {"tiny"}
    locked = bench.lock(python="", runtime=False)
    assert locked.lock.python is None
    assert locked.pylock == b""
    assert locked.lock.spec.runtime is False


def test_the_same_asked_again_resolves_nothing(bench: Bench) -> None:
    """Not even the clock matters: the lock stays to the byte, its image with it."""
    first = bench.lock()
    image = first.lock.with_image(first.lock.digest)
    again = bench.lock(before=Locked(image, first.pylock, first.evidence))
    assert bench.told == []
    assert again.lock.text == image.text
    assert again.evidence == first.evidence


def test_more_python_leaves_debian_alone(bench: Bench) -> None:
    """Only what is asked for anew is resolved, and the rest stays as it was."""
    first = bench.lock()
    for name in ("tiny", "other"):
        bench.index.add(name, "2.0")
    bench.mirror.add("tool", "1.1-1")
    bench.mirror.publish(NEXT_DAY)
    second = bench.lock(python="tiny other", before=first)
    assert [sentence.split()[2] for sentence in bench.told] == ["Python"]
    assert second.lock.debian == first.lock.debian
    assert wheels(second)["tiny"] == "1.0"


def test_more_debian_keeps_what_is_locked(bench: Bench) -> None:
    """A package is added; nothing else moves, and Python's part is the very same."""
    first = bench.lock()
    bench.mirror.add("python3", "1.1-1")
    bench.mirror.publish(NEXT_DAY)
    second = bench.lock(debian="tool one", before=first)
    assert debs(second) == {**debs(first), "one": "1.0-1"}
    assert second.lock.python == first.lock.python
    assert second.lock.epoch == first.lock.epoch + 86_400


def test_an_upgrade_moves_what_is_named(bench: Bench) -> None:
    """One wheel; one package with all of its source; or everything."""
    first = bench.lock(debian="tool one")
    bench.mirror.add("one", "1.1-1")
    bench.mirror.add("tool", "1.1-1", fields="Depends: libtool-data (= 1.1-1)\n")
    bench.mirror.add("libtool-data", "1.1-1", fields="Source: tool (1.0-1)\n")
    bench.mirror.publish(NEXT_DAY)
    bench.index.add("tiny", "2.0")
    bench.index.add("numpy", "2.0")

    def upgraded(names: tuple[str, ...] | None) -> set[str]:
        locked = bench.lock(debian="tool one", before=first, upgrade=names)
        pairs = {**debs(locked), **wheels(locked)}.items()
        return {
            name for name, version in pairs if version not in {**debs(first), **wheels(first)}[name]
        }

    assert upgraded(("Tiny",)) == {"tiny"}
    assert upgraded(("tool",)) == {"tool", "libtool-data"}
    assert upgraded(None) == {"tool", "libtool-data", "one", "tiny", "numpy"}
    with pytest.raises(Refused, match="has no package nothing"):
        upgraded(("nothing",))


def test_another_suite_begins_anew(bench: Bench) -> None:
    """Nothing of one suite can stay in another."""
    first = bench.lock()
    with pytest.raises(Refused, match="does not have all of trixie"):
        bench.lock(before=first, suite="trixie")


def test_a_pylock_of_another_lock_is_not_taken(bench: Bench) -> None:
    """What the store keeps under a hash has that hash."""
    locked = bench.lock()
    with pytest.raises(Corrupt, match=r"pylock\.toml beside the lock is not the one"):
        fetch(locked.lock, locked.pylock + b"\n", bench.shelf, machine=bench.machine)


def test_offline_says_what_is_absent(bench: Bench) -> None:
    """Nothing is asked for; the sentence names what has to be brought."""
    locked = bench.lock()
    with pytest.raises(NotFound, match=r"The store lacks .*\.deb.* and \d+ more"):
        bench.fetch(locked, offline=True)


def test_the_list_of_parts_tells_licences_of_what_is_there(bench: Bench) -> None:
    """From the packages themselves, the same on every reading."""
    locked = bench.lock()
    assert texts_of(locked.lock, bench.shelf).copyrights == {}
    bench.fetch(locked)
    texts = texts_of(locked.lock, bench.shelf)
    parts = json.loads(list_of_parts(locked.lock, texts))["components"]
    licences = {part["name"]: part.get("licenses") for part in parts}
    assert licences["tool"] == [
        {"license": {"id": "GPL-2.0-or-later"}},
        {"license": {"id": "MIT"}},
    ]
    assert licences["tiny"] == [{"expression": "MIT"}]
    assert list_of_parts(locked.lock, texts_of(locked.lock, bench.shelf)) == list_of_parts(
        locked.lock, texts
    )
    assert Licence(id="MIT") > Licence(expression="MIT")


def test_a_package_that_rotted_in_the_store_is_named(bench: Bench) -> None:
    """A file that is no package any more gives no licences, and that is said."""
    locked = bench.lock()
    bench.fetch(locked)
    package = next(p for p in locked.lock.debian.packages if p.name == "tool")
    file = bench.shelf.debs.path(package.sha256)
    file.chmod(0o644)
    file.write_bytes(b"!<arch>\nnonsense")
    with pytest.raises(Corrupt, match=r"tool 1\.0-1 in the store cannot be read"):
        texts_of(locked.lock, bench.shelf)
