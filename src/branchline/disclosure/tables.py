"""Check tables: counts, and statistics of groups with the number of records behind each."""

from __future__ import annotations

import math
from typing import Any

from branchline.disclosure.columns import Column, in_order, plain_columns, rebuilt
from branchline.disclosure.context import Checked, Context
from branchline.disclosure.findings import Finding, RefusedOutput, SafeReason, Verdict
from branchline.disclosure.groups import (
    Weak,
    check_copies,
    check_counts,
    unknown_labels,
    weak_cells,
)
from branchline.disclosure.rules import OutputRule, Thresholds
from branchline.disclosure.suppression import Cells, suppress

MOST_DIMENSIONS = 5


def check_table(name: str, rule: OutputRule, table: Any, context: Context) -> Checked:
    """Check a table and leave out what describes too few.

    Args:
        name: The output's name.
        rule: Its declaration (kind counts or statistics).
        table: What the train gave, supposedly a pyarrow.Table.
        context: What is known of the stop.

    Raises:
        RefusedOutput: The table is not as declared, contradicts itself or the records, or holds
            copies of records.
    """
    columns = in_order(rule, plain_columns(rule, table, context))
    check_copies(rule, columns, context.index)
    labels = {d: list(dict.fromkeys(columns[d])) for d in rule.dimensions}
    cells, places = _cells(rule, columns, labels, context.thresholds)
    check_counts(rule, cells, labels, context)
    unknown = unknown_labels(rule, labels, context)
    weak = weak_cells(rule, columns, places, cells, context.thresholds)
    lowest = 0 if context.thresholds.zeros_are_disclosive else 1
    out = suppress(cells, weak.mask, min_group=context.thresholds.min_group, lowest=lowest)
    hidden = {row for row, place in enumerate(places) if out[place]}
    verdict, code, reason = _verdict(unknown, weak, bool(hidden))
    evidence = {
        "cells": len(places),
        "suppressed": len(hidden),
        "small": weak.small,
        "dominated": weak.dominated,
        "unknown_labels": unknown,
    }
    finding = Finding(name, rule.kind, verdict, code, reason, evidence)
    measures = len(columns) - len(rule.dimensions) - 1
    value = rebuilt(rule, columns, hidden)
    return Checked(finding, value, measures * (len(places) - len(hidden)))


def _verdict(unknown: int, weak: Weak, hidden: bool) -> tuple[Verdict, str, SafeReason]:
    if unknown:
        return "person", "labels", SafeReason.LABELS
    if weak.undefined:
        return "person", "dominance", SafeReason.NEGATIVE
    if hidden:
        rule = "dominance" if weak.dominated else "minimum-group"
        return "suppressed", rule, SafeReason.SUPPRESSED
    return "pass", "all", SafeReason.PASSED


def _cells(
    rule: OutputRule,
    columns: dict[str, Column],
    labels: dict[str, list[Any]],
    thresholds: Thresholds,
) -> tuple[Cells, list[tuple[int, ...]]]:
    """Lay the rows of a table out as a dense array, one axis per dimension."""
    import numpy as np

    counts = columns[rule.count_column]
    shape, places = _places(rule, columns, labels, len(counts))
    if len(set(places)) != len(places):
        raise RefusedOutput("form", SafeReason.FORM)
    if math.prod(shape) > 4 * thresholds.table_cells or len(shape) > MOST_DIMENSIONS:
        raise RefusedOutput("size", SafeReason.SIZE, shape=shape)
    dense, present = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    for place, count in zip(places, counts, strict=True):
        dense[place], present[place] = count, True
    return Cells(dense, present, _totals(rule, labels)), places


def _places(
    rule: OutputRule, columns: dict[str, Column], labels: dict[str, list[Any]], rows: int
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    if not rule.dimensions:
        # Every row is a group of its own, and together they are one axis.
        return (rows,), [(row,) for row in range(rows)]
    numbers = []
    for dimension in rule.dimensions:
        at = {label: i for i, label in enumerate(labels[dimension])}
        numbers.append([at[label] for label in columns[dimension]])
    shape = tuple(len(labels[dimension]) for dimension in rule.dimensions)
    return shape, list(zip(*numbers, strict=True))


def _totals(rule: OutputRule, labels: dict[str, list[Any]]) -> tuple[int | None, ...]:
    marked = [
        labels[d].index(rule.total_label)
        if rule.total_label is not None and rule.total_label in labels[d]
        else None
        for d in rule.dimensions
    ]
    return tuple(marked) or (None,)
