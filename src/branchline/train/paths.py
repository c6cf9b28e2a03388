"""The names a bundle's files may have, and the contents they may not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from branchline.train.errors import BundleRefused

LONGEST_PATH = 100

_CODE_IN_DISGUISE = {
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".joblib": "a pickle",
    ".pt": "a pickle",
    ".pth": "a pickle",
    ".pyc": "compiled code",
    ".pyo": "compiled code",
}
_EVIDENCE = ".InRelease"
_NUMPY = b"\x93NUMPY"
_ADVICE = "Put numbers in CSV, JSON or Arrow files, and code in source files"


def is_ignored(name: str) -> bool:
    """Tell whether packing passes over a file or folder of this name.

    Release files are the evidence for a lock: it names them by hash, and they stay with its author.
    """
    return name.startswith(".") or name == "__pycache__" or name.endswith(_EVIDENCE)


def check_path(path: str) -> None:
    """Refuse a path that leads out of the bundle, hides, or cannot be shown to a reader."""
    if len(path.encode()) > LONGEST_PATH:
        raise BundleRefused(f"{path[:100]!r}… is longer than {LONGEST_PATH} bytes")
    if path.startswith("/"):
        raise BundleRefused(f"{path!r} is an absolute path; a bundle's paths are relative")
    if not path.isprintable() or "\\" in path:
        raise BundleRefused(f"{path!r} holds a backslash or a character that cannot be shown")
    for part in path.split("/"):
        if part == "..":
            raise BundleRefused(f"{path!r} leads out of the bundle")
        if part in ("", "."):
            raise BundleRefused(f"{path!r} is not a plain path")
        if part.endswith(_EVIDENCE):
            raise BundleRefused(f"{path!r} is a release file, evidence that is never packed")
        if is_ignored(part):
            raise BundleRefused(f"{path!r} is hidden or a cache; those are never packed")


def check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that are one and the same on some file system (case, Unicode forms)."""
    seen: dict[str, tuple[str, bool]] = {}
    for path in paths:
        check_path(path)
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            prefix, is_file = "/".join(parts[:length]), length == len(parts)
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", prefix).casefold())
            other, other_is_file = seen.setdefault(folded, (prefix, is_file))
            if other != prefix:
                raise BundleRefused(
                    f"{path!r} collides with {other!r}: some systems cannot tell them apart"
                )
            if is_file != other_is_file:
                raise BundleRefused(f"{prefix!r} is both a file and a folder")


def check_content(path: str, data: bytes) -> None:
    """Refuse files that are code in disguise: pickles and compiled Python."""
    disguise = _CODE_IN_DISGUISE.get(PurePosixPath(path).suffix.lower())
    if (
        disguise is None
        and data[:1] == b"\x80"
        and b"\x02" <= data[1:2] <= b"\x05"
        and data[-1:] == b"."
    ):
        disguise = "a pickle"
    if disguise is None and data.startswith(_NUMPY) and b"|O" in data[: data.find(b"\n") + 1]:
        disguise = "a pickle (a NumPy array of objects)"
    if disguise:
        raise BundleRefused(f"{path!r} holds {disguise}", advice=_ADVICE)
