"""What all pages of a project have around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchline.project.place import Project
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.terminal import plain

SECTIONS = (
    ("feed", "Activity", "feed"),
    ("files", "Files", "folder"),
    ("data", "Data", "data"),
    ("checks", "Checks", "checks"),
    ("environment", "Environment", "environment"),
    ("branches", "Branches", "branch"),
)
"""A project's pages: their addresses, names and pictures."""


@dataclass(frozen=True)
class Frame:
    """A project's name and where one is in it.

    Args:
        base: What its addresses begin with.
        name: Its name.
        about: One line on it.
        place: Its folder.
        branch: The branch that is checked out; empty for none.
        section: Which of its pages this is.
        title: What the browser calls the page.
        query: What was searched for.
    """

    base: str
    name: str
    about: str
    place: str
    branch: str
    section: str
    title: str
    query: str = ""
    sections: tuple[tuple[str, str, str], ...] = SECTIONS


def frame(opened: Opened, section: str, title: str, query: str = "") -> Frame:
    """Return what stands around a page."""
    project = opened.project
    return Frame(
        base=opened.base,
        name=plain(project.described.name),
        about=plain(project.described.description),
        place=place_of(project.root),
        branch=branch_of(project),
        section=section,
        title=title,
        query=query,
    )


def branch_of(project: Project) -> str:
    """Return the branch that is checked out, without asking git: pages are quick."""
    try:
        said = (project.root / ".git" / "HEAD").read_text("utf-8", "replace")[:1000]
    except OSError:
        return ""
    return plain(said.strip().removeprefix("ref: refs/heads/")) if "refs/heads/" in said else ""


def place_of(root: Path) -> str:
    """Return a folder as people name it."""
    home = Path.home()
    shown = f"~/{root.relative_to(home)}" if root.is_relative_to(home) else str(root)
    return plain(shown.encode("utf-8", "backslashreplace").decode())
