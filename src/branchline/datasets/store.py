"""The datasets of one station: what was registered, and whether it is still that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa

from branchline.datasets.columns import check_table_name
from branchline.datasets.errors import SchemaRefused, SourceChanged
from branchline.datasets.match import require_values
from branchline.datasets.reading import read_columns, source_kind
from branchline.datasets.schema import Schema
from branchline.datasets.use_terms import Confidentiality, check_confidentiality, check_use_terms
from branchline.foundation.canonical import canonical_json, digest_of_json, parse_json
from branchline.foundation.database import reading, writing
from branchline.foundation.digest import Digest, WireDigest, digest_of_file
from branchline.foundation.errors import Conflict, NotFound
from branchline.foundation.ids import check_name

_DOCUMENT_LIMIT = 16 << 20

METADATA = sa.MetaData()
_DATASETS = sa.Table(
    "datasets",
    METADATA,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say where a table's file lies and what its bytes were when it was registered."""

    path: str
    digest: WireDigest


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe one registered dataset; ``sources`` and ``rows`` go by table name.

    ``version`` names schema and source bytes together. Paths and row counts are the
    station's own: they are no part of what it publishes.
    """

    name: str
    title: str
    version: WireDigest
    schema: Schema
    sources: dict[str, Source]
    rows: dict[str, int]
    use_terms: tuple[str, ...]
    confidentiality: Confidentiality


class DatasetStore:
    """Keep a station's datasets in its database; the data stay in their files."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        with writing(engine) as connection:
            METADATA.create_all(connection)

    def add(
        self,
        name: str,
        sources: Mapping[str, Path],
        schema: Schema,
        use_terms: Iterable[str],
        confidentiality: str,
        *,
        title: str = "",
        replace: bool = False,
    ) -> Dataset:
        """Register a dataset, reading every described column once; durable on return.

        ``sources`` gives each table of the schema its CSV or Parquet file.

        Raises:
            Conflict: the name is taken and ``replace`` is not set.
            SourceRefused, ValuesRefused: the files are not what the schema says.
        """
        dataset = describe(name, sources, schema, use_terms, confidentiality, title=title)
        row = {"name": name, "document": canonical_json(dataset)}
        with writing(self._engine) as connection:
            taken = _DATASETS.c.name == name
            if replace:
                connection.execute(_DATASETS.delete().where(taken))
            elif connection.execute(sa.select(_DATASETS.c.name).where(taken)).first():
                raise Conflict(
                    f"There is a dataset {name!r} already",
                    advice="Choose another name, or ask for it to be replaced",
                )
            connection.execute(_DATASETS.insert().values(row))
        return dataset

    def get(self, name: str) -> Dataset:
        """Return a registered dataset; raises NotFound."""
        query = sa.select(_DATASETS.c.document).where(_DATASETS.c.name == name)
        with reading(self._engine) as connection:
            document = connection.execute(query).scalar()
        if document is None:
            raise NotFound(f"There is no dataset {name[:63]!r}")
        return _parse(document)

    def list(self) -> list[Dataset]:
        """Return all datasets by name."""
        query = sa.select(_DATASETS.c.document).order_by(_DATASETS.c.name)
        with reading(self._engine) as connection:
            return [_parse(document) for document in connection.execute(query).scalars()]

    def remove(self, name: str) -> None:
        """Forget a dataset; its files stay. Raises NotFound."""
        with writing(self._engine) as connection:
            gone = connection.execute(_DATASETS.delete().where(_DATASETS.c.name == name))
        if not gone.rowcount:
            raise NotFound(f"There is no dataset {name[:63]!r}")


def describe(
    name: str,
    sources: Mapping[str, Path],
    schema: Schema,
    use_terms: Iterable[str],
    confidentiality: str,
    *,
    title: str = "",
) -> Dataset:
    """Describe a dataset after reading all of its files; nothing is stored."""
    check_name(name, "dataset")
    _check_sources(sources, schema)
    before = {table: fingerprint(path) for table, path in sources.items()}
    found = {
        table: Source(str(path.resolve()), digest_of_file(path)) for table, path in sources.items()
    }
    rows = {table.name: _count_rows(schema, table.name, sources) for table in schema.tables}
    for table, path in sources.items():
        if fingerprint(path) != before[table]:
            raise SourceChanged(f"{path.name} changed while it was read", advice="Try again")
    return Dataset(
        name,
        title,
        version_of(schema, {table: source.digest for table, source in found.items()}),
        schema,
        found,
        rows,
        check_use_terms(use_terms),
        check_confidentiality(confidentiality),
    )


def version_of(schema: Schema, digests: Mapping[str, Digest]) -> Digest:
    """Name a schema together with the bytes of its tables' files."""
    return digest_of_json({"schema": schema, "sources": dict(digests)})


def check_unchanged(dataset: Dataset, tables: Iterable[str]) -> None:
    """Refuse to go on if the file of one of these tables is no longer the registered one."""
    for table in tables:
        source = dataset.sources[table]
        path = Path(source.path)
        if not path.is_file():
            raise SourceChanged(
                f"The file {path.name} of dataset {dataset.name!r} is gone",
                advice="Put it back, or remove the dataset",
            )
        if digest_of_file(path) != source.digest:
            raise SourceChanged(
                f"The file {path.name} of dataset {dataset.name!r} changed after it was added",
                advice="Add the dataset again, so that its new version is on record",
            )


def fingerprint(path: Path) -> tuple[int, ...]:
    """Return what the file system says of a file; it differs if the file was written to."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _check_sources(sources: Mapping[str, Path], schema: Schema) -> None:
    described = {table.name for table in schema.tables}
    for table in sorted(described ^ set(sources)):
        check_table_name(table)
        lacks = "has no file" if table in described else "is not described in the schema"
        raise SchemaRefused(f"Table {table!r} {lacks}")
    for path in sources.values():
        source_kind(path)


def _count_rows(schema: Schema, name: str, sources: Mapping[str, Path]) -> int:
    table = schema.table(name)
    assert table is not None  # _check_sources has seen it
    values = read_columns(sources[name], table.columns)
    require_values(values, table.columns, sources[name].name)
    return int(values.num_rows)


def _parse(document: bytes) -> Dataset:
    return parse_json(document, Dataset, what="dataset's record", limit=_DOCUMENT_LIMIT)
