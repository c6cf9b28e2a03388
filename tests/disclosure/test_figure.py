"""A figure leaves as its picture and nothing else."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.disclosure.scene import check, context, refusal

from branchline.disclosure.figure import SIGNATURE, plain_png
from branchline.disclosure.findings import RefusedOutput, SafeReason
from branchline.disclosure.rules import OutputRule

FIGURE = OutputRule(kind="figure")
ROWS = b"Surname0007,71,placebo\n" * 20


def chunk(kind: bytes, body: bytes) -> bytes:
    """Write one chunk with its checksum."""
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int = 4, height: int = 3, *rest: int) -> bytes:
    """Write IHDR; by default 8-bit grey."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *(rest or (8, 0, 0, 0, 0))))


PIXELS = b"".join(bytes([0, 10 * y, 20, 30, 40]) for y in range(3))
DATA = chunk(b"IDAT", zlib.compress(PIXELS))
END = chunk(b"IEND", b"")


def png(*chunks: bytes) -> bytes:
    """Write a file of these chunks."""
    return SIGNATURE + b"".join(chunks)


def test_a_plain_figure_needs_a_person_and_keeps_its_picture() -> None:
    """The pixels stay; the way they were packed does not."""
    ways = [zlib.compress(PIXELS, level) for level in (0, 9)]
    clean = [check(FIGURE, png(header(), chunk(b"IDAT", way), END)) for way in ways]
    assert [found.safe_reason for found in clean] == [SafeReason.PERSON] * 2
    assert clean[0].payload["x"] == clean[1].payload["x"]
    assert zlib.decompress(clean[0].payload["x"][41:-16]) == PIXELS


def test_harmless_chunks_are_accepted_and_left_out() -> None:
    """Resolution and gamma are allowed in, but do not leave."""
    extra = chunk(b"sRGB", b"\0"), chunk(b"gAMA", b"\0\0\xb1\x8f"), chunk(b"pHYs", b"\1" * 9)
    assert plain_png(png(header(), *extra, DATA, END), pixels=100) == plain_png(
        png(header(), DATA, END), pixels=100
    )


