"""What was asked for with a button and takes its time: one thing after another for each project."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from branchline.foundation.errors import BranchlineError
from branchline.foundation.tasks import in_thread
from branchline.project.git.intake import Progress

log = logging.getLogger("branchline.workbench")

_KEPT = 50


@dataclass(frozen=True)
class Done:
    """What came of an act.

    Args:
        sentence: Says it to people.
        link: Where to look at it; empty for nowhere.
        good: Whether it is what was hoped for.
        lines: More to read.
    """

    sentence: str
    link: str = ""
    good: bool = True
    lines: tuple[str, ...] = ()


Work = Callable[[Progress], Done]


@dataclass
class Job:
    """One act that was asked for.

    Args:
        number: Its number.
        title: What it is, in words.
        said: What it does now.
        done: What came of it; None while it is under way.
    """

    number: int
    title: str
    said: str = "waiting"
    done: Done | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def as_json(self) -> dict[str, object]:
        """Return it as the page's script reads it."""
        found: dict[str, object] = {"job": self.number, "title": self.title, "said": self.said}
        if self.done is not None:
            found |= {
                "done": True,
                "good": self.done.good,
                "sentence": self.done.sentence,
                "link": self.done.link,
                "lines": list(self.done.lines),
            }
        return found


class Jobs:
    """The acts of one project, done one after another in the order they were asked for.

    Args:
        changed: Told whenever a job has something new to say, in the loop's thread.
    """

    def __init__(self, changed: Callable[[Job], None]) -> None:
        self._changed = changed
        self._numbers = count(1)
        self._known: deque[Job] = deque(maxlen=_KEPT)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, number: int) -> Job | None:
        """Return a job by its number; None for one that is long over."""
        return next((job for job in self._known if job.number == number), None)

    @property
    def under_way(self) -> list[Job]:
        """What is not done yet."""
        return [job for job in self._known if job.done is None]

    def start(self, title: str, work: Work) -> Job:
        """Begin something, once what was asked for before is done."""
        job = Job(next(self._numbers), title)
        self._known.append(job)
        task = asyncio.create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def close(self) -> None:
        """Wait for what is under way; what waits is not begun any more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job, work: Work) -> None:
        loop = asyncio.get_running_loop()

        def say(sentence: str) -> None:
            loop.call_soon_threadsafe(self._say, job, sentence)

        try:
            async with self._turn:
                self._say(job, "beginning")
                done = await in_thread(lambda: work(say))
        except BranchlineError as error:
            done = Done(str(error), good=False)
        except OSError as error:
            done = Done(f"{error.filename or 'A file'}: {error.strerror or error}.", good=False)
        except asyncio.CancelledError:
            done = Done("The workbench ended before this was done.", good=False)
        except Exception as error:
            # Outermost loop: whoever pressed the button is told, and the pages go on.
            log.exception("an act on a page failed")
            done = Done(
                f"This failed by a mistake of Branchline's ({type(error).__name__}).", good=False
            )
        job.done = done
        job.ended.set()
        self._changed(job)

    def _say(self, job: Job, sentence: str) -> None:
        if job.done is None:
            job.said = sentence
            self._changed(job)
