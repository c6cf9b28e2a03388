"""A private event loop: calls from ordinary code, also where a loop is running already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest

from branchline.workbench.loop import PrivateLoop


@pytest.fixture
def loop() -> Iterator[PrivateLoop]:
    """Return a loop that is closed in the end."""
    made = PrivateLoop()
    yield made
    made.close()
    made.close()


async def count(closed: list[bool]) -> AsyncGenerator[int, None]:
    """Count, and note when the counting is ended."""
    try:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
    finally:
        closed.append(True)


async def test_a_call_works_inside_a_running_loop(loop: PrivateLoop) -> None:
    """As in a notebook: this test's own loop runs while the private one answers."""
    assert loop.run(asyncio.sleep(0, "answer")) == "answer"


def test_an_error_comes_out_as_it_is(loop: PrivateLoop) -> None:
    """What a coroutine raises, the caller gets."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        loop.run(fail())


def test_a_generator_is_closed_at_its_end_and_when_left(loop: PrivateLoop) -> None:
    """Whether it is read to the end or left early, the generator's own end is reached."""
    closed: list[bool] = []
    assert list(loop.iterate(count(closed))) == [0, 1, 2]
    early = loop.iterate(count(closed))
    assert next(early) == 0
    early.close()
    assert closed == [True, True]
