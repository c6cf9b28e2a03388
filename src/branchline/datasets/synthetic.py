"""Invent tables that satisfy a contract: for trying a train where there are no data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from branchline.datasets.columns import ColumnType
from branchline.datasets.needs import INVENTED_CODES, NeededColumn, NeededTable
from branchline.datasets.reading import arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: The share of missing values in nullable columns.
MISSING = 0.05

_DEFAULT_WIDTH = 100.0
_FIRST_DAY = "2015-01-01"
_DAYS = 3650
_LARGEST_INTEGER = 2**63 - 1


def make_tables(needed: Sequence[NeededTable], rows: int, seed: int) -> dict[str, pa.Table]:
    """Invent one table per needed table with ``rows`` rows (more where the contract wants more).

    Values are uniform over codes or bounds (0..100 where there are none), dates lie in ten
    years, texts are numbered. Equal arguments give equal tables on every machine.
    """
    return {table.name: _table(table, max(rows, table.minimum_rows), seed) for table in needed}


def _table(table: NeededTable, rows: int, seed: int) -> pa.Table:
    import pyarrow as pa

    columns = [_column(table.name, column, rows, seed) for column in table.columns]
    return pa.table(columns, names=[column.name for column in table.columns])


def _column(table: str, column: NeededColumn, rows: int, seed: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    # A generator of its own for each column: adding one leaves the others as they were.
    name = hashlib.sha256(f"{seed}\n{table}\n{column.name}".encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(name)))
    values = _MAKERS[column.type](column, rows, random)
    missing = random.random(rows) < MISSING if column.nullable else None
    return pa.array(values, arrow_type(column.type), mask=missing)


def _bounds(column: NeededColumn) -> tuple[float, float]:
    low, high = column.minimum, column.maximum
    if low is None:
        low = 0.0 if high is None or high >= 0 else high - _DEFAULT_WIDTH
    return low, low + _DEFAULT_WIDTH if high is None else high


def _integers(column: NeededColumn, rows: int, random: np.random.Generator) -> Any:
    import math

    low, high = (math.ceil(bound) for bound in _bounds(column))
    if column.maximum is not None:
        high = math.floor(column.maximum)
    low, high = max(low, -_LARGEST_INTEGER), min(high, _LARGEST_INTEGER)
    return random.integers(low, max(low, high), rows, endpoint=True)


def _numbers(column: NeededColumn, rows: int, random: np.random.Generator) -> Any:
    low, high = _bounds(column)
    share = random.random(rows)
    return (low * (1.0 - share) + high * share).clip(low, high)  # no overflow, no rounding out


def _texts(_column: NeededColumn, rows: int, _random: np.random.Generator) -> Any:
    import numpy as np

    return np.array([f"text {number}" for number in range(1, rows + 1)], dtype=object)


def _booleans(_column: NeededColumn, rows: int, random: np.random.Generator) -> Any:
    return random.integers(0, 2, rows) == 1


def _dates(_column: NeededColumn, rows: int, random: np.random.Generator) -> Any:
    import numpy as np

    days = random.integers(0, _DAYS, rows).astype("timedelta64[D]")
    return np.datetime64(_FIRST_DAY, "D") + days


def _coded(column: NeededColumn, rows: int, random: np.random.Generator) -> Any:
    import numpy as np

    return np.array(column.codes or INVENTED_CODES, dtype=object)[
        random.integers(0, len(column.codes or INVENTED_CODES), rows)
    ]


_MAKERS: Mapping[ColumnType, Callable[[NeededColumn, int, np.random.Generator], Any]] = {
    "integer": _integers,
    "number": _numbers,
    "text": _texts,
    "boolean": _booleans,
    "date": _dates,
    "code": _coded,
}
