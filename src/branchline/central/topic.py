"""Central's own topic: what central itself does is numbered, too, so that it can be shown whole.

Numbers are taken in memory, before the act is durable. One that did not come to stand in the ledger
is taken again by the next act; after a crash those near the end are looked for in the ledger.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from pathlib import Path

from branchline.foundation.keys import kept_secret
from branchline.ledger.topics import TopicCounter, tag_of

Present = Callable[[Collection[str]], Collection[str]]
"""Tell which of these tags stand in the ledger."""

_LOOK_BACK = 2048
"""How many numbers before the last one are looked at for gaps that a crash left."""


class OwnTopic:
    """The counter of what this central service does.

    Args:
        file: Where its secret is kept.
        present: Asks the ledger.
    """

    def __init__(self, file: Path, present: Present) -> None:
        self._secret = kept_secret(file)
        self._next = self._end(present)
        first = max(0, self._next - _LOOK_BACK)
        tags = {tag_of(self._secret, number): number for number in range(first, self._next)}
        found = set(present(list(tags)))
        self._free = sorted(number for tag, number in tags.items() if tag not in found)

    @property
    def counter(self) -> TopicCounter:
        """The secret, and how many numbers are taken."""
        return TopicCounter(self._secret, self._next)

    def take(self) -> tuple[int, str]:
        """Take a number, the lowest there is, and its tag."""
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number, self._next = self._next, self._next + 1
        return number, tag_of(self._secret, number)

    def give_back(self, number: int) -> None:
        """Let a number be taken again, since the act it was taken for is not in the ledger."""
        heapq.heappush(self._free, number)

    def _end(self, present: Present) -> int:
        """Return the number after the last one in the ledger."""

        def there(number: int) -> bool:
            return bool(present([tag_of(self._secret, number)]))

        low, high = 0, 1
        while there(high - 1):
            low, high = high, high * 2
        while low < high - 1:
            middle = (low + high) // 2
            low, high = (middle, high) if there(middle - 1) else (low, middle)
        counter = TopicCounter(self._secret, low)
        return counter.caught_up(lambda tag: bool(present([tag]))).next
