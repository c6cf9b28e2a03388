"""What uv says when it cannot, put into one sentence."""

from __future__ import annotations

import re

from branchline.foundation.disk import DiskFull
from branchline.foundation.errors import BranchlineError, Refused, Unavailable

_FRAME = re.compile(r"[│╰├─▶×]+")
_CAUSE = re.compile(r"\bcause:\s*(.*?)(?=\n\s*\n|\n\s*(?:hint|cause):|\Z)", re.DOTALL)
_BECAUSE = re.compile(r"(Because .*?)(?=\n\s*\n|\n\s*hint:|\Z)", re.DOTALL)
_UNREACHABLE = re.compile(
    r"Request failed|Failed to fetch|error sending request|dns error|timed out|tcp connect"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|os error 28\b")
_NOT_CACHED = re.compile(r"network was disabled|not found in the cache")
_NO_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
_UNKNOWN = re.compile(r"Because (\S+) was not found in the (?:package registry|provided package)")
_OTHER_PYTHON = re.compile(r"(?:we|We) only found wheels for `([^`]+)` \(v?([^)]+)\)")
_LONGEST = 300


def why_unresolved(said: str, python: str, *, offline: bool) -> BranchlineError:
    """Return the error for requirements that uv could not resolve.

    Args:
        said: What uv wrote.
        python: The version of Python that was asked for.
        offline: Whether it was told to stay offline.
    """
    text = _FRAME.sub(" ", said)
    detail = {"uv": said[-4000:]}
    if _FULL.search(text):
        return DiskFull(
            f"The disk that uv keeps its cache on is full: {_last(text)}",
            advice="Make room, or name another folder in UV_CACHE_DIR; then do the same again",
            detail=detail,
        )
    if offline and _NOT_CACHED.search(text):
        return Unavailable(
            f"Without the network there is no answer: {_reason(text)}",
            advice="Lock once with the network; what uv then keeps is used offline",
            detail=detail,
        )
    if _UNREACHABLE.search(text) and "requirements are unsatisfiable" not in text:
        return Unavailable(
            f"The index of Python packages does not answer: {_last(text)}",
            advice="Try again with the network, or set the index in pip's configuration",
            detail=detail,
        )
    if found := _UNKNOWN.search(text):
        return Refused(
            f"No index at hand has a Python package {found[1]}",
            advice="Check the name, or set the index that has it in pip's configuration",
            detail={**detail, "package": found[1]},
        )
    if names := sorted(set(_NO_WHEEL.findall(text))):
        return Refused(
            f"{', '.join(names)} would have to be built from source: {_reason(text)}",
            advice="A lock holds wheels: ask for a version that has one for "
            f"Python {_series(python)}, or take the package from Debian in apt.txt",
            detail={**detail, "packages": names},
        )
    if found := _OTHER_PYTHON.search(text):
        return Refused(
            f"{found[1]} {found[2]} has no wheel for Python {_series(python)} on this platform",
            advice="Ask for another version of it, or for the suite with another Python (--suite)",
            detail={**detail, "packages": [found[1]]},
        )
    return Refused(
        f"The Python requirements cannot be met together: {_reason(text)}",
        advice="Relax one of the requirements named",
        detail=detail,
    )


def _reason(text: str) -> str:
    """Return why, in one line: uv's own words, or the end of them where they are many."""
    found = _BECAUSE.search(text) or _CAUSE.search(text)
    words = " ".join((found[1] if found else text).split())
    words = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", "", words)
    steps = [step.strip() for step in re.split(r"(?:\.\s+)?\b(?:And b|B)ecause\b", words)]
    last = next((step for step in reversed(steps) if step), words)
    shown = words.removeprefix("Because ") if len(words) <= _LONGEST else last
    return shown.rstrip(" .,")[:_LONGEST] or "uv gave no reason"


def _last(text: str) -> str:
    """Return the innermost cause."""
    causes = re.findall(r"cause: *(.+)", text) or text.strip().splitlines() or ["it gave no reason"]
    return str(causes[-1]).strip().rstrip(".")[:_LONGEST]


def _series(python: str) -> str:
    return ".".join(python.split(".")[:2])
