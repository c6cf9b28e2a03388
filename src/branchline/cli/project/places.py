"""What the commands on projects share: the project one stands in, and paths given from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from branchline.cli.frame import working

if TYPE_CHECKING:
    from branchline.foundation.keys import Identity
    from branchline.project.place import Project

F = TypeVar("F", bound=Callable[..., Any])


def project_option(function: F) -> F:
    """Add ``--project``: a folder in the project, by default the current one."""
    return click.option(
        "--project",
        "where",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=".",
        show_default="the current folder",
        help="A folder in the project.",
    )(function)


def opened(folder: Path) -> Project:
    """Open the project a folder is in."""
    from branchline.project.place import Project

    return Project.open(folder)


@contextmanager
def changing(folder: Path, what: str) -> Iterator[tuple[Project, Callable[[str], None]]]:
    """Give the project to change, alone, and a function to say what is done."""
    with working(what) as progress, opened(folder).working() as project:
        yield project, progress


def identity_of(home: Path) -> Identity:
    """Return the person's keys; made the first time."""
    from branchline.workbench.home import WorkbenchHome

    return WorkbenchHome(home).identity


def remember(home: Path, project: Project) -> None:
    """Remember a project of this machine: the workbench's pages list it."""
    from branchline.workbench.known import KnownProjects

    KnownProjects(home).remember(project.root)


def relative(project: Project, paths: Sequence[Path], *, new: bool = False) -> list[str]:
    """Return paths as the project names them; links on the way are not followed.

    Args:
        project: The project.
        paths: As given, from the folder one stands in.
        new: Whether there may be nothing at them yet.

    Raises:
        Refused: One lies outside the project, or is not there at all.
    """
    from branchline.foundation.errors import Refused

    found = []
    for path in paths:
        here = Path(os.path.normpath(Path.cwd() / path))
        try:
            # The folder one stands in may be a link; the project's root is not.
            name = here.relative_to(project.root).as_posix()
        except ValueError:
            try:
                name = (here.parent.resolve() / here.name).relative_to(project.root).as_posix()
            except ValueError:
                raise Refused(f"{path} is not in the project {project.root}") from None
        known = new or os.path.lexists(here) or project.git.lines("ls-files", "-z", "--", name)
        if not known:
            raise Refused(f"There is no {path}", advice="Check the name")
        found.append(name)
    return found
