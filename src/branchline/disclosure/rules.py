"""What a train declares about each output, and what a station demands of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Kind = Literal["scalar", "counts", "statistics", "parameters", "figure", "text"]
KINDS: tuple[Kind, ...] = ("scalar", "counts", "statistics", "parameters", "figure", "text")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Label = str | int | bool
Positive = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]


class OutputRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Declare one output of a train.

    kind: what the output is; decides which checks run.
    shape: of a `parameters` array; absent = any shape. A `scalar` has none.
    dtype: of a `parameters` array; absent = any integer or floating type.
    columns: all columns of a table, in order; may be left out for `counts`.
    dimensions: the columns that name a table's cells (arm, outcome).
    labels: for a dimension, the labels it may show; labels not listed must be common in the data.
    total_label: the label that marks a total over a dimension ("all").
    count: the column with the number of records behind each row; for a `scalar`, the name of the
        scalar output that holds it (itself, if it is a number of records).
    total, largest, second_largest: columns for the dominance rules; the last two never leave.
    model_parameters: number of free parameters of the fitted model (the coefficients).
    max_bytes: upper bound of this output's size in bytes; absent = the station's.
    """

    kind: Kind
    shape: Annotated[tuple[Size, ...], msgspec.Meta(max_length=8)] | None = None
    dtype: Literal["float32", "float64", "int32", "int64"] | None = None
    columns: tuple[Name, ...] | None = None
    dimensions: tuple[Name, ...] = ()
    labels: dict[Name, tuple[Label, ...]] = {}
    total_label: str | None = None
    count: Name | None = None
    total: Name | None = None
    largest: Name | None = None
    second_largest: Name | None = None
    model_parameters: Positive | None = None
    max_bytes: Positive | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that contradicts itself (ValueError, which msgspec reports)."""
        problem = _contradiction(self)
        if problem:
            raise ValueError(problem)

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Return the columns a table of this rule has, in order."""
        if self.columns is not None:
            return self.columns
        return (*self.dimensions, self.count) if self.count else self.dimensions

    @property
    def count_column(self) -> str:
        """Return the column with the number of records behind each row; tables always have one."""
        return self.count or ""


def _contradiction(rule: OutputRule) -> str | None:
    if rule.kind in ("counts", "statistics"):
        return _table_contradiction(rule)
    if rule.columns or rule.dimensions or rule.labels or rule.total_label or rule.total:
        return f"columns, dimensions, labels and totals belong to tables, not to a {rule.kind}"
    if rule.kind != "parameters" and (rule.shape is not None or rule.dtype is not None):
        return f"shape and dtype belong to parameters, not to a {rule.kind}"
    if rule.kind != "scalar" and rule.count is not None:
        return f"count belongs to tables and scalars, not to a {rule.kind}"
    return None


def _table_contradiction(rule: OutputRule) -> str | None:
    columns = rule.table_columns
    dominance = (rule.total, rule.largest, rule.second_largest)
    named = (*rule.dimensions, *(c for c in (rule.count, *dominance) if c))
    if rule.shape is not None or rule.dtype is not None:
        return "shape and dtype belong to parameters, not to a table"
    if rule.count is None:
        return "a table names its column with the number of records: count = ..."
    if rule.kind == "counts" and not rule.dimensions:
        return "counts name the columns that label their cells: dimensions = [...]"
    if rule.kind == "statistics" and rule.columns is None:
        return "statistics name all their columns: columns = [...]"
    if len(set(columns)) != len(columns) or len(set(named)) != len(named):
        return "a column is named twice"
    if not set(named) <= set(columns):
        return "columns must hold the dimensions, the count and the dominance columns"
    if rule.kind == "counts" and set(columns) != {*rule.dimensions, rule.count}:
        return "counts have their dimensions and one count, no other column"
    if any(dominance) and not all(dominance):
        return "the dominance rules need total, largest and second_largest together"
    if not set(rule.labels) <= set(rule.dimensions):
        return "labels are declared for dimensions only"
    return None


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hold what one station demands of outputs; a station sets its own.

    min_group: records behind anything that leaves (ACRO's safe_threshold).
    dof: residual degrees of freedom of a model, at least; 0 = not asked for.
    dominance_n, dominance_k: the n = 2 largest contributions stay below this share of a total.
    dominance_p: what is left without the two largest is at least this share of the largest.
    parameters_per_row: model parameters per record, at most (DataSHIELD's nfilter.glm).
    values_per_row: free numbers per record in one release, at most.
    journey_values_per_row: the same over all releases of one journey.
    row_dimension_above: with more records than this, no output dimension may equal their number.
    zeros_are_disclosive: an empty cell is suppressed like a small one.
    """

    min_group: Annotated[int, msgspec.Meta(ge=2)] = 10
    dof: Size = 10
    dominance_n: Literal[2] = 2
    dominance_k: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.90
    dominance_p: Annotated[float, msgspec.Meta(ge=0)] = 0.10
    parameters_per_row: Annotated[float, msgspec.Meta(gt=0)] = 0.33
    values_per_row: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    journey_values_per_row: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    row_dimension_above: Size = 20
    text_chars: Size = 80
    table_cells: Positive = 2_500
    figure_pixels: Positive = 4_000_000
    output_bytes: Positive = 128 << 20
    zeros_are_disclosive: bool = False

    def demanding(self, min_group: int) -> Thresholds:
        """Return these thresholds with a minimum group at least as large as a study asks."""
        return msgspec.structs.replace(self, min_group=max(self.min_group, min_group))
