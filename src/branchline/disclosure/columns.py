"""Read a table from a train into plain columns, and build the one that leaves anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from branchline.disclosure.context import Context
from branchline.disclosure.findings import RefusedOutput, SafeReason
from branchline.disclosure.numbers import plain_float
from branchline.disclosure.rules import OutputRule, Thresholds

if TYPE_CHECKING:
    import pyarrow as pa

Column = list[Any]
_INT64 = 1 << 63


def plain_columns(rule: OutputRule, table: Any, context: Context) -> dict[str, Column]:
    """Read a table strictly as declared.

    Raises:
        RefusedOutput: Other columns or types, too large, or one row per record.
    """
    import pyarrow as pa

    thresholds = context.thresholds
    if not isinstance(table, pa.Table) or sorted(table.column_names) != sorted(rule.table_columns):
        raise RefusedOutput("form", SafeReason.FORM)
    if table.num_rows * table.num_columns > thresholds.table_cells:
        raise RefusedOutput("size", SafeReason.SIZE, rows=table.num_rows)
    # Counts are exempt: their cells hold at least a minimum group each, so there are far fewer.
    if rule.kind == "statistics" and context.is_row_dimension(table.num_rows):
        raise RefusedOutput("rows", SafeReason.ROWS, rows=table.num_rows)
    columns: dict[str, Column] = {}
    for column in rule.table_columns:
        values = table.column(column).to_pylist()
        if column in rule.dimensions:
            columns[column] = [_plain_label(value, thresholds) for value in values]
        elif column == rule.count:
            columns[column] = [_plain_count(value) for value in values]
        else:
            columns[column] = [_plain_number(value) for value in values]
    return columns


def _plain_label(value: Any, thresholds: Thresholds) -> Any:
    if value is None or (isinstance(value, int) and -_INT64 <= value < _INT64):
        return value
    if isinstance(value, str) and len(value) <= thresholds.text_chars and value.isprintable():
        return value
    raise RefusedOutput("form", SafeReason.FORM)


def _plain_count(value: Any) -> int:
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not (isinstance(value, int) or whole):
        raise RefusedOutput("form", SafeReason.FORM)
    if not 0 <= value < 1 << 48:
        raise RefusedOutput("counts", SafeReason.COUNTS)
    return int(value)


def _plain_number(value: Any) -> int | float | None:
    if isinstance(value, float):
        return plain_float(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (whole and -_INT64 <= value < _INT64):
        return cast("int | None", value)
    raise RefusedOutput("form", SafeReason.FORM)


def in_order(rule: OutputRule, columns: dict[str, Column]) -> dict[str, Column]:
    """Order rows by their labels: the order a train chooses could itself carry something."""
    if not rule.dimensions:
        return columns

    def place(row: int) -> tuple[Any, ...]:
        return tuple(_sort_key(rule, d, columns[d][row]) for d in rule.dimensions)

    order = sorted(range(len(columns[rule.count_column])), key=place)
    return {column: [values[row] for row in order] for column, values in columns.items()}


def _sort_key(rule: OutputRule, dimension: str, label: Any) -> tuple[int, int, str]:
    declared = rule.labels.get(dimension, ())
    if label == rule.total_label and label is not None:
        return (2, 0, "")
    if label in declared:
        return (0, declared.index(label), "")
    if isinstance(label, int):
        return (1, int(label), "")
    return (1, _INT64, "" if label is None else label)


def rebuilt(rule: OutputRule, columns: dict[str, Column], hidden: set[int]) -> pa.Table:
    """Build the table anew: no metadata, no bytes under nulls, no spare bits."""
    import pyarrow as pa

    arrays = {}
    # A statistic of nobody is a place to put anything.
    nobody = {row for row, count in enumerate(columns[rule.count_column]) if count == 0}
    for column, values in columns.items():
        left_out = hidden if column == rule.count else hidden | nobody
        if column in rule.dimensions:
            arrays[column] = pa.array(values, type=None if _shows_type(values) else pa.string())
        elif column in (rule.largest, rule.second_largest):
            arrays[column] = pa.nulls(len(values), type=pa.float64())
        else:
            kept = [None if row in left_out else value for row, value in enumerate(values)]
            arrays[column] = pa.array(kept, type=_number_type(rule, column, values))
    return pa.table(arrays)


def _shows_type(values: Column) -> bool:
    return any(value is not None for value in values)


def _number_type(rule: OutputRule, column: str, values: Column) -> Any:
    import pyarrow as pa

    whole = column == rule.count or all(isinstance(v, int) for v in values if v is not None)
    return pa.int64() if whole and _shows_type(values) else pa.float64()
