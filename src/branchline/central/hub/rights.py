"""Who may do what with a hosted project; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from branchline.foundation.errors import NotAllowed, NotFound
from branchline.journey.acts import Role, Visibility

_RANK: Mapping[str, int] = {"read": 1, "write": 2, "own": 3}
_WORDS: Mapping[str, str] = {"read": "reads", "write": "writes to", "own": "owns"}


@dataclass(frozen=True)
class Standing:
    """A hosted project, as far as rights go.

    Args:
        hosted: What central hosts it as.
        project: Its identifier.
        owner: Whose it is.
        name: Its name.
        visibility: Who may read it without being a collaborator.
        annex: The hub's own name among the repositories that hold content.
        source: What it was copied from.
        roles: The collaborators' roles.
    """

    hosted: str
    project: str
    owner: str
    name: str
    visibility: Visibility
    annex: str
    source: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it is: its owner and its name."""
        return f"{self.owner}/{self.name}"

    def role_of(self, party: str, kind: str) -> Role | None:
        """Return what a party may do at most; None for nothing.

        Args:
            party: Its name; empty for somebody who did not say who he is.
            kind: What it is: hosted projects are for persons.
        """
        if kind == "person" and party in self.roles:
            return self.roles[party]
        if self.visibility == "public" or (self.visibility == "internal" and kind == "person"):
            return "read"
        return None


def includes(role: Role | None, needed: Role) -> bool:
    """Tell whether a role includes another one."""
    return role is not None and _RANK[role] >= _RANK[needed]


def require(standing: Standing, party: str, kind: str, needed: Role) -> Role:
    """Return a party's role, once it includes the one that is needed.

    Raises:
        NotFound: The party may not even read it: the same as if there were none.
        NotAllowed: It may read it, and no more.
    """
    role = standing.role_of(party, kind)
    if role is None:
        raise unknown(standing.place)
    if not includes(role, needed):
        raise NotAllowed(
            f"{party or 'Somebody without a name'} {_WORDS[role]} {standing.place}; "
            f"this is for those whose role is {needed!r}",
            advice="Ask an owner of the project to share it with you",
        )
    return role


def unknown(place: str) -> NotFound:
    """Return the answer for a hosted project that is not there, or not for whoever asks."""
    return NotFound(
        f"There is no project {place} here that you may see",
        advice="Check the name with 'branchline hub list', or ask its owner",
    )
