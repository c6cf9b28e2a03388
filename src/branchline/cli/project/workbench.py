"""``branchline workbench``: projects in the browser."""

from __future__ import annotations

import asyncio
import json
import signal
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Verb, lines, wants_json
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.workbench.pages.app import Pages
    from branchline.workbench.pages.desk import Desk, Opened


@click.command("workbench", cls=Verb, example="branchline workbench\nbranchline workbench ~/wear")
@click.argument(
    "where",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=False,
    metavar="[DIR]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback; 0: any free.")
@click.option("--no-browser", is_flag=True, help="Print the address; open no browser.")
@click.option(
    "--no-save-points", is_flag=True, help="Put no changes of files on record while it runs."
)
@store_option
@HOME
def workbench(
    where: Path | None,
    port: int,
    no_browser: bool,
    no_save_points: bool,
    folder: Path | None,
    home: Path,
) -> None:
    """Show projects in the browser: what was done, live, with figures; files, environment, branches.

    DIR is a folder in a project; by default the current one, if it is in one. The pages are served
    to this machine alone, and the address that is printed lets one browser in, once. While it runs,
    changes of files in the projects that are looked at go on record, whatever program makes them;
    they are committed with the next save. Ctrl-C ends it.
    """
    from branchline.foundation.errors import NotFound
    from branchline.workbench.home import WorkbenchHome
    from branchline.workbench.pages.desk import Desk

    desk = Desk(WorkbenchHome(home), opened_store(folder), watch=not no_save_points)
    try:
        first = desk.add(where or Path.cwd())
    except NotFound:
        if where is not None:
            raise
        first = None
    asyncio.run(_serve(desk, port, first, browser=not no_browser and not wants_json()))


async def _serve(desk: Desk, port: int, first: Opened | None, *, browser: bool) -> None:
    from branchline.workbench.pages.serving import serve_pages

    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serve_pages(desk, port=port) as pages:
        if first is not None:
            desk.begin(first)
        url = pages.entrance.link(f"{first.base}/feed" if first else "/")
        click.echo(_ready(pages, url))
        if browser and not await asyncio.to_thread(webbrowser.open, url):
            click.echo("No browser could be opened; open the address yourself.")
        await told.wait()


def _ready(pages: Pages, url: str) -> str:
    if wants_json():
        return json.dumps({"ready": True, "url": url, "address": pages.entrance.origin})
    return lines(
        f"The workbench is at {url}", "The address lets one browser in, once. Ctrl-C ends it."
    )
