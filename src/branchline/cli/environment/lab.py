"""``branchline environment lab``: Jupyter in an environment, in one's own browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from branchline.cli.environment.stores import image_meant, opened, store_option
from branchline.cli.frame import Verb
from branchline.cli.labs import serve


@click.command("lab", cls=Verb, example="branchline environment lab ./my-project")
@click.argument("what", default=".", metavar="[IMAGE|DIR|LOCK]")
@click.option(
    "--work",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="The folder at /work, for reading and writing; by default DIR, else the current one.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback; 0: any free.")
@click.option("--network", is_flag=True, help="Let notebooks see this machine's network.")
@store_option
def lab(what: str, work: Path | None, port: int, network: bool, folder: Path | None) -> None:
    """Start JupyterLab in an environment; its address, with a token, is printed.

    The environment must have been locked with --lab. Notebooks see it and one folder, at /work, and
    nothing else of this machine. Ctrl-C ends it, and all kernels.
    """
    from branchline.environment.mount import mount_image

    store = opened(folder)
    mount = mount_image(store, image_meant(store, what).digest)
    if network:
        mount = mount.with_files(("/etc/resolv.conf",))
    try:
        asyncio.run(serve(mount, work or _folder(what), port, network))
    except asyncio.CancelledError:
        raise click.Abort from None


def _folder(what: str) -> Path:
    place = Path(what)
    chosen = (place if place.is_dir() else Path.cwd()).resolve()
    if chosen == Path("/"):
        raise click.UsageError(
            "The whole machine is not shown; go to a folder, or name one with --work"
        )
    return chosen
