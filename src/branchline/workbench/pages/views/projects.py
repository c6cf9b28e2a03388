"""The first page: the projects on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchline.foundation.errors import BranchlineError
from branchline.workbench.pages.desk import Desk
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import branch_of, place_of


@dataclass(frozen=True)
class Card:
    """One project.

    Args:
        key: Its name in addresses.
        name: Its name; its folder's where it cannot be opened.
        about: One line on it.
        place: Its folder.
        branch: The branch that is checked out.
        at: When its last record was made; empty without one.
        last: What that record says.
        problem: Why it cannot be opened; empty if it can.
    """

    key: str
    name: str
    about: str
    place: str
    branch: str = ""
    at: str = ""
    last: str = ""
    problem: str = ""


@dataclass(frozen=True)
class ProjectsPage:
    """The projects on this machine, the one opened last first."""

    cards: tuple[Card, ...]


def projects_page(desk: Desk) -> ProjectsPage:
    """Return what the first page shows."""
    return ProjectsPage(tuple(_card(desk, key, root) for key, root in desk.known.all()))


def _card(desk: Desk, key: str, root: Path) -> Card:
    try:
        opened = desk.open(key)
        described = opened.project.described
        newest = opened.timeline.page(most=1).records
    except (BranchlineError, OSError) as error:
        name = plain(root.name.encode("utf-8", "backslashreplace").decode())
        return Card(key, name, "", place_of(root), problem=plain(str(error)))
    return Card(
        key=key,
        name=plain(described.name),
        about=plain(described.description),
        place=place_of(root),
        branch=branch_of(opened.project),
        at=newest[0].record.at if newest else "",
        last=plain(newest[0].record.message[:160]) if newest else "",
    )
