"""Know the bound records well enough to recognise them in an output.

The index is built once per stop, when first asked, and answers in microseconds.
It finds copies, made by mistake or lightly disguised by order; it cannot find records that were
encoded. Against those stand the limits on how many numbers leave at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

COPIES = 5
"""So many different rare values in an output, and hardly anything else, are copies of records."""
SHARE = 0.9
"""Hardly anything else: rare values are this share of the output's numbers."""
DIGITS = 6
"""A rare number with so many significant digits is recognised by itself."""
LETTERS = 4
"""A rare text of so many characters is recognised by itself."""

_BITS = 20
_MIX = {4: 0x9E3779B1, 8: 0x9E3779B97F4A7C15}
_FEW = 1 << 12


class RowIndex:
    """Recognise values that few bound records have.

    Args:
        tables: Gives the bound tables by name; called once, when first needed.
        codes: Per table and column, the codes the contract or the schema lists; such values
            are public and never count as copies.
        min_group: A value in fewer rows than this is rare.
    """

    def __init__(
        self,
        tables: Callable[[], Mapping[str, pa.Table]],
        *,
        codes: Mapping[str, Mapping[str, tuple[Any, ...]]] | None = None,
        min_group: int = 10,
    ) -> None:
        self._tables = tables
        self._codes = codes or {}
        self._min_group = min_group
        self._label_counts: dict[str, dict[Any, int]] = {}

    def labels(self, column: str) -> frozenset[Any]:
        """Return the declared codes of the columns of this name."""
        found = [codes[column] for codes in self._codes.values() if column in codes]
        return frozenset(label for codes in found for label in codes)

    def label_counts(self, column: str) -> dict[Any, int]:
        """Return, per value of the bound columns of this name, in how many rows it stands."""
        if column not in self._label_counts:
            most: dict[Any, int] = {}
            for table in self._bound.values():
                if column in table.column_names:
                    for value, count in _counted(table.column(column)):
                        most[value] = max(count, most.get(value, 0))
            self._label_counts[column] = most
        return self._label_counts[column]

    def has_text(self, text: str) -> bool:
        """Tell whether a rare text of the bound records stands in this one."""
        if not self._texts:
            return False
        folded = text.casefold()
        ends = range(len(folded) + 1)
        return any(folded[i:j] in self._texts for i in ends for j in ends if j - i >= LETTERS)

    def search(self, dtype: np.dtype[Any]) -> Search:
        """Start a search for rare numbers in an array of a numeric type."""
        narrow = dtype.kind == "f" and dtype.itemsize == 4
        return Search(self._rare32 if narrow else self._rare64)

    @cached_property
    def _bound(self) -> Mapping[str, pa.Table]:
        return self._tables()

    @cached_property
    def _rare64(self) -> Rare:
        import numpy as np

        return Rare(np.unique(np.concatenate([np.empty(0), *self._rare_columns()])))

    @cached_property
    def _rare32(self) -> Rare:
        import numpy as np

        with np.errstate(over="ignore"):
            return Rare(np.unique(self._rare64.values.astype(np.float32)), self._rare64)

    @cached_property
    def _texts(self) -> frozenset[str]:
        import pyarrow as pa

        texts: set[str] = set()
        for column in self._columns():
            kind = column.type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_date(kind):
                rare = (str(v).casefold() for v, n in _counted(column) if n < self._min_group)
                texts.update(text for text in rare if len(text) >= LETTERS)
        return frozenset(texts)

    def _columns(self) -> list[Any]:
        return [
            table.column(column)
            for name, table in self._bound.items()
            for column in table.column_names
            if column not in self._codes.get(name, {})
        ]

    def _rare_columns(self) -> list[NDArray[np.float64]]:
        import numpy as np
        import pyarrow as pa

        found = []
        for column in self._columns():
            kind = column.type
            if _is_date(kind):
                column = column.cast(pa.int32()) if pa.types.is_date32(kind) else column
            elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                continue
            numbers = column.drop_null().cast(pa.float64(), safe=False).to_numpy()
            values, counts = np.unique(numbers, return_counts=True)
            rare = values[(counts < self._min_group) & np.isfinite(values)]
            found.append(rare[~np.isin(rare, (0.0, 1.0, -1.0))])
        return found


