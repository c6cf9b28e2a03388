"""The ``environment.yml`` that nearly everybody writes, read line by line.

It reads a small part of YAML's block style, a hundred times faster than a YAML parser does, and
gives up on everything else. A test compares the two.
"""

from __future__ import annotations

import re

MAX_QUICK_LINES = 2000
"""Longer files are left to the YAML parser, which counts."""

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


def read_quickly(lines: list[str]) -> Quick | None:
    """Return what the lines hold if they are of the simple kind; None: ask the YAML parser."""
    if len(lines) > MAX_QUICK_LINES:
        return None
    found: Quick = {}
    items: list[str | dict[str, list[str]]] | None = None
    indent = -1
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if item := _ITEM.fullmatch(line):
            value = _value(item)
            if items is None or value is None or indent not in (-1, item.end("indent")):
                return None
            indent = item.end("indent")
            items.append(value)
        elif _BLANK.fullmatch(line):
            continue
        elif key := _KEY.fullmatch(line):
            if (items is not None and not items) or key["key"] in found:
                return None
            items, indent = [], -1
            found[key["key"]] = items
        elif pip := _PIP.fullmatch(line):
            if items is None or indent not in (-1, pip.end("indent")):
                return None
            indent = pip.end("indent")
            inner, number = _inner(lines, number, pip.end("gap"))
            if not inner:
                return None
            items.append({"pip": inner})
        elif name := _NAME.fullmatch(line):
            value = _value(name)
            if (items is not None and not items) or name["key"] in found or value is None:
                return None
            found[name["key"]] = value
            items = None
        else:
            return None
    # A key with nothing below it is null, which is not of the simple kind.
    return None if items is not None and not items else found


def _inner(lines: list[str], number: int, least: int) -> tuple[list[str], int]:
    """Return the items below ``- pip:`` and the number of the line after them; none: not simple."""
    inner: list[str] = []
    indent = -1
    while number < len(lines):
        line = lines[number]
        if item := _ITEM.fullmatch(line):
            depth = item.end("indent")
            if depth < least:
                break
            value = _value(item)
            if indent not in (-1, depth) or value is None:
                return [], number
            indent = depth
            inner.append(value)
        elif not _BLANK.fullmatch(line):
            break
        number += 1
    return inner, number


def _value(found: re.Match[str]) -> str | None:
    plain = found["plain"]
    if plain is not None:
        return None if plain.lower() in _RESERVED else plain
    double, single = found["double"], found["single"]
    return double if double is not None else single
