"""Where a hosted project is: its central service, its owner, its name; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from branchline.foundation.errors import Refused
from branchline.foundation.ids import check_name
from branchline.journey.hosting import path_of
from branchline.workbench.home import CentralRef


@dataclass(frozen=True)
class Place:
    """One hosted project's address.

    Args:
        owner: Whose it is.
        name: Its name.
        central: The origin of its central service; None for the first one.
    """

    owner: str
    name: str
    central: str | None = None

    @property
    def short(self) -> str:
        """Owner and name."""
        return f"{self.owner}/{self.name}"


def read_place(text: str, centrals: Sequence[CentralRef]) -> Place:
    """Read ``OWNER/NAME``, or the same after a central service's address or origin.

    Raises:
        Refused: It is neither.
    """
    found = find_place(text, centrals)
    if found is not None:
        return found
    owner, _, name = text.partition("/")
    if not name or "/" in name:
        raise Refused(
            f"{text[:80]!r} is no hosted project", advice="Write OWNER/NAME, or CENTRAL/OWNER/NAME"
        )
    return Place(check_name(owner, "person"), check_name(name, "project"))


def find_place(text: str, centrals: Sequence[CentralRef]) -> Place | None:
    """Return the hosted project that a whole address means; None if it means something else."""
    for ref in centrals:
        for prefix in (ref.url, f"{ref.url}/hub", ref.origin, urlsplit(ref.url).netloc):
            rest = text.removeprefix(f"{prefix}/")
            owner, _, name = rest.removesuffix("/").removesuffix(".git").partition("/")
            if rest != text and name and "/" not in name:
                return Place(check_name(owner, "person"), check_name(name, "project"), ref.origin)
    return None


def url_of(ref: CentralRef, owner: str, name: str) -> str:
    """Return the address of a hosted project's git."""
    return ref.url.rstrip("/") + path_of(owner, name)
