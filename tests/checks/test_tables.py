"""Tables are held against expectations: every kind of fault is found, told by count and no value."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.checks.expectations import DataCheck, read_checks
from branchline.checks.results import Finding
from branchline.checks.tables import check_table

CHECK = """
[data.visits]
files = ["data"]
rows = { minimum = 3, maximum = 6 }
order = { column = "day", by = "patient" }
columns.patient = { type = "text", matches = "p[0-9]+" }
columns.day = { type = "date" }
columns.age = { type = "integer", minimum = 0, maximum = 120, nullable = true }
columns.arm = { type = "code", codes = ["a", "b"] }
columns.number = { type = "integer", unique = true }
"""
HEAD = "patient,day,age,arm,number\n"
ROWS = [
    "p1,2026-01-01,30,a,1",
    "p2,2026-03-01,,b,2",
    "p1,2026-02-01,30,a,3",
    "p3,2026-01-01,99,b,4",
]


def check(more: str = "") -> DataCheck:
    """Return the expectation, with more in it."""
    return read_checks((CHECK + more).encode()).data["visits"]


def found(folder: Path, rows: list[str], head: str = HEAD, **more: bool) -> list[Finding]:
    """Hold a CSV file against it."""
    file = folder / "0.csv"
    file.write_text(head + "".join(f"{row}\n" for row in rows))
    return check_table(check(), file, "data/v.csv", coarse=more.get("coarse", False))


def test_what_is_as_expected_passes(tmp_path: Path) -> None:
    """Missing values where they may be, order within each patient only."""
    assert found(tmp_path, ROWS) == []


@pytest.mark.parametrize(
    ("row", "problem", "words"),
    [
        ("p4,2026-01-01,121,a,5", "invalid-values", "'age' has 1 value outside 0..120"),
        ("p4,2026-01-01,30,c,5", "invalid-values", "'arm' has 1 value not among the codes"),
        ("x4,2026-01-01,30,a,5", "invalid-values", "'patient' has 1 value that do not match"),
        ("p4,2026-01-01,30,,5", "missing-values", "'arm' has 1 value missing"),
        ("p4,2026-01-01,30,a,4", "repeated", "'number' has 2 values"),
        ("p1,2026-01-15,30,a,5", "out-of-order", "'day' has 1 value before the row above"),
        ("p4,2026-01-01,old,a,5", "mistyped", "'age' holds values that are not of type integer"),
        ("p4,2026-13-01,30,a,5", "mistyped", "'day' holds values that are not of type date"),
    ],
)
def test_each_fault_is_found_and_told_without_its_value(
    tmp_path: Path, row: str, problem: str, words: str
) -> None:
    """And nothing else is."""
    (only,) = found(tmp_path, [*ROWS, row])
    assert only.problem == problem
    assert words in only.sentence
    assert "p4" not in only.sentence
    assert "x4" not in only.sentence


def test_missing_and_unexpected_columns_are_told(tmp_path: Path) -> None:
    """The rest is checked all the same."""
    file = tmp_path / "0.csv"
    file.write_text(
        "patient,day,age,arm,extra\np1,2026-01-01,200,a,1\n" * 1 + "p1,2026-01-02,1,a,1\n" * 3
    )
    told = check_table(check("closed = true"), file, "v.csv", coarse=False)
    assert {each.problem for each in told} == {
        "missing-column",
        "unexpected-column",
        "invalid-values",
    }


def test_abnormal_sizes_are_told(tmp_path: Path) -> None:
    """Rows and bytes."""
    (few,) = found(tmp_path, ROWS[:2])
    assert few.sentence == "data/v.csv has 2 rows; expected 3..6"
    file = tmp_path / "0.csv"
    file.write_text(HEAD + "".join(f"{row}\n" for row in ROWS))
    (large,) = check_table(check("bytes = { maximum = 10 }"), file, "v.csv", coarse=False)
    assert large.problem == "size"


def test_of_confidential_tables_no_count_is_told(tmp_path: Path) -> None:
    """That something is wrong is said, not how often."""
    (only,) = found(tmp_path, [*ROWS, "p4,2026-01-01,121,a,5"], coarse=True)
    assert only.sentence.endswith("'age' has some values outside 0..120")


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    """Not a crash, and nothing of its content."""
    file = tmp_path / "0.csv"
    file.write_text("a,b\n1\n1,2,3\n")
    assert "unreadable" in {each.problem for each in check_table(check(), file, "v", coarse=False)}
    other = tmp_path / "0.parquet"
    other.write_bytes(b"no parquet")
    (only,) = check_table(check(), other, "data/v.parquet", coarse=False)
    assert only.sentence == "data/v.parquet is not a readable Parquet file"


def test_parquet_is_checked_alike(tmp_path: Path) -> None:
    """With its own types."""
    table = pa.table({"patient": ["p1"] * 3, "age": [1, 2, 300], "number": [1, 2, 3]})
    pq.write_table(table, tmp_path / "0.parquet")
    told = check_table(check(), tmp_path / "0.parquet", "v", coarse=False)
    assert {each.problem for each in told} == {"missing-column", "invalid-values"}


ages = st.lists(st.none() | st.integers(-5, 130), min_size=3, max_size=6)


@settings(max_examples=25)
@given(ages)
def test_counts_are_those_of_the_rule_itself(ages: list[int | None]) -> None:
    """Whatever the values: pandera and a plain loop agree."""
    import tempfile

    rows = [f"p{n},2026-01-01,{'' if age is None else age},a,{n}" for n, age in enumerate(ages)]
    with tempfile.TemporaryDirectory() as folder:
        told = found(Path(folder), rows)
    wrong = sum(age is not None and not 0 <= age <= 120 for age in ages)
    assert [each.problem for each in told] == ["invalid-values"] * bool(wrong)
    if wrong:
        assert f"has {wrong} value" in told[0].sentence
