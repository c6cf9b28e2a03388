"""``branchline lab``: notebooks in the project's environment, every cell on record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Verb
from branchline.cli.labs import serve
from branchline.cli.project.places import identity_of, opened, project_option, remember
from branchline.cli.researcher import HOME


@click.command("lab", cls=Verb, example="branchline lab")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback; 0: any free.")
@click.option("--network", is_flag=True, help="Let notebooks see this machine's network.")
@project_option
@store_option
@HOME
def lab(port: int, network: bool, where: Path, folder: Path | None, home: Path) -> None:
    """Open JupyterLab in the project's environment; every cell that is run goes on record.

    Code, text, figures and errors become signed records while you work; nothing has to be done for
    it, and nothing in a notebook keeps a cell out. The environment must have been locked with --lab
    and built. Notebooks see it and the project, at /work, and nothing else of this machine. Ctrl-C
    ends it, and all kernels.
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
            )
        )
    except asyncio.CancelledError:
        raise click.Abort from None
