"""What a train needs of a dataset: the first half of its contract."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from branchline.datasets.columns import ColumnRule, check_columns, check_table_name
from branchline.datasets.errors import SchemaRefused
from branchline.datasets.schema import Column, Schema, Table

#: What stands in for the codes of a needed column that accepts any code.
INVENTED_CODES = ("a", "b", "c")


class NeededColumn(ColumnRule, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Name one column a train reads, and the values it can cope with.

    ``codes`` or a bound left out means: any. A column is refused missing values unless it
    says ``nullable``.
    """


class NeededTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Name one table a train reads: nothing but these columns is ever handed to it."""

    name: str
    columns: tuple[NeededColumn, ...]
    minimum_rows: int = 0

    def __post_init__(self) -> None:
        """Refuse doubled columns and negative row counts."""
        check_table_name(self.name)
        check_columns(self.name, self.columns)
        if self.minimum_rows < 0:
            raise SchemaRefused(f"Table {self.name!r}: minimum_rows is 0 or more")


def schema_for(needed: Sequence[NeededTable]) -> Schema:
    """Describe the narrowest dataset that satisfies a contract (for simulated stations)."""
    return Schema(
        tuple(
            Table(table.name, tuple(_described(column) for column in table.columns))
            for table in needed
        )
    )


def _described(column: NeededColumn) -> Column:
    codes = column.codes or (INVENTED_CODES if column.type == "code" else None)
    return Column(column.name, column.type, codes, column.minimum, column.maximum, column.nullable)
