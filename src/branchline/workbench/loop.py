"""An event loop in a thread of its own: for programs and notebooks that have none, or have one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class PrivateLoop:
    """Run coroutines from ordinary code, whatever loop that code may be running in itself."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="branchline-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine's result; an interruption cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, source: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Yield what an asynchronous generator yields; leaving early closes it."""
        try:
            while (item := self.run(_next(source))) is not None:
                yield item[0]
        finally:
            self.run(source.aclose())

    def close(self) -> None:
        """Stop the loop and its thread; closing twice is harmless."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _next(source: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for item in source:
        return (item,)
    return None
