"""Names that every system can hold; pure.

A project is cloned to other machines. A name that one of them cannot hold, or reads as another
name, would be lost or would overwrite a file there, so it is refused where it first comes in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from branchline.foundation.errors import Refused

LONGEST_NAME = 255
"""Bytes of one name; what Linux, macOS and Windows hold."""

LONGEST_PATH = 1024
"""Bytes of a whole path."""

_WINDOWS = re.compile(
    r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])( *\.|:| *$)", re.I
)
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_STEERING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def check_names(paths: Iterable[str], present: Iterable[str] = ()) -> None:
    """Refuse new paths that git or other systems cannot hold.

    Args:
        paths: The new ones, relative to the project, parts divided by ``/``.
        present: Those that are in the project already; they are not judged, but collided with.

    Raises:
        Refused: The sentence names the first one and its reason, and how many more there are.
    """
    new = list(paths)
    wrong = [(path, reason) for path in new if (reason := why_not(path))]
    wrong = wrong or _collisions(new, present)
    if wrong:
        path, reason = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise Refused(
            f"{shown(path)} cannot be kept: {reason}{more}",
            advice="Rename it, or name it in .gitignore",
            detail={"names": [shown(path) for path, _ in wrong[:100]]},
        )


def why_not(path: str) -> str | None:
    """Return why a path cannot be held everywhere; None if it can."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(raw) > LONGEST_PATH:
        return f"its path has {len(raw)} bytes; at most {LONGEST_PATH} are held everywhere"
    if path.startswith("/"):
        return "its path does not begin in the project"
    if raw.isascii() and _plain(path):
        return None
    for part in path.split("/"):
        if reason := _why_not_part(part):
            return reason
    return None


_PLAIN = re.compile(r"^[a-z0-9_]([a-z0-9_.-]{0,60}[a-z0-9_])?$", re.I)


def _plain(path: str) -> bool:
    return all(_PLAIN.match(part) and not _WINDOWS.match(part) for part in path.split("/"))


def _why_not_part(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "its path has an empty part, '.' or '..'"
    if _is_git(part):
        return "git and other systems read its name as '.git'"
    if any(unicodedata.category(mark) in _STEERING for mark in part):
        return "its name has a control character"
    if len(part.encode()) > LONGEST_NAME:
        return f"a name has {len(part.encode())} bytes; at most {LONGEST_NAME} are held everywhere"
    if _WINDOWS.match(part):
        return "its name is reserved on Windows"
    if found := _FORBIDDEN.search(part):
        return f"Windows has no {found[0]!r} in names"
    if part[-1] in ". ":
        return "Windows drops the dot or blank at the end of its name"
    return None


def _is_git(part: str) -> bool:
    seen = _IGNORED_BY_HFS.sub("", unicodedata.normalize("NFC", part)).casefold()
    return re.sub(r"[. ]*(:.*)?$", "", seen) in (".git", "git~1")


def _collisions(paths: Iterable[str], present: Iterable[str]) -> list[tuple[str, str]]:
    seen: dict[str, str] = {}
    for path in present:
        for each in _ways(path):
            seen.setdefault(_folded(each), each)
    found = []
    for path in paths:
        for each in _ways(path):
            other = seen.setdefault(_folded(each), each)
            if other != each:
                reason = f"some systems cannot tell its name from {shown(other)}"
                found.append((path, reason))
                break
    return found


def _ways(path: str) -> Iterable[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def shown(path: str) -> str:
    """Return a path as it can stand in a sentence: what could steer a terminal is spelled out."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return repr(text if len(text) <= 120 else f"{text[:100]}…{text[-12:]}")
