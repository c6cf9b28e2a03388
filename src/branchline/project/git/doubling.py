"""Have a double of this process do a part of the work.

Python's threads take turns at each call of the system. Where the work is little else than such calls,
taking turns costs more than a second processor wins; two processes do not wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from branchline.foundation.errors import Unavailable


def may_double() -> bool:
    """Tell whether a double of this process could work.

    It has one thread. What other threads held would be held in the double for ever; so there must be
    none, and the system must be one that tells.
    """
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


@contextmanager
def beside(work: Callable[[], Iterator[bytes]]) -> Iterator[list[bytes]]:
    """Have a double do some work while this process does what is in the context.

    Whoever holds a lock of files holds it until the double has ended, too.

    Args:
        work: Yields what it did, piece by piece, without NUL bytes. Where it fails, it ends.

    Yields:
        A list which holds, when the context was left, what the work yielded.

    Raises:
        Unavailable: The double was ended from outside; nobody knows how far it came.
    """
    reading, writing = os.pipe()
    double = os.fork()
    if double == 0:
        os.close(reading)
        _work(work, writing)
    os.close(writing)
    done: list[bytes] = []
    try:
        yield done
    finally:
        with open(reading, "rb") as told:
            done += filter(None, told.read().split(b"\0"))
        _, status = os.waitpid(double, 0)
    if status != 0:
        raise Unavailable("A part of the work was ended", advice="Do the same again")


def _work(work: Callable[[], Iterator[bytes]], writing: int) -> None:
    """Do the work, tell of it when it is done, and end without anything of the first process's."""
    done, status = [], 1
    try:
        try:
            for each in work():
                done.append(each)
        except Exception:  # noqa: BLE001
            # The first process meets it, too, when it does the rest.
            pass
        # At once: a pipe holds little until somebody reads.
        with open(writing, "wb") as told:
            told.write(b"\0".join(done))
        status = 0
    finally:
        os._exit(status)
