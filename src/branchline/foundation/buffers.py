"""Fresh memory for large payloads, in huge pages where the kernel gives them."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Protocol

LARGE = 4 << 20
"""From this many bytes on, a buffer comes straight from the kernel."""


class Pieces(Protocol):
    """Bytes that are there only piece by piece."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def pieces(self) -> Iterable[memoryview]:
        """Return them in order; a piece may be valid until the next is asked for."""
        ...


def fresh(size: int) -> memoryview:
    """Return writable zeroed memory of a size.

    A large buffer touched for the first time costs a page fault for every 4 KiB, which is about
    half the price of every copy; huge pages make that 512 times fewer.
    """
    if size < LARGE:
        return memoryview(bytearray(size))
    return memoryview(_region(size))


def _region(size: int) -> mmap.mmap:
    # Private: a shared one would be shmem, which rarely gets huge pages.
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(mmap.MADV_HUGEPAGE)
    return region


class Room:
    """Memory for one large payload after another, so that it comes from the kernel only once.

    What is in it is overwritten by the next payload: its owner knows when the last one is done
    with.
    """

    def __init__(self) -> None:
        self._memory = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """Return writable memory of a size; what was taken before is no longer valid."""
        if size > len(self._memory):
            self._memory = fresh(size)
        return self._memory[:size]


class Rooms:
    """Memory for large payloads, used again once nobody looks at a payload in it any more.

    A view that is passed on, sliced, or handed to Arrow keeps what it lies in from being used.
    """

    def __init__(self) -> None:
        self._regions: list[mmap.mmap] = []

    def take(self, size: int) -> memoryview:
        """Return writable memory of a size that nobody else has a view of."""
        if size < LARGE:
            return memoryview(bytearray(size))
        free = [at for at, region in enumerate(self._regions) if _unseen(region)]
        fitting = [at for at in free if len(self._regions[at]) >= size]
        if fitting:
            return memoryview(self._regions[fitting[0]])[:size]
        # What is free and too small is not needed again: payloads of a train rarely shrink.
        self._regions = [r for at, r in enumerate(self._regions) if at not in free]
        self._regions.append(_region(size))
        return memoryview(self._regions[-1])[:size]


def _unseen(region: mmap.mmap) -> bool:
    """Tell whether there is no view of a region: a region that has one cannot be resized."""
    try:
        region.resize(len(region))
    except BufferError:
        return False
    return True


def gather(parts: Pieces) -> memoryview:
    """Return pieces as one whole, read-only."""
    whole, at = fresh(parts.size), 0
    for piece in parts.pieces():
        whole[at : at + len(piece)] = piece
        at += len(piece)
    return whole.toreadonly()