class Rare:
    """Hold rare numbers, sorted, with a table of hashes that answers most questions at once."""

    def __init__(self, values: NDArray[Any], exact: Rare | None = None) -> None:
        import numpy as np

        self.values = values
        self.telling = _telling(values) if exact is None else _nearest_telling(values, exact)
        self._hashes = np.zeros(1 << _BITS, dtype=bool)
        if values.size:
            self._hashes[_hash(values)] = True

    def positions(self, piece: NDArray[Any]) -> NDArray[np.intp]:
        """Return, for each number of the piece that is rare, its place among the rare ones."""
        import numpy as np

        numbers = piece if piece.dtype == self.values.dtype else piece.astype(self.values.dtype)
        if numbers.size > _FEW:
            numbers = numbers[self._hashes.take(_hash(numbers))]
        at = np.minimum(np.searchsorted(self.values, numbers), self.values.size - 1)
        hits: NDArray[np.intp] = at[self.values[at] == numbers]
        return hits


class Search:
    """Count the rare numbers in the pieces of one array.

    Args:
        rare: What to look for.
    """

    def __init__(self, rare: Rare) -> None:
        import numpy as np

        self._rare = rare
        self._seen = np.zeros(rare.values.size, dtype=bool)
        self.hits = 0
        self.numbers = 0

    def look(self, piece: NDArray[Any]) -> None:
        """Look at some more numbers."""
        import numpy as np

        if not self._rare.values.size:
            return
        at = self._rare.positions(piece)
        if at.size:
            self._seen[at] = True
            self.hits += int(at.size)
        trivial = int(np.count_nonzero(np.abs(piece) == 1)) if self.hits else 0
        self.numbers += int(np.count_nonzero(piece)) - trivial

    def evidence(self) -> dict[str, int]:
        """Return how many numbers were seen, how many are rare, how many of them tell by themselves."""
        return {
            "numbers": self.numbers,
            "rare": self.hits,
            "different": int(self._seen.sum()),
            "telling": int((self._seen & self._rare.telling).sum()),
        }

    @property
    def copied(self) -> bool:
        """Tell whether what was seen is a copy of records."""
        import numpy as np

        if not self.hits:
            return False
        if int(np.count_nonzero(self._seen & self._rare.telling)) > self._by_chance:
            return True
        return int(np.count_nonzero(self._seen)) >= COPIES and self.hits >= SHARE * self.numbers

    @property
    def _by_chance(self) -> float:
        # Doubles do not meet by chance. Among single-precision numbers there are some 2^24 of one
        # magnitude, so large arrays do meet some rare ones; ten times as many are none.
        if self._rare.values.dtype.itemsize == 8:
            return 0
        return COPIES + 10 * self.numbers * self._rare.values.size / 2**24


def _is_date(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_date32(kind))


def _counted(column: Any) -> list[tuple[Any, int]]:
    pairs = column.drop_null().value_counts()
    return list(zip(pairs.field(0).to_pylist(), pairs.field(1).to_pylist(), strict=True))


def _telling(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark numbers that five significant digits do not write exactly."""
    import numpy as np

    if not values.size:
        return np.zeros(0, dtype=bool)
    exponent = np.floor(np.log10(np.abs(values))) - (DIGITS - 2)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        scaled = np.where(exponent >= 0, values / 10.0**exponent, values * 10.0**-exponent)
    marked: NDArray[np.bool_] = ~(np.abs(scaled - np.round(scaled)) <= 1e-7)
    return marked


def _nearest_telling(values: NDArray[Any], exact: Rare) -> NDArray[np.bool_]:
    import numpy as np

    marked = np.zeros(values.size, dtype=bool)
    narrow = exact.values[exact.telling].astype(values.dtype)
    marked[np.searchsorted(values, narrow)] = True
    return marked


def _hash(numbers: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    size = numbers.dtype.itemsize
    unsigned = np.uint32 if size == 4 else np.uint64
    bits: Any = numbers.view(unsigned)
    mixed: NDArray[Any] = (bits * unsigned(_MIX[size])) >> unsigned(8 * size - _BITS)
    return mixed
