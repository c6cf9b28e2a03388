"""Fresh memory for large payloads, in huge pages where the kernel gives them."""

from __future__ import annotations

import mmap

LARGE = 4 << 20
"""From this many bytes on, a buffer comes straight from the kernel."""


def fresh(size: int) -> memoryview:
    """Return writable zeroed memory of a size.

    A large buffer touched for the first time costs a page fault for every 4 KiB, which is about
    half the price of every copy; huge pages make that 512 times fewer.
    """
    if size < LARGE:
        return memoryview(bytearray(size))
    # Private: a shared one would be shmem, which rarely gets huge pages.
    region = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    region.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(region)
