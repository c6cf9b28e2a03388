"""Durable writes in groups: whatever waits is committed together, in the order it came."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError

from branchline.foundation.errors import BranchlineError, Conflict, Unavailable

T = TypeVar("T")

_GROUP = 256


@dataclass(frozen=True)
class _Work:
    work: Callable[[Connection], Any]
    failed: Callable[[], None]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Journal:
    """Commit pieces of work, several in one transaction where they come at the same time.

    Promises: a piece whose future has a result is durable; pieces are applied in the order in
    which they were given; one that raises leaves no trace and disturbs no other.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    async def commit(
        self, work: Callable[[Connection], T], failed: Callable[[], None] = lambda: None
    ) -> T:
        """Run work in a transaction and return its result once it is durable.

        Args:
            work: What to write; runs in the journal's own thread.
            failed: Called in that thread if the work is not durable, before any later work runs.

        Raises:
            Unavailable: The database could not write (a full disk, say); nothing was changed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Work(work, failed, done, loop))
        return cast(T, await done)

    def close(self) -> None:
        """Finish what waits and stop."""
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, ended = self._gather(first)
            self._commit(group)
            if ended:
                return

    def _gather(self, first: _Work) -> tuple[list[_Work], bool]:
        group = [first]
        while len(group) < _GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False

    def _commit(self, group: list[_Work]) -> None:
        outcomes: list[tuple[_Work, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                for item in group:
                    outcomes.append(_attempt(connection, item))
        except Exception as error:  # noqa: BLE001 - outermost loop: every waiter is told
            failure = _as_temporary(error)
            outcomes = [(item, None, failure) for item in group]
        for item, result, failed in outcomes:
            if failed is not None:
                item.failed()
            item.loop.call_soon_threadsafe(_settle, item.done, result, failed)


def _attempt(connection: Connection, item: _Work) -> tuple[_Work, Any, BaseException | None]:
    try:
        with connection.begin_nested():
            return item, item.work(connection), None
    except BranchlineError as error:
        return item, None, error
    except IntegrityError:
        # Two of one name, key or id: the second one is refused, alone.
        return item, None, Conflict("Something of this name, key or id is recorded already")


def _as_temporary(error: Exception) -> Exception:
    if isinstance(error, OperationalError | OSError):
        return Unavailable(
            "The database could not be written",
            advice="Look for a full disk; nothing was changed, so the same act can be sent again",
        )
    return error


def _settle(done: asyncio.Future[Any], result: Any, failed: BaseException | None) -> None:
    if done.cancelled():
        return
    if failed is not None:
        done.set_exception(failed)
    else:
        done.set_result(result)
