"""Fetching what a lock names, from mirrors that behave and mirrors that do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from tests.environment.lock.debian.mirror import Mirror

from branchline.environment.lock.debian.fetch import fetch_debs
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.resolve import lock_debian
from branchline.environment.lock.debian.sources import Source
from branchline.environment.lock.model import DebianPackage
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.suites import SUITES
from branchline.foundation.errors import Corrupt, NotFound, Unavailable


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def http(mirror: Mirror) -> Iterator[str]:
    """The mirror, over HTTP on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=mirror.folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Desk:
    """A lock of one package over HTTP, and a store to fetch it into."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.cache, self.debs, self.machine = folder / "apt", Pool(folder / "debs"), machine
        suite = SUITES["bookworm"]
        self.packages = lock_debian(["tool"], suite, machine, self.cache, self.debs).part.packages

    def named(self, name: str) -> DebianPackage:
        return next(package for package in self.packages if package.name == name)

    def fetch(self) -> None:
        fetch_debs(self.packages, "bookworm", self.machine, self.cache, self.debs)


@pytest.fixture
def desk(tmp_path: Path, mirror: Mirror, http: str) -> Desk:
    """What a test starts from."""
    return Desk(tmp_path, mirror.machine(http))


def test_packages_are_fetched_into_the_store(desk: Desk) -> None:
    """All of them, right to the byte, and nothing else is left lying there."""
    desk.fetch()
    for package in desk.packages:
        desk.debs.verified(package.sha256, package.size, package.name)
    assert len(list(desk.debs.folder.iterdir())) == len(desk.packages)


def test_a_version_with_an_epoch_and_a_plus_is_found(
    tmp_path: Path, mirror: Mirror, http: str
) -> None:
    """Signs that URLs write otherwise arrive where they should."""
    mirror.add("g++-tool", "2:1.0+really-1~x")
    mirror.publish()
    cache, debs, machine = tmp_path / "apt", Pool(tmp_path / "debs"), mirror.machine(http)
    packages = lock_debian(["g++-tool"], SUITES["bookworm"], machine, cache, debs).part.packages
    fetch_debs(packages, "bookworm", machine, cache, debs)
    assert all(debs.has(package.sha256) for package in packages)
    assert {p.version for p in packages if p.name == "g++-tool"} == {"2:1.0+really-1~x"}


def test_a_mirror_that_moved_on_is_told_with_three_ways_out(desk: Desk, mirror: Mirror) -> None:
    """The rest arrives; the sentence names what did not, and what can be done."""
    mirror.forget("tool", "1.0-1")
    with pytest.raises(NotFound, match=r"no longer has tool 1\.0-1") as refusal:
        desk.fetch()
    for word in ("environment export", "archive of snapshots", "lock --upgrade"):
        assert word in refusal.value.advice
    assert not desk.debs.has(desk.named("tool").sha256)
    assert desk.debs.has(desk.named("libtool-data").sha256)


def test_other_bytes_under_the_name_are_refused(desk: Desk, mirror: Mirror) -> None:
    """The lock's hash decides, whatever the mirror says of itself."""
    file = mirror.folder / desk.named("tool").path
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Corrupt, match=r"other bytes than the lock for tool 1\.0-1"):
        desk.fetch()
    assert not desk.debs.has(desk.named("tool").sha256)


def test_a_truncated_package_is_refused(desk: Desk, mirror: Mirror) -> None:
    """How much came is said."""
    package = desk.named("tool")
    file = mirror.folder / package.path
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(Corrupt, match=rf"only 100 of {package.size} bytes came"):
        desk.fetch()


def test_a_second_mirror_stands_in_for_the_first(desk: Desk, mirror: Mirror) -> None:
    """A machine may have several mirrors; what one lacks another may have."""
    good = desk.machine.sources
    bad = tuple(Source(f"copy:{mirror.folder}/nothing/", s.suite, s.signed_by) for s in good)
    desk.machine = Machine("amd64", (*bad, *good))
    desk.fetch()
    assert all(desk.debs.has(package.sha256) for package in desk.packages)


def test_a_machine_without_the_suite_is_told(desk: Desk, mirror: Mirror) -> None:
    """A package of the security suite, and a machine that has no source of that."""
    tool = desk.named("tool")
    secure = msgspec.structs.replace(tool, suite="bookworm-security")
    desk.packages = tuple(secure if package is tool else package for package in desk.packages)
    alone = tuple(s for s in desk.machine.sources if s.suite == "bookworm")
    desk.machine = Machine("amd64", alone)
    with pytest.raises(Unavailable, match=r"tool 1\.0-1 is of bookworm-security, of which"):
        desk.fetch()


def test_no_mirror_at_all_is_a_matter_of_the_network(desk: Desk) -> None:
    """Nobody listens there: it may work later."""
    suites = [source.suite for source in desk.machine.sources]
    nowhere = tuple(Source("http://127.0.0.1:9/", suite) for suite in suites)
    desk.machine = Machine("amd64", nowhere, ('Acquire::Retries "0";',))
    with pytest.raises(Unavailable, match="cannot be fetched from the mirror"):
        desk.fetch()
