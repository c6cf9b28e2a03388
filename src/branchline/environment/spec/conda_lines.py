"""The ``environment.yml`` that nearly everybody writes, read line by line.

It reads a small part of YAML's block style, a hundred times faster than a YAML parser does, and
gives up on everything else. A test compares the two.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

MAX_QUICK_LINES = 2000
"""Longer files are left to the YAML parser, which counts."""

MAX_QUICK_LINE = 500
"""Files with longer lines as well: lines that were read are remembered."""

# A plain text: begins with a letter, so it is no number; holds no ": ", " #", quote or bracket that
# would mean something to YAML. Its commas and brackets mean something in flow style only.
_CHARS = r"[\w.=<>!~*+/@,|-]"
_TEXT = rf"[A-Za-z_]{_CHARS}*(?:::?{_CHARS}+)*(?: {_CHARS}+)*"
_SCALAR = rf"(?:(?P<plain>{_TEXT})|\"(?P<double>[ !#-\[\]-~]*)\"|'(?P<single>[ -&(-~]*)')"
_END = r"[ ]*(?:[ ]#[ -~]*)?"
_ITEM = re.compile(rf"(?P<indent> {{0,16}})-(?P<gap> {{1,4}}){_SCALAR}{_END}", re.A)
_PIP = re.compile(rf"(?P<indent> {{0,16}})-(?P<gap> {{1,4}})pip:{_END}")
_KEY = re.compile(rf"(?P<key>channels|dependencies):{_END}")
_NAME = re.compile(rf"(?P<key>name|prefix):[ ]+{_SCALAR}{_END}", re.A)
_BLANK = re.compile(r" *(?:#[ -~]*)?")
_RESERVED = frozenset(("null", "true", "false"))

Quick = dict[str, str | list[str | dict[str, list[str]]]]
"""What a file holds: texts for name and prefix, lists for channels and dependencies."""


class _Line(NamedTuple):
    """What a line is: ``item``, ``pip``, ``list``, ``text``, ``blank``, or ``other``.

    Args:
        kind: One of these.
        indent: How far an item's dash is indented.
        text: The item's text, or the key.
        value: The key's value; of ``pip``: the least indent of what is below it.
    """

    kind: str
    indent: int = 0
    text: str = ""
    value: str | int = ""


_BLANK_LINE, _OTHER = _Line("blank"), _Line("other")


def read_quickly(lines: list[str]) -> Quick | None:
    """Return what the lines hold if they are of the simple kind; None: ask the YAML parser."""
    total = len(lines)
    if total > MAX_QUICK_LINES or max(map(len, lines), default=0) > MAX_QUICK_LINE:
        return None
    found: Quick = {}
    items: list[str | dict[str, list[str]]] | None = None
    indent = -1
    number = 0
    while number < total:
        kind, at, text, value = _read(lines[number])
        number += 1
        if kind == "item" or kind == "pip":
            if items is None or (at != indent and indent != -1):
                return None
            indent = at
            if kind == "item":
                items.append(text)
                continue
            inner, number = _inner(lines, number, int(value))
            if not inner:
                return None
            items.append({"pip": inner})
        elif kind == "blank":
            continue
        # A key with nothing below it is null, which is not of the simple kind.
        elif kind == "other" or items == [] or text in found:
            return None
        elif kind == "list":
            items, indent = [], -1
            found[text] = items
        else:
            items = None
            found[text] = str(value)
    return None if items == [] else found


def _inner(lines: list[str], number: int, least: int) -> tuple[list[str], int]:
    """Return the items below ``- pip:`` and the number of the line after them; none: not simple."""
    inner: list[str] = []
    indent = -1
    while number < len(lines):
        kind, at, text, _ = _read(lines[number])
        if kind == "item" and at >= least:
            if at != indent and indent != -1:
                return [], number
            indent = at
            inner.append(text)
        elif kind != "blank":
            break
        number += 1
    return inner, number


@lru_cache(maxsize=1 << 15)
def _read(line: str) -> _Line:
    if item := _ITEM.fullmatch(line):
        text = _value(item)
        return _OTHER if text is None else _Line("item", item.end("indent"), text)
    if _BLANK.fullmatch(line):
        return _BLANK_LINE
    if key := _KEY.fullmatch(line):
        return _Line("list", 0, key["key"])
    if pip := _PIP.fullmatch(line):
        return _Line("pip", pip.end("indent"), "", pip.end("gap"))
    if name := _NAME.fullmatch(line):
        value = _value(name)
        return _OTHER if value is None else _Line("text", 0, name["key"], value)
    return _OTHER


def _value(found: re.Match[str]) -> str | None:
    """Return a scalar's text; None where YAML would not take it for a text."""
    plain = found["plain"]
    if plain is not None:
        return None if plain.lower() in _RESERVED else plain
    double, single = found["double"], found["single"]
    return double if double is not None else single
