"""What the checks may know of a stop, and what one check hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from branchline.disclosure.findings import Finding
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import Thresholds


@dataclass(frozen=True, slots=True)
class Context:
    """Hold what the checks may know of a stop.

    Args:
        rows: Records bound, per table: the number of people where the table has a key, else its
            rows. No table bound: the train has seen nothing that could be disclosed.
        index: The bound records, for recognising copies; build it once per stop.
        thresholds: The station's demands, already joined with the study's.
        released_values_so_far: Free numbers released earlier on this journey.
        carried: A state came in that other stations' records stand behind (a sequential route), so
            that counts are not bounded by the records bound here.
    """

    rows: Mapping[str, int]
    index: RowIndex
    thresholds: Thresholds = field(default_factory=Thresholds)
    released_values_so_far: int = 0
    carried: bool = False

    @property
    def fewest(self) -> int | None:
        """Records of the smallest bound table; None if no table is bound."""
        return min(self.rows.values(), default=None)

    @property
    def most(self) -> int | None:
        """Records that counts can be about at most; None if that is not known here."""
        return None if self.carried else max(self.rows.values(), default=None)

    def is_row_dimension(self, length: int) -> bool:
        """Tell whether an output of this length could have one entry per record."""
        return length > self.thresholds.row_dimension_above and length in self.rows.values()


@dataclass(frozen=True, slots=True)
class Checked:
    """Hold one output after its checks.

    Args:
        finding: What was found.
        value: What may leave.
        values: Free numbers in it.
    """

    finding: Finding
    value: Any
    values: int = 0
