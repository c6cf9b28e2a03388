"""Hand out the columns a contract names, and nothing else, as Arrow files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from branchline.datasets.errors import SourceChanged, ValuesRefused
from branchline.datasets.match import require_match, require_values
from branchline.datasets.needs import NeededTable
from branchline.datasets.reading import arrow_type, read_columns
from branchline.datasets.schema import Column, Table
from branchline.datasets.store import Dataset, check_unchanged, fingerprint
from branchline.foundation.durable import make_folder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Extraction:
    """Say where the extracted tables lie and how much they hold, by table name.

    ``units`` counts whom the rows are about: distinct keys where the schema names a key, else
    rows.
    """

    tables: Mapping[str, Path]
    rows: Mapping[str, int]
    units: Mapping[str, int]


def extract(dataset: Dataset, needed: Sequence[NeededTable], folder: Path) -> Extraction:
    """Write one uncompressed Arrow IPC file per needed table into ``folder``.

    Each holds exactly the needed columns, in the contract's order and types, and no metadata:
    not even the name of another column. Rows keep the source's order.

    Raises:
        SourceChanged: a source file is not the registered one, or changed while it was read.
        ContractRefused: the dataset does not offer what is needed.
        ValuesRefused: a value lies outside the dataset's schema.
    """
    require_match(needed, dataset.schema, dataset.rows)
    names = [table.name for table in needed]
    before = _fingerprints(dataset, names)  # before the digests: no moment is left unwatched
    check_unchanged(dataset, names)
    make_folder(folder)
    paths: dict[str, Path] = {}
    rows: dict[str, int] = {}
    units: dict[str, int] = {}
    for table in needed:
        source, keys = _read(dataset, table)
        paths[table.name] = folder / f"{table.name}.arrow"
        write_arrow(_as_needed(source, table), paths[table.name])
        rows[table.name] = source.num_rows
        units[table.name] = keys
    if _fingerprints(dataset, names) != before:
        raise SourceChanged(
            f"A file of dataset {dataset.name!r} changed while it was read", advice="Try again"
        )
    return Extraction(paths, rows, units)


def write_arrow(table: pa.Table, path: Path) -> None:
    """Write a table as an uncompressed Arrow IPC file without any metadata."""
    import pyarrow as pa

    bare = table.replace_schema_metadata(None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, bare.schema) as writer:
        writer.write_table(bare)


def _read(dataset: Dataset, needed: NeededTable) -> tuple[pa.Table, int]:
    offered = dataset.schema.table(needed.name)
    assert offered is not None  # require_match has seen it
    path = Path(dataset.sources[needed.name].path)
    columns = _wanted(offered, needed)
    table = read_columns(path, columns)
    require_values(table, columns, path.name)
    units = len(table[offered.key].unique()) if offered.key else table.num_rows
    return table, units


def _fingerprints(dataset: Dataset, tables: Sequence[str]) -> list[tuple[int, ...]]:
    return [fingerprint(Path(dataset.sources[table].path)) for table in tables]


def _wanted(offered: Table, needed: NeededTable) -> list[Column]:
    names = {column.name for column in needed.columns}
    if offered.key:
        names.add(offered.key)
    return [column for column in offered.columns if column.name in names]


def _as_needed(source: pa.Table, needed: NeededTable) -> pa.Table:
    import pyarrow as pa

    fields = [pa.field(c.name, arrow_type(c.type)) for c in needed.columns]
    try:
        return source.select([c.name for c in needed.columns]).cast(pa.schema(fields))
    except pa.ArrowInvalid:  # its message quotes the value
        raise ValuesRefused(
            f"Table {needed.name!r} holds integers beyond 2^53, which no number can hold exactly",
            advice="Ask for the column as integer",
        ) from None
