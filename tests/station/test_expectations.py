"""Checks that a train brings along are held against the published schema, before data are bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.datasets.columns import ColumnType
from branchline.datasets.schema import Column, Schema, Table
from branchline.datasets.store import Dataset, describe
from branchline.foundation.errors import Refused
from branchline.station.gates import check_expectations
from branchline.train.archive import File
from branchline.train.bundle import OpenBundle, open_bundle, pack_files
from branchline.train.template import new_train

CHECKS = b"""
[data.trial]
table = "trial"
rows = { minimum = 3 }
columns.age = { type = "integer", minimum = 0, maximum = 120 }
"""


def train(checks: bytes | None) -> OpenBundle:
    """Pack a train with or without checks."""
    texts = new_train("mean-age", route="parallel", kind="functions")
    files = {path: File(text.encode(), executable=False) for path, text in texts.items()}
    if checks is not None:
        files["checks.toml"] = File(checks, executable=False)
    return open_bundle(pack_files(files).data)


def dataset(folder: Path, kind: ColumnType = "integer", maximum: float | None = 110) -> Dataset:
    """Describe a dataset of three people."""
    (folder / "trial.csv").write_text("age\n30\n40\n50\n")
    column = Column("age", kind, minimum=0 if maximum else None, maximum=maximum)
    schema = Schema((Table("trial", (column,)),))
    return describe("trial", {"trial": folder / "trial.csv"}, schema, ["GRU"], "confidential")


def test_a_dataset_that_meets_them_is_let_through(tmp_path: Path) -> None:
    """As is every one, for a train without checks."""
    check_expectations(train(CHECKS), dataset(tmp_path))
    check_expectations(train(None), dataset(tmp_path, "number", None))


@pytest.mark.parametrize(
    ("checks", "maximum", "words"),
    [
        (CHECKS.replace(b"120", b"100"), 110, "out of range: expected 0..100, got 0..110"),
        (CHECKS, None, "out of range"),
        (CHECKS.replace(b"columns.age", b"columns.height"), 110, "missing column"),
        (CHECKS.replace(b"= 3", b"= 4"), 110, "too few rows: expected at least 4 rows, got fewer"),
        (CHECKS.replace(b'table = "trial"', b'table = "other"'), 110, "missing table"),
    ],
)
def test_a_dataset_that_falls_short_is_declined_with_the_difference(
    tmp_path: Path, checks: bytes, maximum: float | None, words: str
) -> None:
    """In the words of a contract's mismatch: of the schema alone."""
    with pytest.raises(Refused, match="does not meet the train's checks") as caught:
        check_expectations(train(checks), dataset(tmp_path, maximum=maximum))
    assert words in caught.value.refused


def test_checks_on_rows_are_declined_whatever_the_rows_are(tmp_path: Path) -> None:
    """A train could ask a question about one patient, and read the answer off the declining."""
    sly = CHECKS + b'columns.name = { type = "text", matches = "Meyer" }\n'
    with pytest.raises(Refused, match="by its published schema, not by rows"):
        check_expectations(train(sly), dataset(tmp_path))
