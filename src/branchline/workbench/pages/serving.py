"""Serve the pages on loopback while entered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from branchline.foundation.http.server import listen
from branchline.foundation.tasks import leave_off
from branchline.workbench.lab.door import LOOPBACK
from branchline.workbench.pages.app import Pages
from branchline.workbench.pages.desk import Desk, Opened
from branchline.workbench.pages.render import prepare


@asynccontextmanager
async def serve_pages(
    desk: Desk, *, port: int = 0, first: Opened | None = None
) -> AsyncIterator[Pages]:
    """Serve a person's projects to that person's browser.

    Args:
        desk: What is open.
        port: On loopback; 0 takes any free one.
        first: The project whose activity is looked through at once, so that no page has to.

    Raises:
        Refused: The port is taken.
    """
    pages = Pages(desk)
    prepare()
    runner, pages.entrance.port = await listen(pages.app, LOOPBACK, port, None)
    warming = [asyncio.create_task(asyncio.to_thread(first.timeline.warm))] if first else []
    try:
        yield pages
    finally:
        desk.leave()
        await leave_off(warming)
        await runner.cleanup()
        await desk.close()
