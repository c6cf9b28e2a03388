"""Inference: a schema is proposed, without telling more than it must."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from branchline.datasets.columns import ColumnType
from branchline.datasets.errors import SourceRefused
from branchline.datasets.infer import infer_schema, infer_table, round_outwards
from branchline.datasets.match import require_values
from branchline.datasets.reading import read_columns

PLAIN_TYPES: dict[str, ColumnType] = {
    "id": "integer",
    "age": "integer",
    "risk": "number",
    "arm": "code",
    "outcome": "code",
    "admitted": "date",
    "smoker": "boolean",
    "remark": "text",
}


@pytest.fixture
def patients_csv(patients_csv: Path) -> Path:
    """The hospital's patients three times over, so that there are twelve rows."""
    header, *rows = patients_csv.read_text().splitlines(keepends=True)
    patients_csv.write_text(header + "".join(rows * 3))
    return patients_csv


def test_a_csv_file_describes_itself(patients_csv: Path) -> None:
    """Types, codes, missing values and widened bounds are proposed from a CSV file."""
    table = infer_schema({"patients": patients_csv}).tables[0]
    assert {column.name: column.type for column in table.columns} == PLAIN_TYPES
    arm, age, remark = (table.column(name) for name in ("arm", "age", "remark"))
    assert arm is not None
    assert arm.codes == ("drug", "placebo")
    assert age is not None
    assert (age.minimum, age.maximum) == (20, 80)
    assert remark is not None
    assert remark.nullable
    assert not age.nullable


def test_a_parquet_file_describes_itself(patients_csv: Path) -> None:
    """The same table as Parquet, dictionary and timestamp columns included, gets the same schema."""
    table = csv.read_csv(patients_csv, convert_options=csv.ConvertOptions(strings_can_be_null=True))
    table = table.set_column(3, "arm", table["arm"].dictionary_encode())
    table = table.set_column(5, "admitted", table["admitted"].cast(pa.timestamp("us")))
    path = patients_csv.with_suffix(".parquet")
    pq.write_table(table, path)
    assert infer_table("p", path) == infer_table("p", patients_csv)


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    """A decimal in the very last row of a large file makes the column a number."""
    path = tmp_path / "late.csv"
    path.write_text("x\n" + "1\n" * 700_000 + "1.5\n")
    assert infer_table("late", path).columns[0].type == "number"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_other_delimiters_are_seen(tmp_path: Path, delimiter: str) -> None:
    """Files with semicolons or tabs are read like those with commas."""
    path = tmp_path / "d.csv"
    path.write_text("\ufeffa,b,c\n1,x,2020-01-01\n2,y,2020-01-02\n".replace(",", delimiter))
    table = infer_table("d", path)
    assert [(c.name, c.type) for c in table.columns] == [
        ("a", "integer"), ("b", "text"), ("c", "date"),
    ]  # fmt: skip
    assert read_columns(path, table.columns).num_rows == 2


def test_a_tiny_table_proposes_no_bounds_and_no_codes(tmp_path: Path) -> None:
    """Of three patients neither codes nor bounds are proposed: they would be single persons'."""
    path = tmp_path / "three.csv"
    path.write_text("id,arm\n4001,drug\n4002,drug\n4003,drug\n")
    number, arm = infer_table("three", path).columns
    assert (number.type, number.minimum, number.maximum) == ("integer", None, None)
    assert arm.type == "text"


def test_rare_texts_are_not_proposed_as_codes(tmp_path: Path) -> None:
    """Names of people, one row each, stay text: a proposed schema never lists them."""
    path = tmp_path / "names.csv"
    path.write_text("name\n" + "".join(f"Ada {n}\n" for n in range(15)))
    assert infer_table("names", path).columns[0].type == "text"


def test_a_time_of_day_is_text(tmp_path: Path) -> None:
    """Timestamps with hours are no dates; they are proposed, and read, as text."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"at": [dt.datetime(2020, 1, 1, 12, 30)]}), path)  # noqa: DTZ001
    table = infer_table("t", path)
    assert table.columns[0].type == "text"
    assert read_columns(path, table.columns)["at"].to_pylist()[0].startswith("2020-01-01 12:30")


def test_a_column_of_missing_values_is_nullable_text(tmp_path: Path) -> None:
    """A column without any value is proposed as nullable text."""
    path = tmp_path / "n.csv"
    path.write_text("a,b\n1,NA\n2,\n")
    column = infer_table("n", path).columns[1]
    assert (column.type, column.nullable) == ("text", True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "not a readable CSV"),
        ("a.csv", b"a,b\n1,2\nsecret-1\n", "not a readable CSV"),
        ("a.csv", b"a,a\n1,2\n", "two columns named 'a'"),
        ("a.csv", b"a\n\xff\xfe\n", "a.csv"),
        ("a.parquet", b"PAR1secret-1PAR1", "not a readable Parquet"),
        ("a.xlsx", b"", "neither a .csv nor a .parquet"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """A damaged or foreign file is refused in one sentence that quotes nothing from it."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceRefused) as refusal:
        infer_table("a", path)
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is refused."""
    with pytest.raises(SourceRefused, match="is not a file"):
        infer_table("a", tmp_path / "nowhere.csv")


def test_nested_columns_are_refused_by_name(tmp_path: Path) -> None:
    """A list column cannot be described; the sentence names it."""
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"visits": [[1, 2]]}), path)
    with pytest.raises(SourceRefused, match="'visits' holds list"):
        infer_table("l", path)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.797e308), (-1.79e308, 0.0), (9e307, 1.79e308)])
def test_rounding_stays_below_the_largest_number(low: float, high: float) -> None:
    """A bound that is no finite number would be refused."""
    assert round_outwards(low, high) == (low, high)


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15))
def test_rounding_only_ever_widens(one: float, other: float) -> None:
    """A suggested range holds all values, and is never a single point."""
    low, high = sorted([one, other])
    bottom, top = round_outwards(low, high)
    assert bottom <= low <= high <= top
    assert bottom < top or abs(low) < 1e-290


@given(st.lists(st.none() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False), min_size=1))
def test_the_file_obeys_its_own_schema(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    """Whatever numbers a file holds, they satisfy the schema proposed for it."""
    path = tmp_path_factory.mktemp("own") / "x.parquet"
    kind = pa.float64() if any(isinstance(value, float) for value in values) else pa.int64()
    if kind == pa.float64():
        values = [None if value is None else float(value) for value in values]
    pq.write_table(pa.table({"x": pa.array(values * 10, kind)}), path)
    columns = infer_table("x", path).columns
    finite = [v for v in values if v is not None and np.isfinite(v)]
    if len(finite) == sum(v is not None for v in values):
        require_values(read_columns(path, columns), columns, "x")


def test_a_million_rows_take_seconds(tmp_path: Path) -> None:
    """A CSV of a million rows is described and read in well under ten seconds."""
    random = np.random.default_rng(1)
    rows = 1_000_000
    table = pa.table(
        {
            "id": np.arange(rows),
            "age": random.integers(18, 99, rows),
            "risk": random.random(rows),
            "arm": np.array(["drug", "placebo"])[random.integers(0, 2, rows)],
        }
    )
    path = tmp_path / "large.csv"
    csv.write_csv(table, path)
    begun = time.process_time()
    columns = infer_table("large", path).columns
    assert read_columns(path, columns).num_rows == rows
    assert time.process_time() - begun < 10
