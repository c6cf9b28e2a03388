"""A dataset's description: tables, columns, and what their values may be."""

from __future__ import annotations

import msgspec

from branchline.datasets.columns import ColumnRule, check_columns, check_table_name
from branchline.datasets.errors import SchemaRefused


class Column(ColumnRule, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Describe one column: its rule, its unit of measurement and what it means."""

    unit: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Apply the rule's checks, and want every code listed: the schema is what is published."""
        ColumnRule.__post_init__(self)
        if self.type == "code" and self.codes is None:
            raise SchemaRefused(
                f"Column {self.name!r} has the type code and lists no codes",
                advice="List its codes, or give it the type text",
            )


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Describe one table; ``key`` names the column that says whom a row is about.

    Columns of the source that are not described here are never read.
    """

    name: str
    columns: tuple[Column, ...]
    key: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse doubled columns and a key that is not a column."""
        check_table_name(self.name)
        check_columns(self.name, self.columns)
        if self.key is not None and self.column(self.key) is None:
            raise SchemaRefused(
                f"Table {self.name!r}: the key {self.key!r} is not one of its columns"
            )

    def column(self, name: str) -> Column | None:
        """Find a column by its name."""
        return next((column for column in self.columns if column.name == name), None)


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe all tables of one dataset."""

    tables: tuple[Table, ...]

    def __post_init__(self) -> None:
        """Refuse a schema without tables or with two tables of one name."""
        names = [table.name for table in self.tables]
        if not names or len(set(names)) != len(names):
            raise SchemaRefused("A schema has at least one table, each with a name of its own")

    def table(self, name: str) -> Table | None:
        """Find a table by its name."""
        return next((table for table in self.tables if table.name == name), None)
