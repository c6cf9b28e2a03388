"""A project of somebody's, and its pages on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from tests.project.conftest import Scene
from tests.project.conftest import begun as begun
from tests.project.conftest import person as person
from tests.project.conftest import scene as scene

from branchline.environment.image.store import Store
from branchline.workbench.home import WorkbenchHome
from branchline.workbench.pages.app import Pages
from branchline.workbench.pages.desk import Desk, Opened
from branchline.workbench.pages.serving import serve_pages


@dataclass(frozen=True)
class Served:
    """A project whose pages are served."""

    scene: Scene
    pages: Pages
    opened: Opened

    @property
    def base(self) -> str:
        """The address of the project's pages."""
        return f"{self.pages.entrance.origin}{self.opened.base}"


@pytest.fixture
async def served(scene: Scene, tmp_path: Path) -> AsyncIterator[Served]:
    """Give a new project's pages."""
    desk = Desk(WorkbenchHome(tmp_path / "home"), Store(tmp_path / "store"))
    opened = desk.add(scene.root)
    async with serve_pages(desk) as pages:
        yield Served(scene, pages, opened)


@pytest.fixture
async def visitor(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """Give somebody who was let in, without scripts."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of addresses that are numbers
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(served.pages.entrance.link()) as answer:
            assert answer.status == 200
        yield session
