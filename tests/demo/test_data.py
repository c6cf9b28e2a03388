"""The trial as its hospitals hold it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from tests.demo.scene import opened, trial

from branchline.datasets.extract import extract
from branchline.datasets.schema_toml import parse_toml
from branchline.datasets.store import describe
from branchline.demo.data import DATASET, HOSPITALS, SCHEMA, TABLE, patients_of, write_source


def test_the_trial_is_split_into_its_four_hospitals() -> None:
    """Every one of the 602 patients is at exactly one hospital."""
    parts = {each.name: patients_of(trial(), [each.name]) for each in HOSPITALS}
    sizes = {name: len(part) for name, part in parts.items()}
    assert sizes == {"michigan": 164, "indiana": 413, "kentucky": 22, "case-western": 3}
    patients = [number for part in parts.values() for number in part["patient"]]
    assert sorted(patients) == sorted(trial()["patient"])
    assert len(set(patients)) == 602


def test_the_schema_fits_every_hospital(tmp_path: Path) -> None:
    """What the schema says is true of each hospital's file, row by row, and fits both trains."""
    schema = parse_toml(SCHEMA.read_text())
    for hospital in HOSPITALS:
        folder = tmp_path / hospital.name
        source = write_source(trial(), hospital.name, folder)
        dataset = describe(DATASET, {TABLE: source}, schema, ["HMB"], "confidential")
        assert dataset.rows[TABLE] == len(patients_of(trial(), [hospital.name]))
        for train in ("outcome_table", "logistic"):
            found = extract(dataset, opened(train).manifest.needs, folder / train)
            assert found.units == dataset.rows
            with pa.memory_map(str(found.tables[TABLE])) as file:
                names = pa.ipc.open_file(file).schema.names
            assert "patient" not in names
            assert "hospital" not in names


def test_the_codes_are_plain_words() -> None:
    """R's factor numbers are gone, and nothing is missing."""
    assert set(trial()["rx"]) == {"placebo", "indomethacin"}
    assert set(trial()["outcome"]) == {"yes", "no"}
    assert not trial().isna().any().any()
