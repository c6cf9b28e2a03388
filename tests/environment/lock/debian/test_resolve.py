"""Debian packages locked from a mirror of the test's own: by the real apt, under a real key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.environment.lock.debian.mirror import BASE, DATE, NEXT_DAY, Key, Mirror

from branchline.environment.lock.debian.fetch import fetch_debs
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.resolve import LockedDebian, lock_debian
from branchline.environment.lock.model import DebianPackage, DebianPart
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.suites import SUITES
from branchline.foundation.errors import BranchlineError, Corrupt, Refused, Unavailable

SUITE = SUITES["bookworm"]


class Desk:
    """A machine, its cache and its store, for one test."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.cache, self.debs, self.machine = folder / "apt", Pool(folder / "debs"), machine

    def lock(
        self,
        *requests: str,
        keep: DebianPart | None = None,
        free: Sequence[str] = (),
        offline: bool = False,
    ) -> LockedDebian:
        return lock_debian(
            requests,
            SUITE,
            self.machine,
            self.cache,
            self.debs,
            keep=keep,
            free=free,
            offline=offline,
        )

    def fetch(self, packages: Sequence[DebianPackage]) -> None:
        fetch_debs(packages, "bookworm", self.machine, self.cache, self.debs)


@pytest.fixture
def desk(tmp_path: Path, mirror: Mirror) -> Desk:
    """A machine whose apt has the small mirror."""
    return Desk(tmp_path, mirror.machine())


def versions(part: DebianPart) -> dict[str, str]:
    """Return what is locked, by name."""
    return {package.name: package.version for package in part.packages}


def test_a_lock_holds_base_extra_and_who_signed(desk: Desk, mirror: Mirror, key: Key) -> None:
    """What was asked for brings what it needs; hashes are those of the files; evidence is kept."""
    locked = desk.lock("tool", "python3")
    packages = {package.name: package for package in locked.part.packages}
    assert {name for name, p in packages.items() if p.part == "base"} == set(BASE)
    assert {name for name, p in packages.items() if p.part == "extra"} == {"tool", "libtool-data"}
    assert {name for name, p in packages.items() if p.requested} == {"tool", "python3"}
    assert packages["libtool-data"].source == "tool"
    assert packages["libtool-data"].source_version == "0.9-1"
    for package in packages.values():
        data = (mirror.folder / package.path).read_bytes()
        assert (package.size, package.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert {release.suite for release in locked.part.releases} == set(mirror.listed)
    assert {release.signed_by for release in locked.part.releases} == {(key.fingerprint(),)}
    for name, text in locked.evidence.items():
        assert hashlib.sha256(text).hexdigest() == name
        assert f"Date: {DATE}".encode() in text


def test_an_armoured_key_within_the_source_is_as_good(desk: Desk, mirror: Mirror, key: Key) -> None:
    """A stanza may hold the key itself; the fingerprint is found all the same."""
    lines = [line or "." for line in key.armoured().splitlines()]
    sources = tuple(
        type(source)(source.uri, source.suite, "\n".join(lines))
        for source in mirror.machine().sources
    )
    desk.machine = Machine("amd64", sources)
    assert desk.lock().part.releases[0].signed_by == (key.fingerprint(),)


def test_locks_of_the_same_lists_are_the_same(desk: Desk) -> None:
    """Asking twice, and offline, gives the same."""
    first = desk.lock("tool")
    assert desk.lock("tool").part == first.part
    assert desk.lock("tool", offline=True).part == first.part


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        (("tool", "other"), "other conflicts with tool"),
        (("needy",), "needy needs nowhere"),
        (("nothing",), "has no package nothing"),
        (("tool=2",), "has tool 1.0-1, not 2"),
        (("virtual-many",), "any of one, two"),
    ],
)
def test_what_cannot_be_had_is_named(desk: Desk, requests: tuple[str, ...], why: str) -> None:
    """One sentence, with the package in it."""
    with pytest.raises(Refused, match=why):
        desk.lock(*requests)


def test_the_base_is_not_to_be_had_in_another_version(desk: Desk, mirror: Mirror) -> None:
    """All images of a suite share their base."""
    mirror.add("libgomp1", "0.9-1")
    mirror.publish()
    assert versions(desk.lock("libgomp1=1.0-1").part)["libgomp1"] == "1.0-1"
    with pytest.raises(Refused, match="libgomp1 belongs to the base"):
        desk.lock("libgomp1=0.9-1")


def test_locking_again_keeps_what_is_locked(desk: Desk, mirror: Mirror) -> None:
    """A newer version waits until it is asked for; security updates are known as such."""
    first = desk.lock("one", "two").part
    mirror.add("one", "1.1-1", suite="bookworm-security")
    mirror.add("two", "1.1-1", suite="bookworm-updates")
    mirror.publish(NEXT_DAY)
    kept = desk.lock("one", "two", "tool", keep=first).part
    assert (versions(kept)["one"], versions(kept)["two"]) == ("1.0-1", "1.0-1")
    assert "tool" in versions(kept)
    one = desk.lock("one", "two", keep=first, free=["one"]).part
    assert (versions(one)["one"], versions(one)["two"]) == ("1.1-1", "1.0-1")
    assert next(p.suite for p in one.packages if p.name == "one") == "bookworm-security"
    both = desk.lock("one", "two").part
    assert (versions(both)["one"], versions(both)["two"]) == ("1.1-1", "1.1-1")


