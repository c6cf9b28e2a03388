"""The demo's trains and data without any program around them: a station is a function call."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import branchline.demo as room
from branchline.demo.data import TABLE, load_trial, patients_of
from branchline.demo.pooled import Estimate
from branchline.sandbox.inside.values import decode_payload, encode_payload
from branchline.train.bundle import OpenBundle, open_bundle, pack

if TYPE_CHECKING:
    import pandas as pd

TRAINS = Path(room.__file__).parent / "trains"
LIMIT = 1 << 20


@cache
def trial() -> pd.DataFrame:
    """Load the trial once for all tests."""
    return load_trial()


def load(train: str) -> ModuleType:
    """Import a train's module as the sandbox does: by its file."""
    spec = importlib.util.spec_from_file_location(train, TRAINS / train / "analysis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(train: str) -> OpenBundle:
    """Pack a train and open it again, as a station does."""
    return open_bundle(pack(TRAINS / train).data)


def travelled(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload as it arrives elsewhere."""
    return decode_payload(encode_payload(payload), max_bytes=LIMIT)


def arrow_table(hospital: str) -> pa.Table:
    """Return a hospital's patients as the sandbox hands them over."""
    return pa.Table.from_pandas(patients_of(trial(), [hospital]), preserve_index=False)


def outputs(
    train: str, hospitals: list[str], state: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a train's station function at some hospitals, without any checks."""
    station = load(train).station
    return [travelled(station({TABLE: arrow_table(hospital)}, state, {})) for hospital in hospitals]


def fit(hospitals: list[str], **parameters: float) -> dict[str, Any]:
    """Run the train ``logistic`` over some hospitals to its result."""
    combine, state = load("logistic").combine, None
    for _ in range(opened("logistic").manifest.route.rounds):
        state, result = combine(
            outputs("logistic", hospitals, state), state, {"tolerance": 1e-10, **parameters}
        )
        if result is not None:
            return travelled(result)
        state = travelled(state)
    raise AssertionError("no result within the train's rounds")


def estimates(result: dict[str, Any]) -> list[Estimate]:
    """Read a result's table of estimates."""
    rows = result["estimates"].drop_columns(["odds_ratio"]).to_pylist()
    return [Estimate(**row) for row in rows]