@pytest.mark.parametrize(
    "interlaced_size", [(1, 1), (4, 3), (5, 5), (8, 8), (9, 17)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_interlaced_pictures_are_measured_pass_by_pass(interlaced_size: tuple[int, int]) -> None:
    """Seven passes hold every pixel once (Adam7)."""
    from branchline.disclosure.figure import Header

    width, height = interlaced_size
    rows = Header(width, height, 8, 0, interlaced=True).rows()
    assert sum(rows) - len(rows) == width * height
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" * row for row in rows)))
    assert plain_png(png(header(width, height, 8, 0, 0, 0, 1), data, END), pixels=1000)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("no png", b"GIF89a" + ROWS),
        ("empty", b""),
        ("signature only", SIGNATURE),
        ("text", png(header(), chunk(b"tEXt", b"Comment\0" + ROWS), DATA, END)),
        (
            "compressed text",
            png(header(), chunk(b"zTXt", b"C\0\0" + zlib.compress(ROWS)), DATA, END),
        ),
        ("international text", png(header(), chunk(b"iTXt", b"C\0\0\0\0\0" + ROWS), DATA, END)),
        ("exif", png(header(), chunk(b"eXIf", b"II*\0" + ROWS), DATA, END)),
        ("profile", png(header(), chunk(b"iCCP", b"p\0\0" + zlib.compress(ROWS)), DATA, END)),
        ("time", png(header(), chunk(b"tIME", b"\7\xea\1\1\0\0\0"), DATA, END)),
        ("private chunk", png(header(), chunk(b"roWs", ROWS), DATA, END)),
        ("animation", png(header(), chunk(b"acTL", b"\0" * 8), DATA, END)),
        ("trailing bytes", png(header(), DATA, END) + ROWS),
        ("one trailing byte", png(header(), DATA, END) + b"\0"),
        ("second picture", png(header(), DATA, END) * 2),
        ("bytes in the end chunk", png(header(), DATA, chunk(b"IEND", b"x"))),
        ("wrong checksum", png(header(), DATA, END)[:-1] + b"\0"),
        ("cut short", png(header(), DATA, END)[:-5]),
        ("no end", png(header(), DATA)),
        ("no data", png(header(), END)),
        ("two headers", png(header(), header(), DATA, END)),
        ("data first", png(DATA, header(), END)),
        ("data interrupted", png(header(), DATA, chunk(b"gAMA", b"\0\0\0\1"), DATA, END)),
        ("resolution twice", png(header(), *[chunk(b"pHYs", b"\1" * 9)] * 2, DATA, END)),
        ("long gamma", png(header(), chunk(b"gAMA", ROWS), DATA, END)),
        ("more pixels than said", png(header(), chunk(b"IDAT", zlib.compress(PIXELS + ROWS)), END)),
        ("fewer pixels than said", png(header(9, 9), DATA, END)),
        ("after the stream", png(header(), chunk(b"IDAT", zlib.compress(PIXELS) + ROWS), END)),
        ("stream not ended", png(header(), chunk(b"IDAT", zlib.compress(PIXELS)[:-4]), END)),
        ("no stream", png(header(), chunk(b"IDAT", ROWS), END)),
        ("filter type", png(header(), chunk(b"IDAT", zlib.compress(b"\7" + PIXELS[1:])), END)),
        ("colour type", png(header(4, 3, 8, 5, 0, 0, 0), DATA, END)),
        ("bit depth", png(header(4, 3, 3, 0, 0, 0, 0), DATA, END)),
        ("palette missing", png(header(4, 3, 8, 3, 0, 0, 0), DATA, END)),
        ("palette where none belongs", png(header(), chunk(b"PLTE", b"\0" * 768), DATA, END)),
        (
            "palette too large",
            png(header(4, 3, 1, 3, 0, 0, 0), chunk(b"PLTE", b"\0" * 9), DATA, END),
        ),
        ("transparency too long", png(header(), chunk(b"tRNS", b"\0" * 200), DATA, END)),
        ("length beyond the file", SIGNATURE + struct.pack(">I4s", 2**31 - 1, b"IDAT")),
    ],
)
def test_rows_do_not_leave_in_a_figure(name: str, data: bytes) -> None:
    """Each place in a PNG that could hold more than the picture is refused."""
    assert refusal(check(FIGURE, data)) == "figure", name


def test_size_is_bounded_before_anything_is_unpacked() -> None:
    """Too many pixels, too many bytes, and a bomb of zeros."""
    assert refusal(check(FIGURE, png(header(2**31 - 1, 2**31 - 1), DATA, END))) == "size"
    assert refusal(check(FIGURE, png(header(0, 5), DATA, END))) == "size"
    assert refusal(check(FIGURE, bytes(101), context(output_bytes=100))) == "size"
    bomb = chunk(b"IDAT", zlib.compress(bytes(50_000_000)))
    assert refusal(check(FIGURE, png(header(), bomb, END))) == "figure"


def test_a_palette_picture_keeps_its_palette() -> None:
    """Colours and transparency are part of the picture."""
    data = chunk(b"IDAT", zlib.compress(b"\0\0\1\2\3" * 3))
    parts = chunk(b"PLTE", bytes(range(12))), chunk(b"tRNS", b"\0\x80")
    clean = plain_png(png(header(4, 3, 8, 3, 0, 0, 0), *parts, data, END), pixels=100)
    assert all(part in clean for part in parts)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_never_brings_anything_but_a_refusal(at: int, byte: int) -> None:
    """Every file is refused in our own words or leaves as a canonical picture."""
    data = bytearray(png(header(), DATA, END))
    data[at % len(data)] = byte
    try:
        clean: Any = plain_png(bytes(data), pixels=100)
    except RefusedOutput:
        return
    assert clean == plain_png(clean, pixels=100)
    assert clean == plain_png(png(header(), DATA, END), pixels=100)
