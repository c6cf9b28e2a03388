"""Hand the bound tables to the train in the form it asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc


def load_table(path: Path) -> pa.Table:
    """Map an uncompressed Arrow IPC file; its columns are not copied."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def load_tables(paths: Mapping[str, Path], frame: str) -> dict[str, Any]:
    """Return the tables by name, as pyarrow tables or pandas frames."""
    tables = {name: load_table(path) for name, path in paths.items()}
    if frame == "arrow":
        return tables
    return {name: table.to_pandas() for name, table in tables.items()}


def write_csv(path: Path, table: pa.Table) -> None:
    """Write a table for programs that do not read Arrow."""
    import pyarrow.csv

    pyarrow.csv.write_csv(table, str(path))
