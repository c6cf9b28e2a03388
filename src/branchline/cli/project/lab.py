"""``branchline lab``: notebooks in the project's environment, every cell on record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Answer, Verb, lines
from branchline.cli.labs import run, serve
from branchline.cli.project.places import identity_of, opened, project_option, remember
from branchline.cli.researcher import HOME
from branchline.foundation.errors import NotFound, Refused

if TYPE_CHECKING:
    from branchline.project.place import Project
    from branchline.workbench.lab import Notebooks, Ran


@click.command("lab", cls=Verb, example="branchline lab")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback; 0: any free.")
@click.option("--network", is_flag=True, help="Let notebooks see this machine's network.")
@click.option("--no-page", is_flag=True, help="Serve no page of the project beside it.")
@click.option(
    "--run",
    "notebooks",
    multiple=True,
    metavar="NOTEBOOK",
    help="Run this notebook from its first cell to its last, save what it gave, and end. May be repeated.",
)
@project_option
@store_option
@HOME
def lab(
    port: int,
    network: bool,
    no_page: bool,
    notebooks: tuple[str, ...],
    where: Path,
    folder: Path | None,
    home: Path,
) -> Answer | None:
    """Open JupyterLab in the project's environment; every cell that is run goes on record.

    Code, text, figures and errors become signed records while you work; nothing has to be done for
    it, and nothing in a notebook keeps a cell out. The environment must have been locked with --lab
    and built. Notebooks see it and the project, at /work, and nothing else of this machine. Beside it
    the project's page of the workbench shows records as they come; changes of files go on record,
    too. Ctrl-C ends it, and all kernels.

    With --run no browser is needed: the notebooks run one after another, on record as well, up to
    the first cell that fails; then the exit code is 1.
    """
    from branchline.environment.mount import mount_image
    from branchline.environment.named import image_named
    from branchline.project.notebook.recording import Recording

    project, identity = opened(where), identity_of(home)
    remember(home, project)
    image = image_named(project.root)
    mount = mount_image(opened_store(folder), image)
    if network:
        mount = mount.with_files(("/etc/resolv.conf",))

    def recording(kernels: Path, known: Notebooks) -> Recording:
        return Recording(project.root, identity, kernels, environment=image, notebook=known)

    try:
        if notebooks:
            paths = [_below(project, notebook) for notebook in notebooks]
            return _answer(asyncio.run(run(mount, project.root, paths, network, recording)))
        page = None if no_page else _page(home, folder, project)
        asyncio.run(serve(mount, project.root, port, network, recording, page))
    except asyncio.CancelledError:
        raise click.Abort from None
    return None


def _below(project: Project, notebook: str) -> str:
    """Return a notebook's path in the project."""
    given = Path(notebook)
    inside = Path(os.path.normpath(Path.cwd() / given))
    if not inside.is_relative_to(project.root):
        inside = Path(os.path.normpath(project.root / given))
    if not inside.is_relative_to(project.root) or inside.suffix != ".ipynb":
        raise Refused(
            f"{notebook} is not a notebook of this project", advice="Name an .ipynb in it"
        )
    if not inside.is_file():
        raise NotFound(f"There is no notebook {notebook} in the project")
    return str(inside.relative_to(project.root))


def _answer(done: list[Ran]) -> Answer:
    told = [
        f"{each.notebook}: {each.failed}, in cell {each.cells}"
        if each.failed
        else f"{each.notebook}: {each.cells} cells ran"
        for each in done
    ]
    good = not any(each.failed for each in done)
    return Answer(
        {"notebooks": [asdict(each) for each in done]},
        lines(*told, "What ran is on record. 'branchline save' saves the notebooks with it."),
        0 if good else 1,
    )


@asynccontextmanager
async def _page(home: Path, folder: Path | None, project: Project) -> AsyncIterator[str]:
    """Serve the project's page, and give the address that lets one browser in."""
    from branchline.workbench.home import WorkbenchHome
    from branchline.workbench.pages.desk import Desk
    from branchline.workbench.pages.serving import serve_pages

    desk = Desk(WorkbenchHome(home), opened_store(folder), watch=True)
    opened = desk.add(project.root)
    async with serve_pages(desk) as pages:
        desk.begin(opened)
        yield pages.entrance.link(f"{opened.base}/feed")
