"""Time, handed in: programs use the system's clock, rules and tests are given one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from branchline.foundation.errors import Refused


class Clock(Protocol):
    """Tell the time; the only way rules and programs learn it."""

    def now(self) -> datetime:
        """Return the present time, in UTC and aware of it."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is told to advance.

    Args:
        at: The time it shows; aware.
    """

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self._at

    def advance(self, seconds: float) -> None:
        """Move the time forward (or back, for a negative number of seconds)."""
        self._at += timedelta(seconds=seconds)


def rfc3339(moment: datetime) -> str:
    """Write a time per RFC 3339 in UTC with milliseconds, e.g. ``2026-11-21T01:02:03.123Z``."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime:
    """Read a time per RFC 3339 that names its zone.

    Raises:
        Refused: Not a time, or a time without a zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            f"{text[:40]!r} is not a time", advice="Write it as 2026-11-21T01:02:03Z"
        ) from error
    if moment.tzinfo is None:
        raise Refused(f"The time {text[:40]!r} has no zone", advice="Add Z for UTC")
    return moment.astimezone(UTC)
