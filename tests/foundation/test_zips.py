"""What a damaged ZIP file makes Python's reader raise is known whole."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.zips import DAMAGED_ZIP, is_damage

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def packed(method: int) -> bytes:
    """A zip of two files, one with the fields of large ones."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("named", b"abc" * 100)
        entry = zipfile.ZipInfo("large")
        entry.compress_type = method
        with archive.open(entry, "w", force_zip64=True) as file:
            file.write(bytes(range(256)) * 3)
    return out.getvalue()


def read_all(data: bytes) -> None:
    """Read all that is there."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            archive.read(entry)


GOOD = {method: packed(method) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_every_flipped_bit_is_among_what_is_known(method: int) -> None:
    """Wherever it stands; some are passed over, and some are noticed."""
    noticed = 0
    for at in range(len(GOOD[method])):
        bad = bytearray(GOOD[method])
        bad[at] ^= 1 << at % 8
        try:
            read_all(bytes(bad))
        except DAMAGED_ZIP as error:
            noticed += is_damage(error)
    assert noticed > len(GOOD[method]) // 3


@given(
    method=st.sampled_from(METHODS),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    length=st.integers(0, 2000),
)
def test_any_change_is_among_what_is_known(
    method: int, changes: list[tuple[int, int]], length: int
) -> None:
    """Several bytes at once, and a file that ends early."""
    bad = bytearray(GOOD[method][: length or None])
    for at, value in changes:
        bad[at % len(bad)] = value
    with suppress(*DAMAGED_ZIP):
        read_all(bytes(bad))


def test_a_place_beyond_all_files_is_among_what_is_known() -> None:
    """Sixty-four bits name more places than a file may have."""
    good = GOOD[zipfile.ZIP_STORED]
    head = good.find(b"PK\1\2")
    extra = struct.pack("<HHQ", 1, 8, 2**63 + 5)
    fixed = bytearray(good[head : head + 46])
    fixed[30:32], fixed[42:46] = struct.pack("<H", len(extra)), b"\xff" * 4
    name = good[head + 46 : head + 46 + len("named")]
    end = bytearray(good[good.rfind(b"PK\5\6") :])
    end[8:12], end[12:16] = struct.pack("<HH", 1, 1), struct.pack("<I", 46 + 5 + len(extra))
    with pytest.raises(OverflowError) as caught:
        read_all(good[:head] + bytes(fixed) + name + extra + bytes(end))
    assert isinstance(caught.value, DAMAGED_ZIP)
