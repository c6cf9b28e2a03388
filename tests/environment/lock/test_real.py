"""Locks from this machine's own mirrors and index; skipped where there are none."""

from __future__ import annotations

import subprocess

import pytest
from tests.environment.built import Built

from branchline.environment.lock.debian.machine import read_machine
from branchline.environment.lock.diff import compare
from branchline.environment.lock.fetch import absent, fetch
from branchline.environment.lock.locking import Locked, lock_environment
from branchline.environment.lock.model import parse_lock
from branchline.environment.lock.sbom import list_of_parts
from branchline.environment.lock.texts import texts_of
from branchline.environment.lock.wanted import Options
from branchline.environment.spec import Detected
from branchline.foundation.errors import Refused, Unavailable

ASKED = Detected(winner="Python", debian=("hello", "jq"), python=("six==1.16.0",))


@pytest.fixture(scope="module")
def locked(built_environment: Built) -> Locked:
    """Two small packages of Debian and one of Python."""
    try:
        made = lock_environment(ASKED, Options(runtime=False), built_environment.store)
        fetch(made.lock, made.pylock, built_environment.store)
    except Unavailable as error:
        pytest.skip(f"no packages can be fetched here: {error}")
    return made


def test_a_lock_holds_real_packages(locked: Locked, built_environment: Built) -> None:
    """Each file is the package that the lock calls it, by dpkg's own reading."""
    packages = {package.name: package for package in locked.lock.debian.packages}
    assert {name for name, p in packages.items() if p.requested} == {"hello", "jq"}
    assert {"libc6", "dpkg", "python3", "ca-certificates", "libgomp1"} <= set(packages)
    assert packages["libjq1"].part == "extra"
    assert packages["libc6"].part == "base"
    for name in ("hello", "libjq1", "libc6", "tar"):
        package = packages[name]
        path = built_environment.store.debs.verified(package.sha256, package.size, name)
        fields = ["Package", "Version", "Architecture"]
        done = subprocess.run(
            ["dpkg-deb", "-W", "--showformat=${Package} ${Version} ${Architecture}", path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [getattr(package, field.lower(), name) for field in fields]
    assert absent(locked.lock, built_environment.store) == []


def test_debians_own_keys_signed(locked: Locked) -> None:
    """Every release file has the signature of at least one key, and the texts are kept."""
    for release in locked.lock.debian.releases:
        assert release.signed_by
        text = locked.evidence[release.inrelease_sha256].decode()
        assert "Origin: Debian\n" in text
    newest = max(release.date for release in locked.lock.debian.releases)
    assert locked.lock.epoch == int(newest.timestamp())


def test_no_host_stands_in_the_lock(locked: Locked) -> None:
    """Where bytes come from is each machine's own matter."""
    text = locked.lock.text
    assert "://" not in text
    for source in read_machine().sources:
        host = source.uri.partition("://")[2].partition("/")[0]
        assert not host or host not in text
    assert parse_lock(text.encode()).digest == locked.lock.digest


def test_an_upgrade_shows_what_changed(locked: Locked, built_environment: Built) -> None:
    """A requirement that is relaxed moves nothing by itself; an upgrade does."""
    asked = Detected(winner="Python", debian=("jq",), python=("six",))
    options = Options(runtime=False)
    store = built_environment.store
    kept = lock_environment(asked, options, store, before=locked)
    diff = compare(locked.lock, kept.lock)
    assert {(c.name, c.kind) for c in diff.changes} == {("hello", "removed")}
    upgraded = lock_environment(
        asked, Options(runtime=False, upgrade=("six",)), store, before=locked
    )
    (six,) = [c for c in compare(kept.lock, upgraded.lock).changes if c.part == "python"]
    assert (six.before, six.kind, six.requested) == ("1.16.0", "upgraded", True)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Detected(winner="Python", debian=("exim4-daemon-light", "postfix")), "conflicts with"),
        (Detected(winner="Python", debian=("jq=0.1",)), r"has jq .*, not 0\.1"),
        (Detected(winner="Python", debian=("no-such-package-here",)), "has no package no-such"),
        (Detected(winner="Python", debian=("hello", "jq"), python=("numpy<1",)), "numpy"),
    ],
    ids=["exclude", "version", "unknown", "source"],
)
def test_what_cannot_be_had_is_told(
    asked: Detected, why: str, locked: Locked, built_environment: Built
) -> None:
    """One sentence, from apt's and uv's own answers; Debian's lists are at hand by now."""
    options = Options(runtime=False, offline=not asked.python)
    with pytest.raises(Refused, match=why) as refusal:
        lock_environment(asked, options, built_environment.store, before=locked)
    assert "\n" not in str(refusal.value)


def test_real_packages_tell_their_licences(locked: Locked, built_environment: Built) -> None:
    """Most of Debian's copyright files can be read by a machine."""
    texts = texts_of(locked.lock, built_environment.store)
    assert len(texts.copyrights) == len(locked.lock.debian.packages)
    assert all(texts.copyrights.values()), "every package has a copyright file"
    data = list_of_parts(locked.lock, texts)
    assert data.count(b'"licenses"') > len(locked.lock.debian.packages) // 2
    assert data == list_of_parts(locked.lock, texts_of(locked.lock, built_environment.store))
