"""Read a PNG strictly and write it anew, so that only its picture can leave.

PNG (W3C, third edition) allows text, EXIF, colour profiles and private chunks, bytes after the end,
and many spellings of one picture. All of these could hold records. Here only the chunks a picture
needs are accepted, and the picture is compressed again. What the pixels show is for a person to judge.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from branchline.disclosure.findings import RefusedOutput, SafeReason

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIZES = {b"IHDR": (13, 13), b"PLTE": (3, 768), b"tRNS": (1, 256), b"IEND": (0, 0)}
_SIZES |= {b"sRGB": (1, 1), b"gAMA": (4, 4), b"pHYs": (9, 9), b"IDAT": (0, 1 << 31)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Adam7 (PNG §8.1): first column, first row, and the steps between columns and rows of each pass.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


@dataclass(frozen=True, slots=True)
class Header:
    """Hold what IHDR says (PNG §11.2.1)."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    def rows(self) -> list[int]:
        """Return the length in bytes of each row, with its filter byte, in the order they come."""
        if not self.interlaced:
            return [self._row(self.width)] * self.height
        rows: list[int] = []
        for x, y, dx, dy in _PASSES:
            width, height = -(-(self.width - x) // dx), -(-(self.height - y) // dy)
            if width > 0 and height > 0:
                rows += [self._row(width)] * height
        return rows

    def _row(self, width: int) -> int:
        return 1 + (width * self.depth * _CHANNELS[self.colour] + 7) // 8


def plain_png(data: bytes, *, pixels: int) -> bytes:
    """Return the same picture with nothing else in the file.

    Args:
        data: The file.
        pixels: The most pixels accepted.

    Raises:
        RefusedOutput: Not a PNG of these few chunks, or bytes where none belong.
    """
    chunks = _chunks(data)
    header = _header(chunks, pixels)
    picture = _picture(b"".join(body for kind, body in chunks if kind == b"IDAT"), header)
    kept = [(kind, body) for kind, body in chunks if kind in (b"IHDR", b"PLTE", b"tRNS")]
    kept += [(b"IDAT", zlib.compress(picture, 6)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in kept)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    if not data.startswith(SIGNATURE):
        raise _refused("signature")
    chunks: list[tuple[bytes, bytes]] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        if at + 12 > len(data):
            raise _refused("cut short")
        size, kind = struct.unpack_from(">I4s", data, at)
        least, most = _SIZES.get(kind, (1, 0))
        if not least <= size <= most:
            raise _refused("chunk not allowed")
        body = data[at + 8 : at + 8 + size]
        if data[at + 8 + size : at + 12 + size] != struct.pack(">I", zlib.crc32(kind + body)):
            raise _refused("checksum")
        chunks.append((kind, body))
        at += 12 + size
    if at != len(data):
        raise _refused("bytes after the end")
    _check_order([kind for kind, _ in chunks])
    return chunks


def _check_order(kinds: list[bytes]) -> None:
    blocks = [kind for kind, before in zip(kinds, [b"", *kinds], strict=False) if kind != before]
    others = [kind for kind in kinds if kind != b"IDAT"]
    if blocks.count(b"IDAT") != 1 or len(set(others)) != len(others):
        raise _refused("chunk twice")
    if kinds[0] != b"IHDR" or kinds[-2:-1] != [b"IDAT"]:
        raise _refused("chunk order")
    if {b"PLTE", b"tRNS"} <= set(kinds) and kinds.index(b"tRNS") < kinds.index(b"PLTE"):
        raise _refused("chunk order")


def _header(chunks: list[tuple[bytes, bytes]], pixels: int) -> Header:
    width, height, depth, colour, method, filtering, interlace = struct.unpack(
        ">IIBBBBB", chunks[0][1]
    )
    if depth not in _DEPTHS.get(colour, ()) or method or filtering or interlace > 1:
        raise _refused("header")
    if not 0 < width * height <= pixels:
        raise RefusedOutput("size", SafeReason.SIZE, pixels=width * height)
    bodies = dict(chunks)
    palette, alpha = bodies.get(b"PLTE"), bodies.get(b"tRNS")
    if (palette is None) == (colour == 3) or (palette is not None and colour in (0, 4)):
        raise _refused("palette")
    if palette is not None and (len(palette) % 3 or len(palette) > 3 << min(depth, 8)):
        raise _refused("palette")
    if alpha is not None:
        most = {0: 2, 2: 6, 3: len(palette or b"") // 3}.get(colour, 0)
        if len(alpha) > most or (colour != 3 and len(alpha) != most):
            raise _refused("transparency")
    return Header(width, height, depth, colour, bool(interlace))


def _picture(packed: bytes, header: Header) -> bytes:
    rows = header.rows()
    size = sum(rows)
    unpacker = zlib.decompressobj()
    try:
        # One byte more than the picture has: enough to notice a bomb, too little to be one.
        picture = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise _refused("compression") from error
    if len(picture) != size or not unpacker.eof or unpacker.unused_data:
        raise _refused("picture size")
    at = 0
    for row in rows:
        if picture[at] > 4:
            raise _refused("filter")
        at += row
    return picture


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _refused(part: str) -> RefusedOutput:
    return RefusedOutput("figure", SafeReason.FIGURE, part=part)
