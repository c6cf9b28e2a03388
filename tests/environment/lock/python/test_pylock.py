"""Reading ``pylock.toml``, whoever wrote it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.environment.lock.model import Sha256
from branchline.environment.lock.python.pylock import (
    NamedWheel,
    Target,
    every_url,
    read_pylock,
    target_of,
    write_pylock,
)
from branchline.environment.lock.suites import SUITES
from branchline.foundation.errors import BranchlineError, Corrupt, Refused

TARGET = Target("3.11.2", "x86_64", (2, 36))
SHA = "0" * 64
HEAD = 'lock-version = "1.0"\ncreated-by = "a test"\n\n'


def package(wheel: str, *, name: str = "one", version: str = "1.0", more: str = "") -> bytes:
    """Return a lock of one package."""
    text = f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{more}wheels = [{{ {wheel} }}]\n'
    return (HEAD + text).encode()


def test_wheels_are_read() -> None:
    """Name, hash, size if it is there, and where the maker found it."""
    wheel = f'url = "http://h/one-1.0-py3-none-any.whl", size = 7, hashes = {{ sha256 = "{SHA}" }}'
    (found,) = read_pylock(package(wheel), TARGET)
    assert (found.name, found.version, found.size) == ("one", "1.0", 7)
    assert (found.file, found.sha256) == ("one-1.0-py3-none-any.whl", SHA)
    assert every_url(package(wheel)) == {SHA: "http://h/one-1.0-py3-none-any.whl"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff", "is not TOML"),
        (b"not toml", "is not TOML"),
        (b'lock-version = "1.0"\n', "is not acceptable"),
        (b'lock-version = "9.0"\ncreated-by = "x"\npackages = []\n', "is not acceptable"),
        (
            package(
                f'url = "http://h/one-1.0-cp39-cp39-win32.whl", hashes = {{ sha256 = "{SHA}" }}'
            ),
            "is not acceptable",
        ),
        (package('url = "http://h/one-1.0-py3-none-any.whl", hashes = {}'), "is not acceptable"),
    ],
)
def test_what_is_no_lock_for_the_image_is_refused(data: bytes, why: str) -> None:
    """One sentence names the file."""
    with pytest.raises(Corrupt, match=f"pylock.toml {why}"):
        read_pylock(data, TARGET)


def test_sources_and_weak_hashes_are_refused() -> None:
    """A lock holds wheels by SHA-256."""
    source = HEAD + (
        '[[packages]]\nname = "one"\nversion = "1.0"\n'
        f'sdist = {{ url = "http://h/one-1.0.tar.gz", hashes = {{ sha256 = "{SHA}" }} }}\n'
    )
    with pytest.raises(Refused, match="one would have to be built from source"):
        read_pylock(source.encode(), TARGET)
    weak = 'url = "http://h/one-1.0-py3-none-any.whl", hashes = { sha512 = "00" }'
    with pytest.raises(Refused, match="no SHA-256 for one"):
        read_pylock(package(weak), TARGET)
    other = f'url = "http://h/two-1.0-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }}'
    with pytest.raises((Refused, Corrupt), match="two"):
        read_pylock(package(other), TARGET)


def test_no_credentials_are_taken_from_an_address() -> None:
    """They come from netrc and from the index's own setting."""
    secret = f'url = "http://me:word@h/one-1.0-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }}'
    (found,) = read_pylock(package(secret), TARGET)
    assert found.url == "http://h/one-1.0-py3-none-any.whl"
    assert every_url(package(secret)) == {SHA: found.url}


_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(
    st.lists(
        st.builds(
            lambda name, version, size, sha256, url: NamedWheel(
                name, version, f"{name}-{version}-py3-none-any.whl", Sha256(sha256), size, url
            ),
            _names,
            st.from_regex(r"[1-9]\.[0-9]", fullmatch=True),
            st.none() | st.integers(0, 1 << 40),
            st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
            st.sampled_from(["", "http://h/x.whl", "/srv/x.whl"]),
        ),
        max_size=5,
        unique_by=lambda wheel: wheel.name,
    )
)
def test_what_is_written_is_read(wheels: list[NamedWheel]) -> None:
    """The same wheels, in one order, and nothing of where they were found."""
    data = write_pylock(wheels, TARGET)
    expected = sorted((replace(each, url="") for each in wheels), key=lambda each: each.name)
    assert list(read_pylock(data, TARGET)) == expected
    assert every_url(data) == {}
    assert data == write_pylock(list(reversed(wheels)), TARGET)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a sentence comes of what is no lock."""
    with suppress(BranchlineError):
        read_pylock(data, TARGET)
    with suppress(BranchlineError):
        every_url(HEAD.encode() + data)


def test_targets_follow_the_suite() -> None:
    """The C library decides which wheels can be loaded."""
    bookworm = target_of(SUITES["bookworm"], "amd64", "3.11.2")
    assert (bookworm.uv_platform, bookworm.series) == ("x86_64-manylinux_2_36", "3.11")
    tags = {str(tag) for tag in bookworm.tags()}
    assert "cp311-cp311-manylinux_2_36_x86_64" in tags
    assert "cp311-cp311-manylinux2014_x86_64" in tags
    assert "cp38-abi3-manylinux1_x86_64" in tags
    assert "cp311-cp311-manylinux_2_37_x86_64" not in tags
    # uv knows no newer C library by name; what it chooses for an older one runs on a newer.
    trixie = target_of(SUITES["trixie"], "arm64", "3.13.5")
    assert trixie.uv_platform == "aarch64-manylinux_2_40"
    with pytest.raises(Refused, match="not for riscv64"):
        target_of(SUITES["trixie"], "riscv64", "3.13.5")
