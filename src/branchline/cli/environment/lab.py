"""``branchline environment lab``: Jupyter in an environment, in one's own browser."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import image_meant, opened, store_option
from branchline.cli.frame import Verb, lines, wants_json, working
from branchline.foundation.errors import Unavailable
from branchline.foundation.tasks import leave_off

if TYPE_CHECKING:
    from branchline.environment.mount import ImageMount
    from branchline.workbench.lab import Lab


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
        asyncio.run(_serve(mount, work or _folder(what), port, network))
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


async def _serve(mount: ImageMount, work: Path, port: int, network: bool) -> None:
    """Serve until Ctrl-C or SIGTERM, or until somebody shuts the server down in the browser."""
    from branchline.workbench.lab import open_lab

    told, starting = asyncio.Event(), asyncio.current_task()
    assert starting is not None
    _on_signal(starting.cancel)
    async with AsyncExitStack() as stack:
        with working("starting Jupyter") as progress:
            opening = open_lab(mount, work, port=port, network=network, progress=progress)
            lab = await stack.enter_async_context(opening)
        _on_signal(told.set)
        click.echo(_ready(lab, work))
        ends = [asyncio.create_task(told.wait()), asyncio.create_task(lab.ended())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not told.is_set() and (code := await lab.ended()) != 0:
            raise Unavailable(f"Jupyter ended by itself, with the exit code {code}")
        await leave_off(ends)


def _on_signal(do: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, do)


def _ready(lab: Lab, work: Path) -> str:
    if wants_json():
        said = {"ready": True, "url": lab.url, "address": lab.address, "token": lab.token}
        return json.dumps(said | {"work": str(work)})
    return lines(f"JupyterLab is at {lab.url}", f"/work is {work}. Ctrl-C ends it.")
