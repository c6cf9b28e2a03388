"""Hold a table against expectations, with pandera; told are counts, never a value of a row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.checks.expectations import ColumnExpectation, DataCheck, Order, Size
from branchline.checks.results import Finding, Problem
from branchline.datasets.columns import range_text
from branchline.datasets.errors import SourceRefused, ValuesRefused
from branchline.datasets.reading import column_names, read_columns
from branchline.datasets.schema import Column
from branchline.foundation.errors import Unavailable

if TYPE_CHECKING:
    import pandas as pd

_ADVICE = "Install it with \"pip install 'branchline[checks]'\""
_WORDS: dict[str, tuple[Problem, str]] = {
    "not_nullable": ("missing-values", "missing"),
    "field_uniqueness": ("repeated", "that are not the only ones of their value"),
    "range": ("invalid-values", "outside {}"),
    "codes": ("invalid-values", "not among the codes"),
    "matches": ("invalid-values", "that do not match"),
    "order": ("out-of-order", "before the row above"),
}


def check_table(check: DataCheck, file: Path, path: str, *, coarse: bool) -> list[Finding]:
    """Return what in a file is not as expected.

    Args:
        check: What is expected.
        file: Where its content is; named as a table is.
        path: Its path, as people know it.
        coarse: Whether it is confidential: how many values are wrong is not told then.

    Raises:
        Unavailable: pandera is not installed.
    """
    found = [*_sized(check.bytes, file.stat().st_size, path, "bytes", coarse=coarse)]
    try:
        there = column_names(file)
    except SourceRefused as error:
        return [*found, _unreadable(path, file, error)]
    wanted = {column.name: column for column in check.columns}
    for name in wanted:
        if name not in there:
            found.append(Finding("missing-column", path, f"{path} has no column {name!r}"))
    if check.closed:
        for name in there:
            if name not in wanted:
                sentence = f"{path} has a column {name!r} that is not expected"
                found.append(Finding("unexpected-column", path, sentence))
    try:
        frame, mistyped = _read(file, [wanted[name] for name in there if name in wanted])
        count = _rows(file, there[0])
    except SourceRefused as error:
        return [*found, _unreadable(path, file, error)]
    for name in mistyped:
        sentence = f"{path}: column {name!r} holds values that are not of type {wanted[name].type}"
        found.append(Finding("mistyped", path, sentence))
    found += _sized(check.rows, count, path, "rows", coarse=coarse)
    return found + list(_values(check, frame, path, coarse=coarse))


def _read(file: Path, columns: Sequence[ColumnExpectation]) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that are of their type, and the names of those that are not."""
    pandas, _ = _libraries()
    found, mistyped = {}, []
    for column in columns:
        bare = Column(column.name, "text" if column.type == "code" else column.type, nullable=True)
        try:
            found[column.name] = read_columns(file, [bare])[column.name].to_pandas()
        except ValuesRefused:
            mistyped.append(column.name)
    return pandas.DataFrame(found), mistyped


def _rows(file: Path, column: str) -> int:
    return int(read_columns(file, [Column(column, "text", nullable=True)]).num_rows)


def _values(check: DataCheck, frame: pd.DataFrame, path: str, *, coarse: bool) -> Iterator[Finding]:
    _, pandera = _libraries()
    columns = {c.name: _expected(pandera, c) for c in check.columns if c.name in frame.columns}
    order = check.order
    held = order is not None and {order.column, order.by or order.column} <= set(frame.columns)
    whole = [_ordered(pandera, order)] if order is not None and held else []
    schema = pandera.DataFrameSchema(columns, checks=whole)
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        known = {column.name: column for column in check.columns}
        # A row that is out of order is told once for each of its columns.
        rows = cases[cases["check"] != "order"].groupby(["column", "check"], sort=True).size()
        for (where, kind), count in rows.items():
            yield _finding(known[str(where)], str(kind), int(count), path, coarse=coarse)
        late = cases[cases["check"] == "order"]["index"].nunique()
        if late and order is not None:
            yield _finding(known[order.column], "order", int(late), path, coarse=coarse)


def _expected(pandera: Any, column: ColumnExpectation) -> Any:
    checks = []
    if column.minimum is not None or column.maximum is not None:
        low = column.minimum if column.minimum is not None else float("-inf")
        high = column.maximum if column.maximum is not None else float("inf")
        checks.append(pandera.Check.in_range(low, high, error="range"))
    if column.codes is not None:
        checks.append(pandera.Check.isin(list(column.codes), error="codes"))
    if column.matches is not None:
        whole = rf"\A(?:{column.matches})\Z"
        checks.append(pandera.Check.str_matches(whole, error="matches"))
    return pandera.Column(None, checks, nullable=column.nullable, unique=column.unique)


def _ordered(pandera: Any, order: Order) -> Any:
    def rising(frame: pd.DataFrame) -> pd.Series[bool]:
        values = frame[order.column]
        before = values.groupby(frame[order.by]).shift() if order.by else values.shift()
        return ~(values < before).fillna(False).astype(bool)

    return pandera.Check(rising, error="order", ignore_na=False)


def _finding(
    column: ColumnExpectation, kind: str, count: int, path: str, *, coarse: bool
) -> Finding:
    problem, words = _WORDS.get(kind, ("invalid-values", "not as expected"))
    many = "some values" if coarse else f"{count} value{'s' if count != 1 else ''}"
    said = words.format(range_text(column.minimum, column.maximum))
    return Finding(problem, path, f"{path}: column {column.name!r} has {many} {said}")


def _sized(size: Size, count: int, path: str, what: str, *, coarse: bool) -> Iterator[Finding]:
    if count < size.minimum or (size.maximum is not None and count > size.maximum):
        many = "another number of" if coarse else str(count)
        wanted = range_text(size.minimum, size.maximum)
        yield Finding("size", path, f"{path} has {many} {what}; expected {wanted}")


def _unreadable(path: str, file: Path, error: SourceRefused) -> Finding:
    return Finding("unreadable", path, error.refused.replace(file.name, path))


def _libraries() -> tuple[Any, Any]:
    try:
        import pandas

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandera's own, about libraries it may meet
            import pandera.pandas
    except ImportError as error:
        raise Unavailable("Checking tables needs pandera and pandas", advice=_ADVICE) from error
    return pandas, pandera.pandas
