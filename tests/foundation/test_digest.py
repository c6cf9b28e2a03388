"""Names by content: SHA-256 for nearly everything, BLAKE3 for large payloads and parcels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation import digest as d
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused


def test_blake3_is_the_one_that_was_published() -> None:
    """The library agrees with BLAKE3's published vector for 102,400 bytes."""
    found = blake3(bytes(i % 251 for i in range(102_400))).hexdigest()
    assert found == "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"


@pytest.mark.parametrize(
    ("size", "kind"), [(0, "sha256"), (d.LARGE - 1, "sha256"), (d.LARGE, "blake3")]
)
def test_a_payload_is_named_by_what_its_size_asks_for(size: int, kind: str, tmp_path: Path) -> None:
    """Whole, in pieces and in a file it has the same name, and a bit more has another."""
    data = bytes(size)
    expected = (blake3 if kind == "blake3" else hashlib.sha256)(data).hexdigest()
    name = d.payload_digest_of(data)
    assert name == f"{kind}:{expected}"
    naming = d.PayloadNaming(size)
    for at in range(0, size, 300_000):
        naming.update(memoryview(data)[at : at + 300_000])
    assert naming.digest() == name
    (tmp_path / "file").write_bytes(data)
    assert d.is_named(data, name)
    assert d.is_named_file(tmp_path / "file", name)
    (tmp_path / "file").write_bytes(data + b"\1")
    assert not d.is_named(data + b"\1", name)
    assert not d.is_named_file(tmp_path / "file", name)


def test_a_digest_of_sha256_names_large_bytes_too() -> None:
    """A bundle or an image is named by SHA-256 whatever its size."""
    data = bytes(d.LARGE)
    assert d.is_named(data, d.digest_of(data))


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["sha256", "blake3"]))
def test_a_payloads_digest_is_read_and_names_one_file(value: bytes, kind: str) -> None:
    """Two digests with the same digits are two names."""
    name = d.parse_payload_digest(f"{kind}:{value.hex()}")
    other = Digest(f"{'sha256' if kind == 'blake3' else 'blake3'}:{value.hex()}")
    assert d.file_name(name) != d.file_name(other)
    assert d.short(name) == value.hex()[:12]


@pytest.mark.parametrize(
    "text",
    [
        *("", "blake3:", "blake2:" + "0" * 64, "blake3:" + "A" * 64, "sha256:" + "0" * 63),
        *("blake3:" + "0" * 64 + "\n", "blake3:../" + "0" * 61),
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    """From a path and in a message."""
    with pytest.raises(Refused, match="not a digest"):
        d.parse_payload_digest(text)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, d.WirePayloadDigest)


def test_only_payloads_are_named_by_blake3() -> None:
    """Where a bundle, a study or an image is named, BLAKE3 is refused."""
    with pytest.raises(Refused):
        d.parse_digest("blake3:" + "0" * 64)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("blake3:" + "0" * 64, d.WireDigest)
