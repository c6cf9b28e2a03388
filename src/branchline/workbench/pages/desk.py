"""What is open: projects with their activity in memory, and everybody who looks on."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from branchline.environment.image.store import Store
from branchline.foundation.errors import BranchlineError, NotFound
from branchline.foundation.keys import Identity
from branchline.foundation.tasks import in_thread
from branchline.project.activity.timeline import Timeline
from branchline.project.git.intake import Progress
from branchline.project.place import Project
from branchline.project.savepoints import SavePoints
from branchline.project.search import take_in
from branchline.workbench.home import WorkbenchHome
from branchline.workbench.known import KnownProjects
from branchline.workbench.pages.jobs import Job, Jobs
from branchline.workbench.pages.labs import StartedLab, start_lab

log = logging.getLogger("branchline.workbench")

_LOOK_SECONDS = 0.2
_WATCHED = ("branchline/seen.json", "HEAD", "index")
"""What changes below ``.git`` with every record, branch and save."""

Event = dict[str, Any]

_FIRST_SECONDS, _BREATH_SECONDS = 0.5, 0.02
"""What is done aside waits for the first page, and then at each step."""


class _Left(Exception):
    """The workbench ends."""


@dataclass
class Opened:
    """A project that is open.

    Args:
        key: Its name in addresses.
        project: The project.
        timeline: Its activity.
    """

    key: str
    project: Project
    timeline: Timeline
    jobs: Jobs = field(init=False)
    _told: set[asyncio.Queue[Event | None]] = field(default_factory=set)
    _looking: asyncio.Task[None] | None = None
    _aside: asyncio.Task[None] | None = None
    _left: threading.Event = field(default_factory=threading.Event)
    _watching: SavePoints | None = None

    def __post_init__(self) -> None:
        self.jobs = Jobs(self._job_changed)

    @property
    def base(self) -> str:
        """What its addresses begin with."""
        return f"/p/{self.key}"

    @contextmanager
    def told(self) -> Iterator[asyncio.Queue[Event | None]]:
        """Give a queue that is told of what changes, while entered; None at the end of all."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._told.add(queue)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield queue
        finally:
            self._told.discard(queue)
            if not self._told and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def prepare(self) -> None:
        """Look through the activity and bring the search up to date, aside, once."""
        if self._aside is None:
            self._aside = asyncio.create_task(in_thread(self._prepare))

    def _prepare(self) -> None:
        try:
            self._breathe(_FIRST_SECONDS)
            self.timeline.warm(self._breathe)
            take_in(self.project, self._breathe)
        except _Left:
            pass  # the next one goes on
        except (BranchlineError, OSError) as error:
            log.warning("%s was not looked through: %s", self.project.root, error)

    def _breathe(self, seconds: float = _BREATH_SECONDS) -> None:
        """Let pages go first; leave where the workbench ends."""
        if self._left.wait(seconds):
            raise _Left

    def watch(self, identity: Identity) -> None:
        """Put changes of files on record from now on; one time is enough."""
        if self._watching is None:
            self._watching = SavePoints(self.project.root, identity)
            self._watching.__enter__()

    async def close(self) -> None:
        """Wait for what is under way; what is done aside is left."""
        self._left.set()
        if self._watching is not None:
            await asyncio.to_thread(self._watching.__exit__)
        if self._aside is not None:
            await asyncio.wait([self._aside])
        await self.jobs.close()

    def tell(self, event: Event | None) -> None:
        """Tell everybody who looks on."""
        for queue in self._told:
            queue.put_nowait(event)

    def _job_changed(self, job: Job) -> None:
        self.tell({"kind": "job", **job.as_json()})

    async def _look(self) -> None:
        """Notice what other programs write: a few looks a second at three files cost nothing."""
        before = self._state()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self._state()
            if now != before:
                self.tell({"kind": "changed", "records": now[0] != before[0]})
                before = now

    def _state(self) -> tuple[tuple[int, int], ...]:
        return tuple(_stamp(self.project.root / ".git" / name) for name in _WATCHED)


class Desk:
    """Everything one person has open on this machine.

    Args:
        home: The person's data folder.
        store: Where images are.
        watch: Whether changes of files are put on record in projects whose activity is looked at.
    """

    def __init__(self, home: WorkbenchHome, store: Store, *, watch: bool = False) -> None:
        self.home, self.store = home, store
        self._watch = watch
        self._labs: dict[Path, StartedLab] = {}
        self.known = KnownProjects(home.folder)
        self._open: dict[str, Opened] = {}

    @property
    def identity(self) -> Identity:
        """The person's keys."""
        return self.home.identity

    def open(self, key: str) -> Opened:
        """Return a project by its key.

        Raises:
            NotFound: None is known by it, or it is not where it was.
            Refused: Its repository would run programs, or look elsewhere.
        """
        root = self.known.place(key)
        if root is None:
            raise NotFound("There is no such project here", advice="Choose one from the list")
        if not root.is_dir():
            self._open.pop(key, None)
            raise NotFound(f"{root} is not there any more", advice="Put it back, or forget it")
        if key not in self._open:
            project = Project.open(root)
            self._open[key] = Opened(key, project, Timeline(project))
        return self._open[key]

    def add(self, folder: Path) -> Opened:
        """Open the project that a folder is in, and remember it.

        Raises:
            NotFound: It is in none.
            Refused: Its repository would run programs, or look elsewhere.
        """
        return self.open(self.known.remember(Project.open(folder).root))

    def begin(self, opened: Opened) -> None:
        """Do for a project that is looked at what is done aside."""
        opened.prepare()
        if self._watch:
            opened.watch(self.identity)

    def lab(self, project: Project, progress: Progress) -> str:
        """Return the address of a project's lab; one that does not run is started.

        Raises:
            BranchlineError: It cannot be; the sentence is that of 'branchline lab'.
        """
        known = self._labs.get(project.root)
        if known is None or not known.runs:
            progress("starting Jupyter")
            known = self._labs[project.root] = start_lab(
                project.root, self.home.folder, self.store.folder
            )
        return known.url

    def forget(self, key: str) -> None:
        """Leave a project out of the list; nothing of it changes."""
        self._open.pop(key, None)
        self.known.forget(key)

    def leave(self) -> None:
        """Tell everybody who looks on that it is over."""
        for opened in self._open.values():
            opened.tell(None)

    async def close(self) -> None:
        """Wait for what is under way."""
        for opened in self._open.values():
            await opened.close()
        for lab in self._labs.values():
            await asyncio.to_thread(lab.end)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
