"""Hold a table's cells against the records behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from branchline.disclosure.columns import Column
from branchline.disclosure.context import Context
from branchline.disclosure.findings import RefusedOutput, SafeReason
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import OutputRule, Thresholds
from branchline.disclosure.suppression import Cells, inner_total, totals_hold

if TYPE_CHECKING:
    from branchline.disclosure.suppression import Mask


def check_counts(
    rule: OutputRule, cells: Cells, labels: dict[str, list[Any]], context: Context
) -> None:
    """Refuse counts that do not add up, or say more people than there are records."""
    if not totals_hold(cells):
        raise RefusedOutput("totals", SafeReason.COUNTS)
    records = context.most
    if records is None:
        return
    # Cells of counts share out the records. Rows of statistics (one per variable, say) may all be
    # about the same ones.
    counts = rule.kind == "counts"
    most = int(inner_total(cells)) if counts else int(cells.counts.max(initial=0))
    if most > records:
        raise RefusedOutput("counts", SafeReason.COUNTS, records=records)
    for axis, dimension in enumerate(rule.dimensions):
        held = context.index.label_counts(dimension)
        inner = [label for label in labels[dimension] if not _is_total(rule, label)]
        for label, count in zip(inner, inner_total(cells, axis).tolist(), strict=True):
            if label in held and count > held[label]:
                raise RefusedOutput("counts", SafeReason.COUNTS, dimension=dimension)


def _is_total(rule: OutputRule, label: Any) -> bool:
    return label is not None and label == rule.total_label


def unknown_labels(rule: OutputRule, labels: dict[str, list[Any]], context: Context) -> int:
    """Count labels that neither the train declares nor a minimum group of the records has.

    Raises:
        RefusedOutput: The train declares the labels, and this is none of them.
    """
    unknown = 0
    for dimension in rule.dimensions:
        declared = rule.labels.get(dimension)
        for label in labels[dimension]:
            if label is None or _is_total(rule, label):
                continue
            if declared is not None:
                if label not in declared:
                    raise RefusedOutput("labels", SafeReason.FORM, dimension=dimension)
            elif context.rows and label not in context.index.labels(dimension):
                common = context.index.label_counts(dimension).get(label, 0)
                unknown += common < context.thresholds.min_group
    return unknown


def check_copies(rule: OutputRule, columns: dict[str, Column], index: RowIndex) -> None:
    """Refuse labels and measures that are copies of records."""
    import numpy as np

    # The largest contributions are single people's values by definition; they do not leave.
    single = {rule.largest, rule.second_largest, rule.count}
    for column, values in columns.items():
        if column in rule.dimensions:
            known = index.labels(column) | set(rule.labels.get(column, ()))
            texts = [v for v in values if isinstance(v, str) and v not in known]
            if any(index.has_text(text) for text in texts):
                raise RefusedOutput("copies", SafeReason.ROWS, column=column)
        elif column not in single:
            numbers = np.array([v for v in values if v is not None], dtype=np.float64)
            search = index.search(numbers.dtype)
            search.look(numbers)
            if search.copied:
                raise RefusedOutput("copies", SafeReason.ROWS, column=column, **search.evidence())


@dataclass(frozen=True, slots=True)
class Weak:
    """Say which cells must not be shown.

    Args:
        mask: These cells.
        small: How many have too few records.
        dominated: How many totals come from one or two people.
        undefined: Some total has contributions for which dominance is not defined.
    """

    mask: Mask
    small: int
    dominated: int
    undefined: bool


def weak_cells(
    rule: OutputRule,
    columns: dict[str, Column],
    places: list[tuple[int, ...]],
    cells: Cells,
    thresholds: Thresholds,
) -> Weak:
    """Find small cells, and totals that one or two people make up."""
    mask = (cells.counts < thresholds.min_group) & cells.present
    if not thresholds.zeros_are_disclosive:
        mask &= cells.counts > 0
    small = int(mask.sum())
    dominated, undefined = 0, False
    if rule.total and rule.largest and rule.second_largest:
        three = zip(
            columns[rule.total], columns[rule.largest], columns[rule.second_largest], strict=True
        )
        for place, (total, largest, second) in zip(places, three, strict=True):
            if mask[place] or cells.counts[place] == 0:
                continue
            found = _dominance(total, largest, second, thresholds)
            undefined = undefined or found is None
            if found:
                dominated += 1
                mask[place] = True
    return Weak(mask, small, dominated, undefined)


def _dominance(total: Any, largest: Any, second: Any, thresholds: Thresholds) -> bool | None:
    """Tell whether two contributions dominate a total; None where that is not defined."""
    if any(v is None or not math.isfinite(v) or v < 0 for v in (total, largest, second)):
        return None
    if second > largest or largest + second > total * (1 + 1e-12):
        return None
    if total == 0:
        return False
    nk = (largest + second) / total >= thresholds.dominance_k
    return bool(nk or (total - largest - second) < thresholds.dominance_p * largest)
