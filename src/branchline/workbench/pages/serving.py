"""Serve the pages on loopback while entered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from branchline.foundation.http.server import listen
from branchline.workbench.lab.door import LOOPBACK
from branchline.workbench.pages.app import Pages
from branchline.workbench.pages.desk import Desk
from branchline.workbench.pages.render import prepare


@asynccontextmanager
async def serve_pages(desk: Desk, *, port: int = 0) -> AsyncIterator[Pages]:
    """Serve a person's projects to that person's browser.

    Args:
        desk: What is open.
        port: On loopback; 0 takes any free one.

    Raises:
        Refused: The port is taken.
    """
    pages = Pages(desk)
    prepare()
    runner, pages.entrance.port = await listen(pages.app, LOOPBACK, port, None)
    try:
        yield pages
    finally:
        desk.leave()
        await runner.cleanup()
        await desk.close()
