"""A hospital's file and its schema, as the tests of this room want them."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.datasets.schema import Column, Schema, Table
from branchline.datasets.store import DatasetStore
from branchline.foundation.database import open_database

ROWS = (
    "id,age,risk,arm,outcome,admitted,smoker,remark\n"
    "1001,26,2.0,drug,yes,2020-01-31,true,canary-first\n"
    "1002,24,1.0,placebo,no,2020-02-01,false,canary-second\n"
    "1003,57,1.5,drug,no,2021-12-24,true,\n"
    "1004,71,3.5,placebo,no,2021-12-25,false,canary-fourth\n"
)


@pytest.fixture
def patients_csv(tmp_path: Path) -> Path:
    """Four patients of one hospital."""
    path = tmp_path / "patients.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def schema() -> Schema:
    """What the steward says of them."""
    return Schema(
        (
            Table(
                "patients",
                (
                    Column("id", "integer"),
                    Column("age", "integer", minimum=18, maximum=100, unit="years"),
                    Column("risk", "number", minimum=0, maximum=6),
                    Column("arm", "code", ("drug", "placebo")),
                    Column("outcome", "code", ("no", "yes")),
                    Column("admitted", "date"),
                    Column("smoker", "boolean"),
                    Column("remark", "text", nullable=True),
                ),
                key="id",
            ),
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    """A station's datasets, in a real SQLite file."""
    return DatasetStore(open_database(tmp_path / "station" / "station.db"))
