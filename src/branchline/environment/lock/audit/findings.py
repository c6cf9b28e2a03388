"""What an audit finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, order=True)
class Weakness:
    """One known weakness of one source package or Python distribution.

    Args:
        part: ``debian`` or ``python``.
        name: The source package, or the distribution.
        version: The locked version.
        id: Its identifier, such as ``CVE-2024-3094``.
        fixed: The version that mends it; empty where there is none (yet).
        urgency: What Debian says of it; empty where nobody says anything.
        summary: A line on what it is.
        packages: The locked Debian packages of the source.
        aliases: Other identifiers of the same weakness.
    """

    part: Literal["debian", "python"]
    name: str
    version: str
    id: str
    fixed: str = ""
    urgency: str = ""
    summary: str = ""
    packages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Update:
    """A newer version of a Debian package in the lists at hand."""

    name: str
    before: str
    after: str
    security: bool


@dataclass(frozen=True)
class Data:
    """One kind of data an audit uses, and whether it was there."""

    what: str
    at_hand: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """Everything an audit found, and what it looked at."""

    weaknesses: tuple[Weakness, ...] = ()
    updates: tuple[Update, ...] = ()
    data: tuple[Data, ...] = field(default_factory=tuple)

    @property
    def can_be_mended(self) -> bool:
        """Tell whether something would be better after an upgrade."""
        mended = any(weakness.fixed for weakness in self.weaknesses)
        return mended or any(update.security for update in self.updates)
