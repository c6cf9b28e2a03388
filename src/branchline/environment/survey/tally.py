"""Counting names in bounded memory, and keeping environments outside of it."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from operator import itemgetter
from types import TracebackType
from typing import Self

MAX_NAMES = 500_000
"""The most names that are counted at once; of more, the rarest are forgotten."""

_PIECE = 1 << 16


class Tally:
    """Counts of names; where there are too many, the rarest go, and each may lack some counts.

    Args:
        most: How many names are kept.
    """

    def __init__(self, most: int = MAX_NAMES) -> None:
        self.most = most
        self.missing = 0
        """How many counts any name may lack, at most (lossy counting, Manku and Motwani 2002)."""
        self._counts: Counter[str] = Counter()
        self._waiting: list[str] = []

    def add(self, names: Iterable[str]) -> None:
        """Count each name once more."""
        self._waiting.extend(names)
        if len(self._waiting) > _PIECE:
            self._count()

    def top(self, number: int | None = None) -> list[tuple[str, int]]:
        """Return the most frequent names with their counts, equal ones by name."""
        self._count()
        ordered = sorted(sorted(self._counts.items()), key=itemgetter(1), reverse=True)
        return ordered if number is None else ordered[:number]

    def _count(self) -> None:
        self._counts.update(self._waiting)
        self._waiting.clear()
        while len(self._counts) > self.most:
            self._forget()

    def _forget(self) -> None:
        """Take one off every count, and drop those that are gone: the rarest."""
        self.missing += 1
        self._counts = Counter({name: n - 1 for name, n in self._counts.items() if n > 1})


class Environments:
    """The packages of every environment, as numbers in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the block this opens
        self._numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self._waiting = array("I")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, packages: Iterable[str]) -> None:
        """Keep one environment."""
        numbers = self._numbers
        found = [numbers[name] for name in packages]
        self._waiting.append(len(found))
        self._waiting.extend(found)
        self.count += 1
        if len(self._waiting) > _PIECE:
            self._flush()

    def number_of(self, package: str) -> int | None:
        """Return a package's number; None if no environment has it."""
        return self._numbers.get(package)

    @property
    def packages(self) -> int:
        """How many packages there are in all."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[array[int]]:
        """Yield each environment's packages as numbers."""
        self._flush()
        self._file.seek(0)
        rest = array("I")
        while piece := self._file.read(4 * _PIECE):
            rest.frombytes(piece)
            at = 0
            while at < len(rest) and at + rest[at] < len(rest):
                end = at + 1 + rest[at]
                yield rest[at + 1 : end]
                at = end
            del rest[:at]

    def _flush(self) -> None:
        self._file.seek(0, 2)
        self._waiting.tofile(self._file)
        del self._waiting[:]
