"""Errors that speak to a person: what was refused, and what to do.

The tree::

    BranchlineError            exit 1
     +-- Refused               exit 2   input or a request that is not acceptable
     +-- NotAllowed            exit 3   this party may not do this
     +-- NotFound              exit 4
     +-- Conflict              exit 5   true, but not in this state
     +-- Corrupt               exit 6   stored or received bytes are not what they must be
     +-- Unavailable           exit 7   temporary: the same call may succeed later
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class BranchlineError(Exception):
    """Say in one sentence what was refused, and in another what to do about it.

    Args:
        refused: What was refused, with what was expected and what was got.
        advice: What the person can do now.
        detail: Machine-readable facts for ``--json``; never a secret, never a value from a dataset.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, refused: str, *, advice: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        self.refused = refused.rstrip(". ")
        self.advice = advice.rstrip(". ")
        self.detail = dict(detail or {})
        super().__init__(str(self))

    def __str__(self) -> str:
        sentences = [self.refused, self.advice] if self.advice else [self.refused]
        return ". ".join(sentences) + "."

    def as_json(self) -> dict[str, Any]:
        """Return the error as the object that ``--json`` prints and HTTP answers carry."""
        return {
            "error": self.code,
            "refused": self.refused,
            "advice": self.advice,
            "detail": self.detail,
        }


class Refused(BranchlineError):
    """Input or a request that is not acceptable."""

    code = "refused"
    exit_code = 2


class NotAllowed(BranchlineError):
    """This party may not do this."""

    code = "not-allowed"
    exit_code = 3


class NotFound(BranchlineError):
    """The thing named does not exist, or not for this party."""

    code = "not-found"
    exit_code = 4


class Conflict(BranchlineError):
    """The act is well formed but does not fit the present state."""

    code = "conflict"
    exit_code = 5


class Corrupt(BranchlineError):
    """Stored or received bytes are not what they must be."""

    code = "corrupt"
    exit_code = 6


class Unavailable(BranchlineError):
    """A temporary condition: the same call may succeed later."""

    code = "unavailable"
    exit_code = 7


BY_CODE: Mapping[str, type[BranchlineError]] = {
    kind.code: kind
    for kind in (BranchlineError, Refused, NotAllowed, NotFound, Conflict, Corrupt, Unavailable)
}
"""The error classes by their code, for turning an HTTP answer back into an exception."""
