"""``branchline lab``: notebooks in the project's environment, every cell on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Verb
from branchline.cli.labs import serve
from branchline.cli.project.places import identity_of, opened, project_option, remember
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.place import Project


@click.command("lab", cls=Verb, example="branchline lab")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback; 0: any free.")
@click.option("--network", is_flag=True, help="Let notebooks see this machine's network.")
@click.option("--no-page", is_flag=True, help="Serve no page of the project beside it.")
@project_option
@store_option
@HOME
def lab(
    port: int, network: bool, no_page: bool, where: Path, folder: Path | None, home: Path
) -> None:
    """Open JupyterLab in the project's environment; every cell that is run goes on record.

    Code, text, figures and errors become signed records while you work; nothing has to be done for
    it, and nothing in a notebook keeps a cell out. The environment must have been locked with --lab
    and built. Notebooks see it and the project, at /work, and nothing else of this machine. Beside it
    the project's page of the workbench shows records as they come; changes of files go on record,
    too. Ctrl-C ends it, and all kernels.
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
    try:
        asyncio.run(
            serve(
                mount,
                project.root,
                port,
                network,
                lambda kernels, notebooks: Recording(
                    project.root, identity, kernels, environment=image, notebook=notebooks
                ),
                None if no_page else _page(home, folder, project),
            )
        )
    except asyncio.CancelledError:
        raise click.Abort from None


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
