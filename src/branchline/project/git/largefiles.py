"""Which files git-annex takes rather than git: its rule ``annex.largefiles``; pure.

Source: git-annex's page "tips/largefiles". Rules that look into content (``mimetype``,
``mimeencoding``) and others that are rarely written are left to git-annex itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache

Rule = Callable[[str, int], bool]
"""Tells for a path and a size whether git-annex takes the file."""

_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_SIZE = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?([a-z]*)$", re.I)
_UNITS = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "t": 2**40,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "kilobyte": 10**3,
    "megabyte": 10**6,
    "gigabyte": 10**9,
}


class _Unknown(Exception):
    pass


@lru_cache(maxsize=256)
def rule_of(text: str) -> Rule | None:
    """Read a rule; None if it is one that only git-annex itself can judge."""
    tokens = _TOKEN.findall(text)
    try:
        rule = _either(tokens)
    except (_Unknown, IndexError):
        return None
    return None if tokens else rule


def _either(tokens: list[str]) -> Rule:
    found = _both(tokens)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        found = _or(found, _both(tokens))
    return found


def _both(tokens: list[str]) -> Rule:
    found = _one(tokens)
    while tokens and tokens[0] not in ("or", ")"):
        if tokens[0] == "and":
            tokens.pop(0)
        found = _and(found, _one(tokens))
    return found


def _one(tokens: list[str]) -> Rule:
    token = tokens.pop(0)
    if token == "(":
        inner = _either(tokens)
        if tokens.pop(0) != ")":
            raise _Unknown
        return inner
    if token == "not":
        return _not(_one(tokens))
    name, separator, value = token.partition("=")
    if not separator and name in ("anything", "nothing"):
        return lambda _path, _size: name == "anything"
    if name in ("largerthan", "smallerthan"):
        return _by_size(name == "largerthan", _bytes(value))
    if name in ("include", "exclude"):
        return lambda path, _size: _matches(path, value) == (name == "include")
    raise _Unknown


def _by_size(larger: bool, limit: float) -> Rule:
    if larger:
        return lambda _path, size: size > limit
    return lambda _path, size: size < limit


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern)


def _bytes(text: str) -> float:
    found = _SIZE.match(text)
    if found is None or found[2].lower() not in _UNITS:
        raise _Unknown
    return float(found[1]) * _UNITS[found[2].lower()]


def _and(one: Rule, other: Rule) -> Rule:
    return lambda path, size: one(path, size) and other(path, size)


def _or(one: Rule, other: Rule) -> Rule:
    return lambda path, size: one(path, size) or other(path, size)


def _not(rule: Rule) -> Rule:
    return lambda path, size: not rule(path, size)
