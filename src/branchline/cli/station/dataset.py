"""``branchline station dataset``: describe the data a station holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb, wants_json, working
from branchline.cli.station.home import HOME, dataset_store, opened

if TYPE_CHECKING:
    from branchline.datasets.schema import Schema
    from branchline.datasets.store import Dataset


@click.group(no_args_is_help=True)
def dataset() -> None:
    """Describe the data the station holds."""


@verb(dataset, "describe", "branchline station dataset describe patients.csv --output schema.toml")
@click.argument("files", nargs=-1, required=True, metavar="[TABLE=]FILE…")
@click.option("--output", type=click.Path(path_type=Path), help="Write it to a file to edit.")
def describe(files: tuple[str, ...], output: Path | None) -> Answer:
    """Infer the schema of files, as a text to read, edit and confirm.

    Bounds and codes are suggestions: read every line before you give it to 'dataset add'.
    """
    from branchline.datasets.infer import infer_schema
    from branchline.datasets.schema_toml import to_toml

    with working("reading"):
        schema = infer_schema(_sources(files))
    text = to_toml(schema)
    if output is not None:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
        shown = f"Read and edit {output}, then: branchline station dataset add … --schema {output}"
    else:
        shown = text
    data = {"schema": _plain(schema), "toml": text, "file": str(output) if output else None}
    return Answer(data, shown)


@verb(
    dataset,
    "add",
    "branchline station dataset add ercp --source patients=ercp.csv --schema schema.toml \\\n"
    "    --use-terms HMB --use-terms IRB --confidentiality confidential",
)
@click.argument("name")
@click.option("--source", "sources", multiple=True, required=True, metavar="[TABLE=]FILE")
@click.option("--schema", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--use-terms", multiple=True, required=True, metavar="CODE", help="DUO codes: GRU …")
@click.option(
    "--confidentiality",
    required=True,
    type=click.Choice(["public", "internal", "confidential", "secret"]),
)
@click.option("--title", default="", help="In words.")
@click.option("--replace", is_flag=True, help="Replace a dataset of this name: a new version.")
@click.option("--yes", is_flag=True, help="Take the inferred schema without asking.")
@HOME
def add(
    name: str,
    sources: tuple[str, ...],
    schema: Path | None,
    use_terms: tuple[str, ...],
    confidentiality: str,
    title: str,
    replace: bool,
    yes: bool,
    home: Path,
) -> Answer:
    """Add a dataset from CSV or Parquet files; the data stay where they are.

    Without --schema the schema is inferred and shown, and you are asked whether it is right.
    """
    store = dataset_store(opened(home))
    paths = _sources(sources)
    described = _read_schema(schema) if schema is not None else _inferred(paths, ask=not yes)
    with working("reading the files"):
        terms = [code for given in use_terms for code in given.replace(",", " ").split()]
        made = store.add(
            name, paths, described, terms, confidentiality, title=title, replace=replace
        )
    return Answer(_as_json(made), f"{made.name} is added: version {made.version}")


@verb(dataset, "list", "branchline station dataset list")
@HOME
def list_(home: Path) -> Answer:
    """List the station's datasets."""
    found = dataset_store(opened(home)).list()
    rows = [
        (d.name, " ".join(d.use_terms), d.confidentiality, ", ".join(d.rows), d.version)
        for d in found
    ]
    columns = ("dataset", "use terms", "class", "tables", "version")
    text = table(columns, rows, "There are no datasets yet.")
    return Answer({"datasets": [_as_json(each) for each in found]}, text)


@verb(dataset, "show", "branchline station dataset show ercp")
@click.argument("name")
@HOME
def show(name: str, home: Path) -> Answer:
    """Show a dataset: its schema, use terms, version and where its files lie."""
    from branchline.datasets.schema_toml import to_toml

    found = dataset_store(opened(home)).get(name)
    text = lines(
        f"{found.name}  {found.title}".rstrip(),
        f"version     {found.version}",
        f"use terms   {' '.join(found.use_terms)}",
        f"class       {found.confidentiality}",
        *(f"{table}: {found.rows[table]} rows in {s.path}" for table, s in found.sources.items()),
        to_toml(found.schema),
    )
    return Answer(_as_json(found), text)


@verb(dataset, "remove", "branchline station dataset remove ercp")
@click.argument("name")
@HOME
def remove(name: str, home: Path) -> Answer:
    """Forget a dataset; its files stay as they are."""
    dataset_store(opened(home)).remove(name)
    return Answer({"removed": name}, f"{name} is forgotten; its files are untouched")


def _sources(texts: tuple[str, ...]) -> dict[str, Path]:
    """Read ``TABLE=FILE``, or ``FILE`` whose table is called as the file is."""
    found: dict[str, Path] = {}
    for text in texts:
        name, separator, path = text.partition("=")
        file = Path(path if separator else text)
        table_name = name if separator else file.stem.lower()
        if table_name in found:
            raise click.BadParameter(f"two files for the table {table_name!r}")
        if not file.is_file():
            raise click.BadParameter(f"there is no file {file}")
        found[table_name] = file
    return found


def _read_schema(file: Path) -> Schema:
    from branchline.datasets.schema_toml import parse_toml

    return parse_toml(file.read_text("utf-8"), file.name)


def _inferred(sources: dict[str, Path], *, ask: bool) -> Schema:
    from branchline.datasets.infer import infer_schema
    from branchline.datasets.schema_toml import to_toml

    with working("reading the files"):
        schema = infer_schema(sources)
    if ask:
        if wants_json():
            raise click.UsageError("With --json nobody can be asked; give --schema or --yes")
        click.echo(to_toml(schema))
        click.confirm("Is this what the dataset holds, and fit for researchers to see?", abort=True)
    return schema


def _as_json(found: Dataset) -> dict[str, Any]:
    return {
        "dataset": found.name,
        "title": found.title,
        "version": found.version,
        "use_terms": list(found.use_terms),
        "confidentiality": found.confidentiality,
        "rows": dict(found.rows),
        "sources": {name: source.path for name, source in found.sources.items()},
        "schema": _plain(found.schema),
    }


def _plain(schema: Schema) -> Any:
    import msgspec

    return msgspec.to_builtins(schema)
