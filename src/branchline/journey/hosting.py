"""What a workbench and central say to each other about projects that central hosts.

Central hosts a project under ``OWNER/NAME``. What is done to it is an act, as anything else is; its
git and its content travel at the address that `path_of` names.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.ids import Id, Name
from branchline.journey.acts import Role, Visibility
from branchline.journey.messages import Message

Right = Literal["read", "write"]
"""What a token lets its bearer do over git and git-annex."""

TOKENS = "token"
"""The user name beside a token, where a program asks for one: the token alone says whose it is."""


class Collaborator(Message, frozen=True):
    """Somebody who may do something with a hosted project, whoever else may read it."""

    name: Name
    role: Role


class HostedProject(Message, frozen=True):
    """A hosted project as one person may see it.

    Args:
        hosted: What central hosts it as.
        project: Its identifier; the same in every clone and copy.
        owner: Whose it is.
        name: Its name among those.
        visibility: Who may read it without being a collaborator.
        role: What this person may do.
        collaborators: All of them, the owner first; nobody else is told who they are.
        source: What it was copied from, as central hosts that; empty for an original.
        annex: The hub's own name among the repositories that hold content.
        heads: For each branch the commit it ends with.
    """

    hosted: Id
    project: Id
    owner: Name
    name: Name
    visibility: Visibility
    role: Role
    collaborators: tuple[Collaborator, ...] = ()
    source: str = ""
    annex: str = ""
    heads: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it is: its owner and its name."""
        return f"{self.owner}/{self.name}"


class HostedList(Message, frozen=True):
    """The hosted projects that somebody may read."""

    projects: tuple[HostedProject, ...]


class TokenWanted(Message, frozen=True):
    """Ask for a token.

    Args:
        right: What for; None for all that the person may do over git.
    """

    right: Right | None = None


class Token(Message, frozen=True):
    """A secret that stands for one person at one hosted project, for a short time.

    Args:
        token: The secret.
        right: What it is good for.
        seconds: For how long.
    """

    token: Annotated[str, msgspec.Meta(max_length=128)]
    right: Right
    seconds: int

    def __repr__(self) -> str:
        return f"Token({self.right})"


def path_of(owner: str, name: str) -> str:
    """Return where a hosted project's git is, below central's address."""
    return f"/hub/{owner}/{name}"


def digest_of_heads(heads: dict[str, str]) -> Digest:
    """Name a state of all branches."""
    return digest_of_json(heads)
