"""The lock's text: one spelling, read back exactly, and every flipped bit noticed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.environment.lock.samples import LOCKS, SMALL

from branchline.environment.lock.model import CondaPackage, CondaPart, Lock, Sha256, parse_lock
from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError, Corrupt, Refused

IMAGE = Digest("sha256:" + "1" * 64)


@given(LOCKS)
def test_a_lock_reads_back_as_it_was_written(lock: Lock) -> None:
    """Text to lock to text changes nothing, and the digest is the same."""
    read = parse_lock(lock.text.encode())
    assert read.text == lock.text
    assert read.digest == lock.digest
    assert read.image == lock.image


def test_order_and_image_do_not_change_the_name() -> None:
    """Equal locks have equal digests, in whatever order they were put together."""
    debian = SMALL.debian
    turned = Lock(
        SMALL.recipe,
        SMALL.epoch,
        SMALL.spec,
        type(debian)(
            suite=debian.suite,
            architecture=debian.architecture,
            releases=debian.releases,
            packages=debian.packages[::-1],
        ),
        SMALL.python,
    )
    assert turned.text == SMALL.text
    assert SMALL.with_image(IMAGE).digest == SMALL.digest
    assert SMALL.with_image(IMAGE).text.startswith(SMALL.text)


def test_the_text_is_toml_with_the_documented_keys() -> None:
    """Other programs can read a lock with any TOML reader."""
    plain = tomllib.loads(SMALL.with_image(IMAGE).text)
    assert plain["lock-version"] == 1
    assert plain["debian"]["package"][0]["name"] == "jq"
    assert plain["debian"]["release"][0]["date"] == "2025-11-13T02:13:20Z"
    assert plain["python"]["wheel"][0]["requested"] is True
    assert plain["image"]["digest"] == IMAGE


def test_the_name_of_a_known_lock_stays() -> None:
    """Locks of version 1 are read, and named, the same for ever."""
    assert SMALL.digest == GOLDEN


def test_the_page_shows_a_lock() -> None:
    """The example on the page on locks is a lock, and this one."""
    page = Path(__file__).parents[3] / "docs/reference/branchline-lock.md"
    text = page.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    assert parse_lock(text.encode()).text == SMALL.with_image(IMAGE).text


@given(st.data())
def test_a_flipped_bit_is_noticed(data: st.DataObject) -> None:
    """Whichever bit of the file flips, reading says that the lock is not what was written."""
    whole = bytearray(SMALL.with_image(IMAGE).text.encode())
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BranchlineError, match=r"branchline\.lock"):
        parse_lock(bytes(whole))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_refused(data: bytes) -> None:
    """Bytes that are no lock get one sentence, whatever they are."""
    with pytest.raises(BranchlineError, match=r"branchline\.lock"):
        parse_lock(data)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("recipe = 1", "recipe = 1\nextra = 1", "unknown field"),
        ("recipe = 1", 'recipe = "1"', "Expected `?int"),
        ("recipe = 1", "recipe = 2", "changed since"),
        ("# Every", "# All", "line 1 "),
        ('name = "jq"', 'name = "jq; rm"', "debian.package"),
        ("pool/main/j/jq/", "../../etc/", "debian.package"),
        ("pool/main/j/jq/", "/pool/main/j/jq/", "debian.package"),
        ("pool/main/j/jq/", "pool/main/../jq/", "debian.package"),
        ("six-1.17.0-py2", "../six-1.17.0-py2", "python.wheel"),
        ('suite = "bookworm"\ndate', 'suite = "book worm"\ndate', "debian.release"),
    ],
)
def test_a_changed_lock_says_where(old: str, new: str, why: str) -> None:
    """The sentence names the key, or the line, that is not as it was written."""
    text = SMALL.text
    assert old in text
    with pytest.raises(Corrupt, match=why):
        parse_lock(text.replace(old, new, 1).encode())


def test_a_package_named_twice_is_refused() -> None:
    """Two answers to one question are no lock."""
    twice = SMALL.debian.packages[0]
    debian = type(SMALL.debian)(
        suite="bookworm", architecture="amd64", releases=(), packages=(twice, twice)
    )
    with pytest.raises(Corrupt, match="package jq:amd64 twice"):
        parse_lock(Lock(1, 0, SMALL.spec, debian).text.encode())


def test_a_newer_lock_is_not_called_broken() -> None:
    """A lock of a later version is refused as such."""
    newer = SMALL.text.replace("lock-version = 1", "lock-version = 3")
    with pytest.raises(Refused, match="of version 3"):
        parse_lock(newer.encode())


GOLDEN = "sha256:3282dac2f1867a4fa47ead0530cc492b074e27d5c709aad2b4e01f3e99626f4a"


def test_a_lock_with_condas_packages_is_of_the_second_version() -> None:
    """It reads back as written; any other version, address or flipped digit is refused."""
    package = CondaPackage(
        name="samtools",
        version="1.20",
        build="h50ea8bc_1",
        channel="bioconda",
        subdir="linux-64",
        file="samtools-1.20-h50ea8bc_1.tar.bz2",
        sha256=Sha256("ab" * 32),
        size=5,
    )
    part = CondaPart(rattler="0.28.0", packages=(package,))
    spec = msgspec.structs.replace(SMALL.spec, conda=("samtools",), channels=("bioconda",))
    lock = msgspec.structs.replace(SMALL, conda=part, spec=spec)
    assert "lock-version = 2\n" in lock.text
    assert parse_lock(lock.text.encode()).text == lock.text
    for before, after in (
        ("lock-version = 2", "lock-version = 1"),
        ("ababab", "ababac"),
        ('channel = "bioconda"', 'channel = "https://me:secret@c.invalid/own"'),
        ('subdir = "linux-64"', 'subdir = "win-64"'),
        ('file = "samtools-', 'file = "../samtools-'),
    ):
        with pytest.raises(Corrupt):
            parse_lock(lock.text.replace(before, after, 1).encode())
