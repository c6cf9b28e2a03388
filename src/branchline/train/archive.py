"""The one form in which a bundle's files are written: a ustar archive without any freedom.

POSIX.1-1988 ustar (as in POSIX.1-2017 pax §"ustar Interchange Format"), uncompressed; files only,
sorted by the bytes of their paths; owner 0, time 0, mode 0644 or 0755; ended by two zero blocks.
Equal files therefore give equal bytes, and bytes that are not of this form are refused without
unpacking anything: each header is compared with the one that would have been written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from branchline.train.errors import BundleRefused
from branchline.train.paths import LONGEST_PATH, check_path, check_paths

FILE_LIMIT = 1 << 20
FILES_LIMIT = 1000
TOTAL_LIMIT = 10 << 20

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_TYPE = slice(156, 157)
_OCTAL = re.compile(rb"[0-7]{11}\0")
_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x04\x22\x4d\x18": "lz4",
}
_OTHER_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a named pipe",
}


@dataclass(frozen=True)
class File:
    """Hold one file's content and whether it may be executed."""

    data: bytes
    executable: bool = False


def write_archive(files: Mapping[str, File]) -> bytes:
    """Write files, by their paths, in the one canonical form.

    Raises:
        BundleRefused: a path, a size or the number of files is out of bounds; names the file.
    """
    check_paths(files)
    parts: list[bytes] = []
    in_order = sorted(files.items(), key=lambda item: item[0].encode())
    for number, (path, file) in enumerate(in_order, start=1):
        check_count(path, number)
        check_size(path, len(file.data))
        parts += [_header(path, file), file.data, bytes(-len(file.data) % _BLOCK)]
    archive = b"".join([*parts, _END])
    check_total(len(archive))
    return archive


def read_archive(data: bytes) -> dict[str, File]:
    """Return the files of an archive that ``write_archive`` would have written, byte for byte.

    Nothing is decompressed and no memory is taken on the word of a header.

    Raises:
        BundleRefused: any other bytes; names the file and what is wrong with it.
    """
    for magic, name in _COMPRESSIONS.items():
        if data.startswith(magic):
            raise BundleRefused(f"The bundle is {name}-compressed; bundles are plain archives")
    check_total(len(data))
    files: dict[str, File] = {}
    last = b""
    for path, file in _members(data):
        if path in files:
            raise BundleRefused(f"{path!r} is in the bundle twice")
        if path.encode() < last:
            raise BundleRefused(f"{path!r} is not in its place: a bundle's files are sorted")
        check_count(path, len(files) + 1)
        files[path] = file
        last = path.encode()
    check_paths(files)
    return files


def check_count(path: str, number: int) -> None:
    """Refuse the file that is one more than a bundle may have."""
    if number > FILES_LIMIT:
        raise BundleRefused(f"{path!r} is one file too many: a bundle has up to {FILES_LIMIT}")


def check_size(path: str, size: int) -> None:
    """Refuse a file larger than a bundle's files may be."""
    if size > FILE_LIMIT:
        raise BundleRefused(
            f"{path!r} has {size} bytes; a bundle's files have up to {FILE_LIMIT}",
            advice="A train carries code, not data",
        )


def check_total(size: int) -> None:
    """Refuse a bundle that is too large as a whole."""
    if size > TOTAL_LIMIT:
        raise BundleRefused(f"The bundle has {size} bytes; up to {TOTAL_LIMIT} are accepted")


def _members(data: bytes) -> Iterator[tuple[str, File]]:
    position, last = 0, "the beginning"
    while len(data) - position != len(_END) or data[position:] != _END:
        header = data[position : position + _BLOCK]
        if len(header) < _BLOCK or not any(header):
            raise BundleRefused(f"The bundle does not end as it must, after {last}")
        path, size = _read_header(header)
        last = repr(path)
        position += _BLOCK
        content = data[position : position + size]
        padding = data[position + size : position + size + -size % _BLOCK]
        if len(content) < size or len(padding) < -size % _BLOCK:
            raise BundleRefused(f"The bundle ends within {path!r}")
        file = File(content, executable=header[100:108] == b"0000755\0")
        if header != _header(path, file) or any(padding):
            raise BundleRefused(
                f"{path!r} is not written in the bundle's one form (owner 0, time 0, mode 0644 or "
                "0755, nothing else)",
                advice="Make bundles with 'branchline train pack'",
            )
        yield path, file
        position += size + len(padding)


def _read_header(header: bytes) -> tuple[str, int]:
    name = header[:LONGEST_PATH].rstrip(b"\0")
    try:
        path = name.decode()
    except UnicodeDecodeError as error:
        raise BundleRefused(f"The name {name[:80]!r} is not UTF-8") from error
    if header[_CHECKSUM] != _checksum(header):
        raise BundleRefused(f"The header of {path!r} is damaged: its checksum does not hold")
    kind = header[_TYPE]
    if kind != b"0":
        found = _OTHER_KINDS.get(kind, f"an entry of kind {kind!r}")
        raise BundleRefused(f"{path!r} is {found}; a bundle holds files only")
    check_path(path)
    if not _OCTAL.fullmatch(header[_SIZE]):
        raise BundleRefused(f"{path!r} declares a size that is no size")
    size = int(header[_SIZE][:-1], 8)
    check_size(path, size)
    return path, size


def _header(path: str, file: File) -> bytes:
    header = bytearray(_BLOCK)
    header[: len(path.encode())] = path.encode()
    header[100:108] = b"0000755\0" if file.executable else b"0000644\0"
    header[108:116] = header[116:124] = b"0000000\0"
    header[_SIZE] = b"%011o\0" % len(file.data)
    header[136:148] = b"00000000000\0"
    header[_TYPE] = b"0"
    header[257:265] = b"ustar\00000"
    header[329:337] = header[337:345] = b"0000000\0"
    header[_CHECKSUM] = _checksum(bytes(header))
    return bytes(header)


def _checksum(header: bytes) -> bytes:
    total = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    return b"%06o\0 " % total
