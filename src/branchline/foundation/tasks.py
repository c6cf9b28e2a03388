"""Ending background tasks for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN = 0.5


async def leave_off(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended, whatever they ended with.

    A cancellation can be lost: ``asyncio.wait_for`` of Python 3.11 drops one that arrives as what
    it waits for is done. The task would then go on and wait for ever, so it is cancelled again.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # looked at, so that nobody warns of it


async def in_thread(work: Callable[[], T]) -> T:
    """Do blocking work in a thread; whoever is cancelled meanwhile still waits for its end.

    A thread cannot be cancelled. What writes files must not go on after the program that ran it
    has said that it has stopped. And what waits for a thread is not given up: it is done, too.
    """
    # No task: those are cancelled when a loop ends, and with them what no thread has begun.
    running = asyncio.get_running_loop().run_in_executor(None, copy_context().run, work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # looked at, so that nobody warns of it
        raise cancelled
    return running.result()
