"""One Python requirement (PEP 508), in one spelling."""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.requirements import InvalidRequirement, Requirement

MAX_REQUIREMENT = 2000
"""The most characters a requirement may have."""

# What most lines are is recognised at once; a test compares with the parser.
_NUMBER = r"(?:0|[1-9][0-9]*)"
_SIMPLE = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
    rf"(?:(?:[<>!=]=|[<>]){_NUMBER}(?:\.{_NUMBER})*|~={_NUMBER}(?:\.{_NUMBER})+)?"
)


class NoRequirement(ValueError):
    """A text that is not a requirement."""


def is_simple(text: str) -> bool:
    """Tell whether a text is surely a requirement in its one spelling: a name, a version or none."""
    return _SIMPLE.fullmatch(text) is not None


def read_requirement(text: str) -> tuple[str, str]:
    """Return a requirement in its one spelling, and the URL it names directly (or nothing).

    Raises:
        NoRequirement: It is none.
    """
    return (text, "") if _SIMPLE.fullmatch(text) else _parse(text)


@lru_cache(maxsize=1 << 14)
def _parse(text: str) -> tuple[str, str]:
    if len(text) > MAX_REQUIREMENT:
        raise NoRequirement(f"has {len(text)} characters")
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise NoRequirement("is not a requirement") from None
    except RecursionError:
        raise NoRequirement("has a marker nested too deeply") from None
    return str(requirement), requirement.url or ""
