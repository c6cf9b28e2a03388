"""Fetching wheels, from indexes that behave and indexes that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.environment.lock.conftest import Shelf
from tests.environment.lock.python.index import Index

from branchline.environment.lock.kinds import Sha256
from branchline.environment.lock.python.fetch import fetch_wheels
from branchline.environment.lock.python.pylock import NamedWheel, Target
from branchline.foundation.errors import Corrupt, NotFound, Unavailable

TARGET = Target("3.11.2", "x86_64", (2, 36))


def named(index: Index, name: str = "one", version: str = "1.0") -> NamedWheel:
    """Publish a wheel, and return it as a lock names it."""
    sha256 = Sha256(index.add(name, version))
    file = f"{name}-{version}-py3-none-any.whl"
    url = f"{index.url}/files/{file}"
    return NamedWheel(name, version, file, sha256, len(index.sent[file]), url)


def test_wheels_are_fetched_into_the_store(index: Index, shelf: Shelf) -> None:
    """Many at once; what is there already is not asked for."""
    wheels = [named(index, f"package{number}") for number in range(20)]
    fetch_wheels(wheels, shelf.wheels, TARGET)
    for wheel in wheels:
        shelf.wheels.verified(wheel.sha256, wheel.size or 0, wheel.file)
    before = len(index.asked)
    fetch_wheels(wheels, shelf.wheels, TARGET)
    assert len(index.asked) == before
    assert len(list(shelf.wheels.folder.iterdir())) == len(wheels)


def test_a_wheel_that_moved_is_found_by_its_hash(index: Index, shelf: Shelf) -> None:
    """The lock's maker found it elsewhere; this machine's own index has the very same."""
    wheel = replace(named(index), url="http://127.0.0.1:9/files/one.whl")
    fetch_wheels([wheel], shelf.wheels, TARGET)
    assert shelf.wheels.has(wheel.sha256)


def test_a_wheel_in_a_folder_is_as_good(index: Index, shelf: Shelf, tmp_path: Path) -> None:
    """uv names wheels of a folder by their path."""
    wheel = named(index)
    file = tmp_path / wheel.file
    file.write_bytes(index.sent[wheel.file])
    fetch_wheels([replace(wheel, url=str(file))], shelf.wheels, TARGET)
    assert shelf.wheels.has(wheel.sha256)
    assert file.exists()


def test_wheels_of_no_known_place_are_asked_for(index: Index, shelf: Shelf) -> None:
    """A lock says of none where it is; that one is gone does not keep the others away."""
    wheels = [replace(named(index, f"package{number}"), url="") for number in range(5)]
    gone = wheels[2]
    del index.announced["package2"]
    with pytest.raises(NotFound, match=f"no longer has {gone.file}"):
        fetch_wheels(wheels, shelf.wheels, TARGET)
    assert [w.name for w in wheels if not shelf.wheels.has(w.sha256)] == ["package2"]


def test_no_index_is_told_from_an_index_without_it(
    index: Index, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers: another day it may be there."""
    wheel = replace(named(index), url="")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    with pytest.raises(Unavailable):
        fetch_wheels([wheel], shelf.wheels, TARGET)


def test_an_index_that_moved_on_is_told_with_ways_out(index: Index, shelf: Shelf) -> None:
    """The rest arrives; the sentence names what did not, and what can be done."""
    gone, there = named(index, "gone"), named(index, "there")
    del index.announced["gone"], index.sent[gone.file]
    with pytest.raises(NotFound, match=f"no longer has {gone.file}") as refusal:
        fetch_wheels([gone, there], shelf.wheels, TARGET)
    assert "environment export" in refusal.value.advice
    assert "lock --upgrade" in refusal.value.advice
    assert shelf.wheels.has(there.sha256)


@pytest.mark.parametrize(
    ("cut", "why"), [(10, "cut short"), (None, "the SHA-256")], ids=["truncated", "changed"]
)
def test_other_bytes_are_refused(index: Index, shelf: Shelf, cut: int | None, why: str) -> None:
    """Truncated or changed: refused and named, and nothing of it is kept."""
    wheel = named(index)
    data = index.sent[wheel.file]
    index.sent[wheel.file] = data[:cut] if cut else bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(Corrupt, match=f"{wheel.file} has .*{why}"):
        fetch_wheels([wheel], shelf.wheels, TARGET)
    assert not shelf.wheels.folder.exists()
    assert not list((shelf.folder / "fetching").iterdir())


def test_offline_and_unreachable_are_told_apart(index: Index, shelf: Shelf) -> None:
    """One is a decision, the other may pass."""
    wheel = named(index)
    with pytest.raises(NotFound, match="is not in the store"):
        fetch_wheels([wheel], shelf.wheels, TARGET, offline=True)
    index.announced.clear()
    with pytest.raises(Unavailable, match="cannot be fetched"):
        nowhere = replace(wheel, url="http://127.0.0.1:9/one.whl")
        fetch_wheels([nowhere], shelf.wheels, TARGET)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/one.whl", "data:,x", "", "relative.whl"])
def test_other_ways_than_http_and_files_are_not_taken(index: Index, shelf: Shelf, url: str) -> None:
    """A pylock.toml may say anything."""
    wheel = named(index)
    index.announced.clear()
    with pytest.raises((NotFound, Unavailable)):
        fetch_wheels([replace(wheel, url=url)], shelf.wheels, TARGET)


def test_an_index_that_wants_credentials_gets_them(
    index: Index, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from netrc, and only the host that is named there sees them."""
    from branchline.environment.lock.python.fetch import credentials

    file = tmp_path / "netrc"
    file.write_text("machine inside.example login reader password secret\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    found = credentials({"UV_INDEX": "https://other:word%21@more.example/simple"})
    assert found == {"inside.example": "cmVhZGVyOnNlY3JldA==", "more.example": "b3RoZXI6d29yZCE="}
