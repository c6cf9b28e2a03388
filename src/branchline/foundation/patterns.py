"""Patterns of paths, as people write them: ``data/*.csv``, ``data/**/raw``, a folder for all in it; pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_PATTERN = re.compile(r"^[^/\\\[\]\0\n][^\\\[\]\0\n]{0,255}$")
_MOST_STARS = 8


def matches(pattern: str, path: str) -> bool:
    """Tell whether a pattern means a path; case and Unicode form do not matter.

    Args:
        pattern: ``*`` and ``?`` stand for what a name holds, ``**`` for folders; a folder means all
            that is in it.
        path: The path, its names divided by ``/``.
    """
    return _regex(pattern).match(folded(path)) is not None


def problem_of(pattern: str) -> str | None:
    """Return why a text is no pattern; None if it is one."""
    if not _PATTERN.match(pattern):
        return "it begins in the project, with '/' between names, and has no '\\', '[' or ']'"
    parts = pattern.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty part, '.' or '..'"
    if any("**" in part and part != "**" for part in parts):
        return "'**' stands alone between two '/'"
    if pattern.count("*") > _MOST_STARS:
        return f"it has more than {_MOST_STARS} stars"
    return None


def folded(path: str) -> str:
    """Return a path in the spelling that is compared."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    parts = folded(pattern).removesuffix("/").split("/")
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:[^/]+/)*"
            continue
        text += "".join({"*": "[^/]*", "?": "[^/]"}.get(mark) or re.escape(mark) for mark in part)
        text += "" if last else "/"
    return re.compile(f"(?:{text})(?:/.*)?\\Z", re.DOTALL)