def test_what_the_mirror_dropped_stays_if_the_store_has_it(desk: Desk, mirror: Mirror) -> None:
    """A kept package comes with the release file that once vouched for it."""
    first = desk.lock("one").part
    desk.fetch(first.packages)
    mirror.forget("one", "1.0-1")
    mirror.add("one", "1.1-1")
    mirror.publish(NEXT_DAY)
    kept = desk.lock("one", "two", keep=first).part
    assert versions(kept)["one"] == "1.0-1"
    dates = [release.date.day for release in kept.releases if release.suite == "bookworm"]
    assert dates == [1, 2]


def test_what_nobody_has_any_more_is_upgraded(desk: Desk, mirror: Mirror) -> None:
    """Without the file in the store the new version is all there is."""
    first = desk.lock("one").part
    mirror.forget("one", "1.0-1")
    mirror.add("one", "1.1-1")
    mirror.publish()
    assert versions(desk.lock("one", "two", keep=first).part)["one"] == "1.1-1"


def test_locked_versions_give_way_to_what_is_asked_for(desk: Desk, mirror: Mirror) -> None:
    """Where old and new exclude each other, the new is taken, and it is said."""
    first = desk.lock("one").part
    mirror.add("one", "1.1-1")
    mirror.add("newer", fields="Depends: one (>= 1.1)\n")
    mirror.publish()
    locked = desk.lock("one", "newer", keep=first)
    assert versions(locked.part)["one"] == "1.1-1"
    assert any("Not all locked versions could stay" in note for note in locked.notes)


def test_other_bytes_under_a_locked_version_are_noticed(desk: Desk, mirror: Mirror) -> None:
    """A mirror that changed a package without a new version is not believed."""
    first = desk.lock("one").part
    mirror.forget("one", "1.0-1")
    mirror.add("one", "1.0-1", fields="Provides: something-else\n")
    mirror.publish()
    with pytest.raises(Corrupt, match=r"other bytes under one 1\.0-1"):
        desk.lock("one", "two", keep=first)
    assert desk.lock("one", "two", keep=first, free=["one"]).part != first


def test_an_unknown_signature_is_refused(desk: Desk, mirror: Mirror, stranger: Key) -> None:
    """Lists that somebody else signed are not read at all."""
    mirror.publish(key=stranger)
    with pytest.raises(Corrupt, match="not signed by a key"):
        desk.lock("tool")


def test_a_changed_release_file_is_refused(desk: Desk, mirror: Mirror) -> None:
    """One flipped letter breaks the signature."""
    file = mirror.folder / "dists/bookworm/InRelease"
    file.write_text(file.read_text().replace("Origin: Debian", "Origin: Dabian"))
    with pytest.raises(Corrupt, match="not signed by a key"):
        desk.lock("tool")


def test_an_old_release_file_is_refused(desk: Desk, mirror: Mirror) -> None:
    """A mirror that stands still hides security updates; where nobody looks, that is said."""
    mirror.publish("Sat, 21 Nov 2020 08:00:00 UTC", until="Sat, 28 Nov 2020 08:00:00 UTC")
    with pytest.raises(Refused, match=r"out of date, invalid since"):
        desk.lock("tool")
    desk.machine = mirror.machine(settings=['Acquire::Check-Valid-Until "false";'])
    assert any("not to look at the dates" in note for note in desk.lock("tool").notes)


def test_a_release_file_of_tomorrow_is_refused(desk: Desk, mirror: Mirror) -> None:
    """Either the mirror or this machine has the wrong time."""
    mirror.publish("Sat, 01 Jan 2084 08:00:00 UTC")
    with pytest.raises(Refused, match="dated in the future"):
        desk.lock("tool")


def test_a_machine_without_security_updates_is_told(desk: Desk, mirror: Mirror) -> None:
    """A lock without them is made, but not without a word."""
    desk.machine = Machine("amd64", mirror.machine().sources[:1])
    assert any("no source of security updates" in note for note in desk.lock("one").notes)


def test_a_changed_index_is_refused(desk: Desk, mirror: Mirror) -> None:
    """An index that its release file does not vouch for is not read."""
    for name in ("Packages", "Packages.gz"):
        file = mirror.folder / "dists/bookworm/main/binary-amd64" / name
        file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(
        BranchlineError, match=r"being changed|has .* other bytes|cannot be fetched"
    ):
        desk.lock("tool")


def test_a_mirror_without_the_suite_is_told(desk: Desk, mirror: Mirror) -> None:
    """The mirror answers, and has no such suite."""
    (mirror.folder / "dists/bookworm/InRelease").unlink()
    with pytest.raises(Refused, match="does not have all of bookworm"):
        desk.lock("tool")


def test_offline_needs_lists(desk: Desk) -> None:
    """Nothing was ever fetched: the sentence says what to do."""
    with pytest.raises(Unavailable, match="No package list of bookworm is at hand"):
        desk.lock("tool", offline=True)
