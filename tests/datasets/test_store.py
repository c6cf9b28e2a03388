"""Registration and extraction: what a station holds, and the little of it a train gets."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from branchline.datasets.columns import ColumnType
from branchline.datasets.errors import (
    ContractRefused,
    SchemaRefused,
    SourceChanged,
    SourceRefused,
    ValuesRefused,
)
from branchline.datasets.extract import extract
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.datasets.reading import read_columns
from branchline.datasets.schema import Column, Schema, Table
from branchline.datasets.store import Dataset, DatasetStore, describe, version_of
from branchline.foundation.database import open_database
from branchline.foundation.digest import digest_of_file
from branchline.foundation.errors import Conflict, NotFound, Refused

CONTRACT = [NeededTable("patients", (NeededColumn("arm", "code"), NeededColumn("age", "number")))]


@pytest.fixture
def trial(store: DatasetStore, patients_csv: Path, schema: Schema) -> Dataset:
    """A registered dataset."""
    return store.add("trial", {"patients": patients_csv}, schema, ["HMB", "IRB"], "confidential")


def test_a_dataset_outlives_the_program(trial: Dataset, tmp_path: Path) -> None:
    """A second program on the same database finds what the first one registered."""
    again = DatasetStore(open_database(tmp_path / "station" / "station.db"))
    assert again.get("trial") == trial
    assert again.list() == [trial]
    assert trial.rows == {"patients": 4}
    assert trial.use_terms == ("HMB", "IRB")


def test_the_version_names_schema_and_bytes(
    trial: Dataset, patients_csv: Path, schema: Schema
) -> None:
    """The version is made of the schema and the files' digests: either changes it."""
    digest = digest_of_file(patients_csv)
    assert trial.version == version_of(schema, {"patients": digest})
    narrower = Schema((Table("patients", schema.tables[0].columns[:2]),))
    other = describe("trial", {"patients": patients_csv}, narrower, ["HMB"], "secret")
    assert other.version != trial.version


def test_a_name_is_taken_once_and_given_back(
    store: DatasetStore, trial: Dataset, patients_csv: Path, schema: Schema
) -> None:
    """A second dataset of the same name is a conflict unless it replaces; removed is not found."""
    arguments = ("trial", {"patients": patients_csv}, schema, ["NRES"], "public")
    with pytest.raises(Conflict, match="already"):
        store.add(*arguments)
    replaced = store.add(*arguments, title="Renewed", replace=True)
    assert store.list() == [replaced]
    store.remove("trial")
    with pytest.raises(NotFound):
        store.get("trial")
    with pytest.raises(NotFound):
        store.remove("trial")


def test_tables_and_files_belong_together(
    store: DatasetStore, patients_csv: Path, schema: Schema
) -> None:
    """A described table without a file, and a file without a description, are refused."""
    with pytest.raises(SchemaRefused, match="'patients' has no file"):
        store.add("trial", {}, schema, ["NRES"], "public")
    both = {"patients": patients_csv, "visits": patients_csv}
    with pytest.raises(SchemaRefused, match="'visits' is not described"):
        store.add("trial", both, schema, ["NRES"], "public")
    with pytest.raises(Refused, match="not a name"):
        store.add("No Name", {"patients": patients_csv}, schema, ["NRES"], "public")
    with pytest.raises(SourceRefused, match="no column 'weight'"):
        wider = Schema((Table("patients", (Column("weight", "number"),)),))
        store.add("trial", {"patients": patients_csv}, wider, ["NRES"], "public")
    assert store.list() == []


def test_only_the_wanted_columns_come_out(trial: Dataset, tmp_path: Path) -> None:
    """The extracted file has the contract's columns, order and types, and no byte of another."""
    found = extract(trial, CONTRACT, tmp_path / "data")
    path = found.tables["patients"]
    table = pa.ipc.open_file(path).read_all()
    assert table.schema == pa.schema({"arm": pa.string(), "age": pa.float64()})
    assert table["age"].to_pylist() == [26.0, 24.0, 57.0, 71.0]
    assert (found.rows, found.units) == ({"patients": 4}, {"patients": 4})
    assert b"canary" not in path.read_bytes()
    assert b"remark" not in path.read_bytes()


def test_parquet_metadata_stays_behind(
    store: DatasetStore, patients_csv: Path, schema: Schema, tmp_path: Path
) -> None:
    """Neither pandas' notes in a Parquet file nor its other columns reach the train."""
    table = csv.read_csv(patients_csv).to_pandas()
    path = patients_csv.with_suffix(".parquet")
    table.to_parquet(path)
    assert b"remark" in pq.read_schema(path).metadata[b"pandas"]
    dataset = store.add("trial", {"patients": path}, schema, ["NRES"], "public")
    extracted = extract(dataset, CONTRACT, tmp_path / "data").tables["patients"]
    assert b"canary" not in extracted.read_bytes()
    assert b"remark" not in extracted.read_bytes()
    assert pa.ipc.open_file(extracted).schema.metadata is None


def test_units_are_people_not_rows(store: DatasetStore, tmp_path: Path) -> None:
    """With a key, a table of twelve visits by three patients counts three, without showing it."""
    path = tmp_path / "visits.csv"
    path.write_text("patient,score\n" + "".join(f"{n % 3},{n}\n" for n in range(12)))
    columns = (Column("patient", "integer"), Column("score", "integer"))
    described = Schema((Table("visits", columns, key="patient"),))
    dataset = store.add("visits", {"visits": path}, described, ["NRES"], "public")
    wanted = [NeededTable("visits", (NeededColumn("score", "integer"),))]
    found = extract(dataset, wanted, tmp_path / "data")
    assert (found.rows, found.units) == ({"visits": 12}, {"visits": 3})
    assert pa.ipc.open_file(found.tables["visits"]).schema.names == ["score"]


