"""Words between the runner and the entry kinds."""

from typing import Any, NamedTuple

from .arrow_guard import PayloadError


class BadOutput(Exception):
    """What the train's code gave back is not what its contract says."""


class OutputTooLarge(Exception):
    """What the train's code gave back is larger than a round may put out."""


class Round(NamedTuple):
    """One round as an entry kind sees it: decoded, and read-only where large."""

    number: int
    parameters: dict[str, Any]
    state: dict[str, Any] | None
    updates: list[dict[str, Any]]


__all__ = ["BadOutput", "OutputTooLarge", "PayloadError", "Round"]
