"""Write what kernels ran into a project, while they run, and put on record when nobody listened.

Listening and writing are two threads: a slow disk, or a save under way, delays records and loses
none. A record is durable once written; it is committed when the recording ends, or with the next
save. A recording that was killed leaves its mark, and the next one records the gap.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.files import Recorder
from branchline.project.activity.marks import Mark
from branchline.project.activity.record import Detail
from branchline.project.notebook.cells import Break, Cell
from branchline.project.notebook.details import action_of, error_of, facts_of, parts_of
from branchline.project.notebook.tap import Tap
from branchline.project.place import Project
from branchline.project.saving import commit_only

log = logging.getLogger("branchline.notebook")

HOST = "host"
"""The environment of a kernel that runs on the machine's own programs; not reproducible."""

_MARK = "recording.json"
_ALIVE_SECONDS = 1.0
_GATHER_SECONDS = 1.0
"""What is heard within so long is written at once: every writing asks git a few things."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Recording:
    """Records every cell that kernels run, from entering to leaving.

    Args:
        root: The project's folder.
        identity: Whose keys sign.
        folder: Where kernels' connection files and sockets appear.
        environment: The digest of the image that kernels run in, or ``HOST``.
        notebook: Tells a kernel's notebook, relative to the project; empty if it has none.
        clock: The time.
    """

    def __init__(
        self,
        root: Path,
        identity: Identity,
        folder: Path,
        *,
        environment: str = HOST,
        notebook: Callable[[str], str] = lambda kernel: "",
        clock: Clock | None = None,
    ) -> None:
        self._project, self._identity = Project.open(root), identity
        self._environment, self._notebook = environment, notebook
        self._clock = clock or SystemClock()
        self._mark = Mark(self._project.state / _MARK, self._clock)
        self._queue: queue.SimpleQueue[tuple[str, Cell | Break] | None] = queue.SimpleQueue()
        self._tap = Tap(folder, lambda *heard: self._queue.put(heard), self._clock)
        self._writer = threading.Thread(target=self._write_all, name="recording")
        self._paths: list[str] = []
        self._whole, self._failed = False, False
        self.records = 0

    def __enter__(self) -> Recording:
        """Put on record that nobody listened, if so, and begin."""
        self._record_gap()
        self._writer.start()
        self._tap.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what was heard last, and commit the records."""
        self._tap.__exit__()
        self._queue.put(None)
        self._writer.join()
        self._commit()
        if self._whole and not self._deaf:
            self._mark.take_away()

    def hears(self, kernel: str) -> bool:
        """Tell whether a kernel is listened to; what it runs from then on is on record."""
        return self._tap.hears(kernel)

    @property
    def _deaf(self) -> bool:
        """Whether something was not heard or not written; the mark stays, and tells since when."""
        return self._failed or self._tap.failed

    def _record_gap(self) -> None:
        """Record a gap if the recording before was killed, and leave this one's mark."""
        if (missed := self._mark.missed()) is not None:
            record = {
                "type": "gap",
                "action": "record",
                "message": f"Notebooks were not recorded from {missed.start} to {missed.end}",
            }
            said = missed.as_json()
            self._write([(record, lambda recorder: [recorder.keep_json("metadata", said)])])
        self._mark.leave()

    def _write_all(self) -> None:
        ended = False
        while not ended:
            batch: list[tuple[str, Cell | Break]] = []
            try:
                heard = self._queue.get(timeout=_ALIVE_SECONDS)
                until = time.monotonic() + _GATHER_SECONDS
                while heard is not None:
                    batch.append(heard)
                    self._notebook(heard[0])  # known from now on, whatever ends meanwhile
                    heard = self._queue.get(timeout=max(0.0, until - time.monotonic()))
                ended = True
            except queue.Empty:
                pass
            if batch:
                self._write_patiently(batch)
            if not self._deaf:
                self._mark.alive()
        self._whole = True

    def _write_patiently(self, batch: list[tuple[str, Cell | Break]]) -> None:
        """Write until it is written: a save may be under way, the disk may be full."""
        pause = _FIRST_PAUSE
        made = [self._made(kernel, heard) for kernel, heard in batch]
        while made:
            try:
                self._write(made)
                return
            except (Unavailable, OSError) as error:
                log.warning("records of notebooks wait: %s", error)
            except BranchlineError as error:
                # Nothing can continue the chain, say. The mark stays: the next one records the gap.
                log.error("%d cells are not on record: %s", len(made), error)
                self._failed = True
                return
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _write(self, made: list[_Made]) -> None:
        """Write records, taking each off the list once it is written; left, they are durable."""
        with self._project.working() as held:
            recorder = Recorder(held, self._identity, self._clock)
            commit, branch = held.git.where()
            where = {"commit": commit, "branch": branch}
            with recorder.together():
                while made:
                    record, details = made[0]
                    _, paths = recorder.write({**record, **where}, *details(recorder))
                    made.pop(0)
                    self._paths += paths
                    self.records += 1

    def _made(self, kernel: str, heard: Cell | Break) -> _Made:
        place = {"kernel": kernel, "notebook": self._notebook(kernel)}
        if isinstance(heard, Break):
            word = "was started anew" if heard.restart else "ended"
            record = {
                "type": "execution",
                "action": "interrupt",
                "message": f"The kernel of {place['notebook'] or kernel} {word}",
                "outcome": "interrupted",
            }
            said = place | {"at": heard.at, "restart": heard.restart}
            return record, lambda recorder: [recorder.keep_json("metadata", said)]
        return action_of(heard), lambda recorder: self._details(recorder, place, heard)

    def _details(self, recorder: Recorder, place: dict[str, str], cell: Cell) -> list[Detail]:
        parts, left_out = parts_of(cell)
        found = [recorder.keep(part.kind, part.content, part.media) for part in parts]
        if (failure := error_of(cell)) is not None:
            found.append(recorder.keep_json("error", failure))
        facts = place | facts_of(cell, left_out)
        found.append(recorder.keep_json("metadata", facts))
        found.append(Detail("environment", self._environment))
        return found

    def _commit(self) -> None:
        if not self._paths:
            return
        try:
            with self._project.working() as held:
                commit_only(held, sorted(set(self._paths)), f"{self.records} records of notebooks")
        except BranchlineError as error:
            # A merge under way, say: the records are in the folder, and the next save has them.
            log.warning("records of notebooks are not committed yet: %s", error)


_Details = Callable[[Recorder], list[Detail]]
_Made = tuple[dict[str, Any], _Details]