def test_a_changed_file_is_not_used(trial: Dataset, patients_csv: Path, tmp_path: Path) -> None:
    """A source that differs in one byte from the registered one is refused: add it again."""
    changed = patients_csv.read_text().replace("1001,26", "1001,27")
    status = patients_csv.stat()
    patients_csv.write_text(changed)
    os.utime(patients_csv, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(SourceChanged, match=r"changed after it was added\. Add the dataset again"):
        extract(trial, CONTRACT, tmp_path / "data")
    patients_csv.unlink()
    with pytest.raises(Conflict, match="is gone"):
        extract(trial, CONTRACT, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_contract_that_does_not_fit_extracts_nothing(trial: Dataset, tmp_path: Path) -> None:
    """Differences are found before a single value is read."""
    with pytest.raises(ContractRefused, match="missing column"):
        extract(trial, [NeededTable("patients", (NeededColumn("x", "text"),))], tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,17,secret", "column 'age': 1 outside 18..100"),
        ("1,,secret", "column 'age': 1 missing, but the column is not nullable"),
        ("1,20,secret", "column 'arm': 1 not among the codes"),
        ("secret,20,drug", "column 'id': 1 not of type integer"),
    ],
)
def test_values_outside_the_schema_are_counted_not_shown(
    store: DatasetStore, tmp_path: Path, row: str, said: str
) -> None:
    """A value that breaks the schema refuses the file by column and count, never by value."""
    path = tmp_path / "p.csv"
    path.write_text(f"id,age,arm\n1,20,drug\n{row}\n")
    columns = (
        Column("id", "integer"),
        Column("age", "integer", minimum=18, maximum=100),
        Column("arm", "code", ("drug", "placebo")),
    )
    with pytest.raises(ValuesRefused) as refusal:
        store.add("p", {"p": path}, Schema((Table("p", columns),)), ["NRES"], "public")
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "17" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", "-12", "1.5"),
        ("number", "1e-3", "one"),
        ("boolean", "true", "maybe"),
        ("date", "2020-02-29", "29.02.2020"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_each_type_counts_what_it_cannot_read(
    tmp_path: Path, kind: ColumnType, good: str, bad: str, suffix: str
) -> None:
    """Two values of another type among three are told as two."""
    table = pa.table({"x": [good, bad, bad]})
    path = tmp_path / f"x{suffix}"
    (csv.write_csv if suffix == ".csv" else pq.write_table)(table, path)
    with pytest.raises((ValuesRefused, SourceRefused)) as refusal:
        read_columns(path, [Column("x", kind)])
    if (kind, suffix) != ("boolean", ".parquet"):
        assert f"column 'x': 2 not of type {kind}" in str(refusal.value)
    assert bad not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_integers_that_no_number_holds_are_refused(tmp_path: Path) -> None:
    """An integer beyond 2^53, wanted as number, is refused rather than changed or shown."""
    path = tmp_path / "x.csv"
    path.write_text(f"x\n{2**53 + 1}\n")
    described = Schema((Table("x", (Column("x", "integer"),)),))
    dataset = describe("x", {"x": path}, described, ["NRES"], "public")
    with pytest.raises(ValuesRefused) as refusal:
        extract(dataset, [NeededTable("x", (NeededColumn("x", "number"),))], tmp_path / "out")
    assert str(2**53 + 1) not in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([3_600], pa.timestamp("s")), "date"),
        (pa.array([1.5, 2.0]), "integer"),
        (pa.array([2**63], pa.uint64()), "integer"),
        (pa.array([b"\xff"]), "text"),
        (pa.array([[1]]), "number"),
        (pa.array([1, 0]), "boolean"),
    ],
)
def test_parquet_values_of_another_type_are_refused(
    tmp_path: Path, values: pa.Array, kind: ColumnType
) -> None:
    """Fractions as integers, huge integers, bytes as text and lists are refused, not changed."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": values}), path)
    with pytest.raises((ValuesRefused, SourceRefused), match=r"x\.parquet"):
        read_columns(path, [Column("x", kind)])


cells = st.lists(
    st.none()
    | st.text(st.characters(codec="utf-8", exclude_characters="\r\x00")).filter(
        lambda text: text.strip() and text.lower() not in {"na", "nan", "null", "n/a"}
    ),
    min_size=1,
    max_size=5,
)


@given(cells, cells)
def test_texts_survive_and_neighbours_stay(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str], other: list[str]
) -> None:
    """Any text in a wanted column comes out unchanged; a neighbour's marked texts never do."""
    folder = tmp_path_factory.mktemp("texts")
    rows = min(len(wanted), len(other))
    hidden = [f"CANARY{value}" for value in other[:rows]]
    pq.write_table(
        pa.table({"w": pa.array(wanted[:rows], pa.string()), "h": hidden}), folder / "t.parquet"
    )
    columns = (Column("w", "text", nullable=True), Column("h", "text"))
    dataset = describe(
        "t", {"t": folder / "t.parquet"}, Schema((Table("t", columns),)), ["NRES"], "public"
    )
    needed = [NeededTable("t", (NeededColumn("w", "text", nullable=True),))]
    path = extract(dataset, needed, folder / "out").tables["t"]
    assert pa.ipc.open_file(path).read_all()["w"].to_pylist() == wanted[:rows]
    assert b"CANARY" not in path.read_bytes()
