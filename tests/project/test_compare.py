"""Verdicts on what came out again: identical, equal in numbers, or different, and where."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.project.runs.compare import compare


def npy(array: np.ndarray) -> bytes:
    """Return an array as a file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def parquet(**columns: list[object]) -> bytes:
    """Return a table as a file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("path", "before", "after", "verdict", "where"),
    [
        ("a.csv", b"x,y\n1,2.0\n", b"x,y\n1,2.0000000000001\n", "equal", ""),
        ("a.csv", b"x,y\n1,2\n", b"x,y\n1,3\n", "different", "row 2, column y: '3', not '2'"),
        ("a.csv", b"x\n1\n", b"x\n1\n2\n", "different", "row 3 is new"),
        ("a.csv", b"x\n1\n2\n", b"x\n1\n", "different", "row 3 is gone"),
        ("a.csv", b"x\n1\n", b"x\n1,2\n", "different", "row 2 has 2 columns, not 1"),
        ("a.csv", b"x\nnan\n", b"x\nNaN\n", "equal", ""),
        ("a.tsv", b"x\ty\na\tb\n", b"x\ty\na\tc\n", "different", "row 2, column y: 'c', not 'b'"),
        ("a.json", b'{"a":[1,2.0]}', b'{"a": [1, 2.00000000001]}', "equal", ""),
        ("a.json", b'{"a":[1,2]}', b'{"a":[1,3]}', "different", "$.a[1]: '3', not '2'"),
        ("a.json", b'{"a":1}', b'{"b":1}', "different", "$.a is gone"),
        ("a.json", b'{"a":true}', b'{"a":1}', "different", "$.a: '1', not 'True'"),
        ("a.json", b"no json", b"no more", "different", "line 1: 'no more', not 'no json'"),
        ("a.txt", b"one\ntwo\n", b"one\nzwo\n", "different", "line 2: 'zwo', not 'two'"),
        ("a.bin", b"\0\1\2", b"\0\1\3\4", "different", "byte 2; 4 bytes, not 3"),
        ("a.npy", npy(np.array([1.0, 2])), npy(np.array([1.0, 2 + 1e-12])), "equal", ""),
        (
            "a.npy",
            npy(np.array([1.0, 2])),
            npy(np.array([1.0, 3])),
            "different",
            "index 1: '3.0', not '2.0'",
        ),
        (
            "a.npy",
            npy(np.zeros((2, 2))),
            npy(np.zeros(4)),
            "different",
            "float64[4], not float64[2, 2]",
        ),
        ("a.npy", npy(np.array([1.0])), npy(np.array([np.inf])), "different", "index 0"),
        ("a.npy", b"no array", b"an array", "different", "line 1"),
        ("a.npy", b"", b"\x93NUMPY", "different", "byte 0"),
        ("a.npy", b"\x93NUMPY", b"\x93NUMPY\1\0", "different", "byte 6"),
        ("a.npy", b"PK\3\4", b"PK\5\6", "different", "line 1"),
        ("a.parquet", parquet(x=[1.0, 2.0]), parquet(x=[1.0, 2.0 + 1e-12]), "equal", ""),
        (
            "a.parquet",
            parquet(x=[1, 2], y=["a", "b"]),
            parquet(x=[1, 2], y=["a", "c"]),
            "different",
            "row 1, column y: 'c', not 'b'",
        ),
        (
            "a.parquet",
            parquet(x=[1.0, None]),
            parquet(x=[1.0, 2.0]),
            "different",
            "row 1, column x",
        ),
        ("a.parquet", parquet(x=[1]), parquet(x=[1, 2]), "different", "2 rows, not 1"),
        ("a.parquet", b"PAR1 not", b"PAR1 nor", "different", "line 1"),
    ],
)
def test_the_verdict_says_where(
    path: str, before: bytes, after: bytes, verdict: str, where: str
) -> None:
    """The first place that differs, in words of the file's kind."""
    found = compare(path, before, after)
    assert found.verdict == verdict
    assert where in found.where
    assert (found.where == "") == (verdict == "equal")


@given(st.binary(), st.sampled_from(["csv", "tsv", "json", "npy", "parquet", "txt"]))
def test_what_is_the_same_is_identical(data: bytes, ending: str) -> None:
    """Whatever it is, and whatever its name promises."""
    assert compare(f"x.{ending}", data, data).verdict == "identical"


@given(st.binary(), st.binary(), st.sampled_from(["csv", "tsv", "json", "npy", "parquet", "txt"]))
def test_no_content_breaks_a_comparison(one: bytes, other: bytes, ending: str) -> None:
    """Hostile outputs give a verdict like all others."""
    found = compare(f"x.{ending}", one, other)
    assert (found.verdict == "identical") == (one == other)
    assert found.verdict == "identical" or (found.verdict == "different") == bool(found.where)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    st.data(),
    st.sampled_from([1e-12, 1e-6, 1e-3]),
)
def test_the_tolerance_is_what_it_says(
    numbers: list[float], data: st.DataObject, tolerance: float
) -> None:
    """One number moved: equal within the tolerance, different beyond it, in every kind of file."""
    at = data.draw(st.integers(0, len(numbers) - 1))
    moved = list(numbers)
    moved[at] = data.draw(st.floats(allow_nan=False, allow_infinity=False))
    near = math.isclose(numbers[at], moved[at], rel_tol=tolerance, abs_tol=0.0)
    found = {
        "csv": tuple(
            ("x\n" + "".join(f"{v!r}\n" for v in each)).encode() for each in (numbers, moved)
        ),
        "json": tuple(json.dumps(each).encode() for each in (numbers, moved)),
    }
    for ending, (before, after) in found.items():
        assert compare(f"x.{ending}", before, after, tolerance).good == near
