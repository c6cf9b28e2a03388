"""Tokens: what a git client shows in place of a signature, which it cannot make.

They live in memory, by their digests, for minutes. A restarted central knows none of them, and
whoever had one asks anew.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from branchline.foundation.clock import Clock
from branchline.foundation.http.api import Caller
from branchline.journey.hosting import Right

LIFE = timedelta(minutes=15)
"""For how long a token is good; a transfer that began with it may end later."""

_MOST = 20_000


@dataclass(frozen=True)
class Grant:
    """What a token stands for.

    Args:
        caller: Whose it is.
        hosted: At which hosted project.
        right: What for.
        expires: Until when.
    """

    caller: Caller
    hosted: str
    right: Right
    expires: datetime


class Tokens:
    """The tokens that are good now.

    Args:
        clock: The time.
        life: For how long each one is.
    """

    def __init__(self, clock: Clock, life: timedelta = LIFE) -> None:
        self._clock, self.life = clock, life
        self._grants: dict[str, Grant] = {}

    def make(self, caller: Caller, hosted: str, right: Right) -> str:
        """Make a token."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now()
        if len(self._grants) >= _MOST:
            self._sweep(now)
        self._grants[_digest(token)] = Grant(caller, hosted, right, now + self.life)
        return token

    def find(self, token: str, hosted: str) -> Grant | None:
        """Return what a token stands for at a hosted project; None if it is not good there, now."""
        grant = self._grants.get(_digest(token))
        if grant is None or grant.hosted != hosted or grant.expires <= self._clock.now():
            return None
        return grant

    def _sweep(self, now: datetime) -> None:
        # The oldest go first where there are too many that are good.
        good = [(key, grant) for key, grant in self._grants.items() if grant.expires > now]
        self._grants = dict(good[-_MOST // 2 :])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
