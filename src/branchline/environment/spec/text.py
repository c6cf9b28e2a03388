"""Bytes to lines: strictly, with bounds, and with every refusal naming its line."""

from __future__ import annotations

import codecs
import re

from branchline.environment.spec.refusal import SpecRefused

MAX_LINE = 10_000
"""The most characters a line of a spec file may have."""

MAX_LINES = 20_000
"""The most lines a spec file may have."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with UTF-16's mark, so it is tried first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COOKIE = re.compile(rb"#.*?coding[:=][ \t]*([-\w.]+)", re.A)
_COOKIES = {"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"}


def utf8(file: str, data: bytes) -> str:
    """Decode a file that has to be UTF-8.

    Raises:
        SpecRefused: It is not; the sentence names the line.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecRefused(
            file, "is not UTF-8", line=line, reason="not UTF-8", advice="Save it as UTF-8"
        ) from None


def pip_text(file: str, data: bytes) -> str:
    """Decode a requirements file as pip may: a byte order mark, a coding comment, else UTF-8.

    Other bytes are let pass in comments only.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode(file, data[len(mark) :], encoding)
    if data.isascii():
        return data.decode("ascii")
    for line in data.split(b"\n", 2)[:2]:
        if found := _COOKIE.match(line):
            return _decode(file, data, _known(file, found[1].decode("ascii")))
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Somebody's name in a comment does not change what is asked for.
        bare = b"\n".join(line.partition(b"#")[0] for line in data.splitlines())
        return utf8(file, bare)


def lines_of(file: str, text: str) -> list[str]:
    """Split a text at its line ends, of whatever system they are.

    Raises:
        SpecRefused: Too many lines, or one too long.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise SpecRefused(
            file, f"has {len(lines)} lines; at most {MAX_LINES} are read", reason="too large"
        )
    if len(text) > MAX_LINE:
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_LINE:
                raise SpecRefused(
                    file,
                    f"has {len(line)} characters; at most {MAX_LINE} are read",
                    line=number,
                    reason="too large",
                )
    return lines


def _known(file: str, name: str) -> str:
    try:
        encoding = codecs.lookup(name).name
    except LookupError:
        encoding = ""
    if encoding not in _COOKIES:
        raise SpecRefused(
            file,
            f"says it is encoded as {name[:40]!r}, which is not read here",
            reason="unknown encoding",
            advice="Save it as UTF-8",
        )
    return encoding


def _decode(file: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise SpecRefused(
            file,
            f"is not {encoding.upper()} as its beginning says",
            reason="wrong encoding",
            advice="Save it as UTF-8",
        ) from None
