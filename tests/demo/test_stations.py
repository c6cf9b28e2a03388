"""The demo's trains in the real sandbox, with the checks of a real station."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.demo.scene import LIMIT, estimates, opened, trial

from branchline.aggregation.aggregator import Aggregator
from branchline.datasets.extract import extract
from branchline.datasets.schema_toml import parse_toml
from branchline.datasets.store import describe
from branchline.demo.data import DATASET, HOSPITALS, SCHEMA, TABLE, write_source
from branchline.demo.pooled import Cell, largest_difference, pooled_fit, pooled_table
from branchline.disclosure.findings import SafeReason
from branchline.disclosure.policy import ReleasePolicy
from branchline.disclosure.rules import Thresholds
from branchline.environment.host import describe_host, mounts
from branchline.foundation.digest import Bytes
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal, unseal
from branchline.journey.execution import Checked, House, TrainRun
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.inside.values import decode_payload
from branchline.sandbox.limits import Limits
from branchline.train.bundle import OpenBundle
from branchline.train.parameters import check_parameters

LARGER = [each.name for each in HOSPITALS if each.name != "case-western"]


@dataclass
class Outcome:
    """What became of a journey: its result, and each round's checks by hospital."""

    result: dict[str, Any]
    rounds: list[dict[str, Checked]]


def hospital_run(house: House, train: OpenBundle, hospital: str, folder: Path) -> TrainRun:
    """Prepare a train at one hospital as its station does."""
    source = write_source(trial(), hospital, folder)
    schema = parse_toml(SCHEMA.read_text())
    dataset = describe(DATASET, {TABLE: source}, schema, ["HMB"], "confidential")
    data = extract(dataset, train.manifest.needs, folder / "tables")
    parameters = check_parameters(train.manifest.parameters, {})
    return TrainRun(house, train, parameters, data.tables, data.units, folder / "run")


async def travel(name: str, folder: Path) -> Outcome:
    """Let a train travel to all four hospitals and to its aggregator."""
    train, engine, mount = opened(name), Bubblewrap(), mounts(describe_host())
    house = House(engine, mount, Limits(), Thresholds(), ReleasePolicy())
    runs = {
        each.name: hospital_run(house, train, each.name, folder / each.name) for each in HOSPITALS
    }
    key, parameters = Identity.create(), check_parameters(train.manifest.parameters, {})
    aggregator = Aggregator(
        engine, mount, train, parameters, key.seal_private, folder / "aggregator", Limits()
    )
    try:
        for run in runs.values():
            await run.start()
        return await rounds(train.manifest.route.rounds, runs, aggregator, key)
    finally:
        for run in runs.values():
            await run.close()
        await aggregator.close()


async def rounds(
    most: int, runs: dict[str, TrainRun], aggregator: Aggregator, requester: Identity
) -> Outcome:
    """Go from round to round without those that were withheld, until there is a result."""
    state: Bytes | None = None
    parcel: Bytes | None = None
    found: list[dict[str, Checked]] = []
    for number in range(1, most + 1):
        checked = await one_round(number, runs, state)
        found.append(checked)
        runs = {name: run for name, run in runs.items() if checked[name].payload}
        updates = [seal(checked[name].payload, [aggregator.recipient]) for name in runs]
        both = [requester.public.seal]
        combined = await aggregator.combine(number, updates, parcel, both, both[0])
        if combined.result is not None:
            payload = unseal(combined.result.data, requester.seal_private)
            return Outcome(decode_payload(payload, max_bytes=LIMIT), found)
        assert combined.state is not None
        parcel, state = combined.state.data, unseal(combined.state.data, requester.seal_private)
    raise AssertionError("no result within the train's rounds")


async def one_round(
    number: int, runs: dict[str, TrainRun], state: Bytes | None
) -> dict[str, Checked]:
    """Run one round everywhere, keeping account of what is released."""
    checked = {}
    for name, run in runs.items():
        outcome = await run.run(number, state)
        assert isinstance(outcome, Checked), outcome
        run.account(outcome.findings.released_values)
        checked[name] = outcome
    return checked


@pytest.mark.slow
async def test_the_regression_passes_at_22_patients_and_is_withheld_at_3(tmp_path: Path) -> None:
    """Three hospitals contribute to every round; the result equals the pooled fit over them."""
    outcome = await travel("logistic", tmp_path)
    first = {name: checked.decision for name, checked in outcome.rounds[0].items()}
    assert first.pop("case-western").reason is SafeReason.GROUP
    assert {name: each.action for name, each in first.items()} == dict.fromkeys(LARGER, "release")
    assert all(list(checked) == LARGER for checked in outcome.rounds[1:])
    assert outcome.result["rounds"] == len(outcome.rounds)
    pooled = pooled_fit(trial(), LARGER)
    assert largest_difference(estimates(outcome.result), pooled.estimates) < 1e-10


@pytest.mark.slow
async def test_the_outcome_table_shows_no_small_cell(tmp_path: Path) -> None:
    """The 22-patient hospital's cells are suppressed, and the sum is that of the other two."""
    outcome = await travel("outcome_table", tmp_path)
    (checked,) = outcome.rounds
    assert checked["case-western"].decision.reason is SafeReason.GROUP
    assert checked["kentucky"].decision.reason is SafeReason.SUPPRESSED
    small: Any = decode_payload(checked["kentucky"].payload, max_bytes=LIMIT)["table"]
    assert all(n is None or n >= 10 for n in small["n"].to_pylist())
    assert small["n"].null_count
    cells = tuple(Cell(**row) for row in outcome.result["table"].to_pylist())
    assert cells == pooled_table(trial(), ["michigan", "indiana"])
    assert (outcome.result["hospitals"], outcome.result["left_out"]) == (2, 1)
