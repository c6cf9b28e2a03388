"""Ending background tasks."""

import asyncio
import threading

import pytest

from branchline.foundation.tasks import in_thread, leave_off


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    """As happens under ``wait_for``: the first cancellation is swallowed, and the task goes on."""
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await leave_off([task])
    assert swallowed.is_set()
    assert task.cancelled()


async def test_tasks_that_failed_or_ended_are_no_trouble() -> None:
    """Whatever a task ended with, leaving it off returns."""

    async def failing() -> None:
        raise ValueError("on purpose")

    tasks = [asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(0))]
    await leave_off([])
    await leave_off(tasks)
    assert all(task.done() for task in tasks)


async def test_what_runs_in_a_thread_has_ended_when_its_task_has() -> None:
    """Cancelled, again and again, the task ends only once the thread is done."""
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.append(True)

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_a_threads_result_and_error_come_through() -> None:
    """As if it had been called."""

    def fails() -> None:
        raise ValueError("no")

    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ValueError, match="no"):
        await in_thread(fails)
