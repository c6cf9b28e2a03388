"""Ending background tasks."""

import asyncio

from branchline.foundation.tasks import leave_off


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
