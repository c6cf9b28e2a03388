"""A hub with people at it: central over real HTTP, real git and git-annex in every clone."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from branchline import Client
from branchline.central.founding import initialise, invite
from branchline.central.service import CentralSettings, running
from branchline.central.store import Store
from branchline.foundation.clock import SystemClock
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.project.beginning import begin
from branchline.project.place import Project
from branchline.project.saving import save

BIN = Path(sys.executable).parent
PEOPLE = ("clara", "ben", "rhea", "otto")
"""The owner, one who writes, one who reads, and one who is nobody's collaborator."""


def quiet(_: str) -> None:
    """Take what is said of progress, and say nothing."""


@dataclass
class World:
    """One central service and its people.

    Args:
        folder: Where everything is.
        url: Where central listens.
    """

    folder: Path
    url: str
    homes: dict[str, Path] = field(default_factory=dict)

    @property
    def central(self) -> Path:
        """Central's folder."""
        return self.folder / "central"

    def client(self, name: str) -> Client:
        """Return somebody's client."""
        return Client(self.homes[name])

    def enrol(self, name: str) -> None:
        """Have somebody join."""
        made = invite(self.central, name, "person", self.url, timedelta(days=1), SystemClock())
        self.homes[name] = self.folder / "homes" / name
        with self.client(name) as client:
            client.enroll(made.text)

    def moved(self, kind: str, hosted: str) -> list[acts.ContentAct]:
        """Return what central put on the ledger of a hosted project's content, in order."""
        store, keys = Store(self.central), Identity.load_or_create(self.central / "keys").public
        read = [acts.read_act(each.entry, keys) for each in store.acts(kind=kind)]
        return [act for act in read if isinstance(act, acts.ContentAct) and act.hosted == hosted]

    def repository(self, client: Client, place: str) -> Path:
        """Return a hosted project's repository on central's disk."""
        return self.central / "projects" / client.hosted_project(place).hosted


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Run a central service in a thread; gives its address."""
    loop = asyncio.new_event_loop()
    told: list[str] = []
    ready, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running(CentralSettings(folder, port=port)) as url:
            told.append(url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30), "central did not start"
        yield told[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """Give a hub with its people."""
    initialise(folder / "central", "central.test/branchline")
    with served(folder / "central") as url:
        world = World(folder, url)
        for name in PEOPLE:
            world.enrol(name)
        yield world


def project_in(folder: Path, client: Client, files: dict[str, str | bytes]) -> Project:
    """Begin a project, with some files saved in it."""
    begin(folder, client.home.identity, quiet)
    return saved(folder, client, files)


def saved(folder: Path, client: Client, files: dict[str, str | bytes]) -> Project:
    """Write files into a project, and save."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with Project.open(folder).working() as project:
        save(project, client.home.identity, quiet, message="Work")
    return Project.open(folder)


def bearing(token: str) -> tuple[str, str]:
    """Return git's words that carry a token, in place of the helper that would fetch one."""
    basic = base64.b64encode(f"token:{token}".encode()).decode()
    return "-c", f"http.extraHeader=Authorization: Basic {basic}"


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as anybody would."""
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def run(folder: Path, *words: str) -> str:
    """Run a program that must succeed, and return what it printed."""
    done = call(folder, *words)
    assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
    return done.stdout


def refused(folder: Path, *words: str) -> str:
    """Run a program that must fail, and return what it said."""
    done = call(folder, *words)
    assert done.returncode != 0, f"{words}: {done.stdout}"
    return " ".join((done.stderr + done.stdout).replace("remote:", " ").split())
