"""Federated equals pooled: the demo's trains on the real trial, against statsmodels."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from tests.demo.scene import estimates, fit, load, outputs, travelled, trial

from branchline.demo.data import HOSPITALS, patients_of
from branchline.demo.pooled import (
    TOLERANCE,
    Cell,
    Estimate,
    largest_difference,
    pooled_fit,
    pooled_table,
    whole_tables,
)

CONTRIBUTING = ["michigan", "indiana", "kentucky"]


@pytest.mark.parametrize("hospitals", [CONTRIBUTING, [each.name for each in HOSPITALS]])
def test_the_regression_equals_the_pooled_fit(hospitals: list[str]) -> None:
    """Every coefficient and standard error agrees with statsmodels on the pooled patients."""
    result = fit(hospitals)
    pooled = pooled_fit(trial(), hospitals)
    assert largest_difference(estimates(result), pooled.estimates) < TOLERANCE / 100
    assert result["log_likelihood"] == pytest.approx(pooled.log_likelihood, rel=1e-12)
    assert result["n"] == pooled.n == len(patients_of(trial(), hospitals))
    assert result["hospitals"] == len(hospitals)
    assert result["rounds"] <= 10
    ratios = result["estimates"]["odds_ratio"].to_numpy()
    assert ratios == pytest.approx([each.odds_ratio for each in pooled.estimates], rel=1e-8)


def test_the_order_of_hospitals_changes_no_bit() -> None:
    """Sums are rounded once, so any order of updates gives the same bytes."""
    combine, updates = load("logistic").combine, outputs("logistic", CONTRIBUTING)
    states = [
        combine(list(order), None, {"tolerance": 1e-10})[0]["coefficients"].tobytes()
        for order in permutations(updates)
    ]
    assert len(set(states)) == 1


def test_the_information_is_symmetric_to_the_last_bit() -> None:
    """A symmetric matrix counts half its numbers: that is what the checks allow a small hospital."""
    state = {"coefficients": np.linspace(-0.7, 0.9, 7)}
    for update in outputs("logistic", CONTRIBUTING, state):
        assert (update["information"] == update["information"].T).all()


def test_a_coarse_tolerance_needs_fewer_rounds() -> None:
    """The parameter decides when the steps are small enough."""
    assert fit(CONTRIBUTING, tolerance=1e-2)["rounds"] < fit(CONTRIBUTING)["rounds"]


def test_the_outcome_table_equals_the_pooled_table() -> None:
    """Counts add up to those of the pooled patients."""
    hospitals = [each.name for each in HOSPITALS]
    _, result = load("outcome_table").combine(outputs("outcome_table", hospitals), None, {})
    cells = [Cell(**row) for row in travelled(result)["table"].to_pylist()]
    assert tuple(cells) == pooled_table(trial(), hospitals)
    assert (result["hospitals"], result["left_out"]) == (4, 0)


def test_hospitals_with_suppressed_cells_are_left_out_of_the_table() -> None:
    """A table with nulls adds nothing to any cell, and the result says how many there were."""
    updates = outputs("outcome_table", CONTRIBUTING)
    cells = updates[2]["table"].to_pydict()
    updates[2] = travelled({"table": cells | {"n": [11, None, None, 9]}})
    _, result = load("outcome_table").combine(updates, None, {})
    shown = [Cell(**row) for row in travelled(result)["table"].to_pylist()]
    assert tuple(shown) == pooled_table(trial(), ["michigan", "indiana"])
    assert (result["hospitals"], result["left_out"]) == (2, 1)


def test_nothing_is_left_if_every_hospital_is_small() -> None:
    """The table of no hospital at all is one of zeros."""
    cells = outputs("outcome_table", ["kentucky"])[0]["table"].to_pydict()
    updates = [travelled({"table": cells | {"n": [None] * 4}})]
    _, result = load("outcome_table").combine(updates, None, {})
    assert result["table"]["n"] == [0, 0, 0, 0]
    assert (result["hospitals"], result["left_out"]) == (0, 1)


def test_whole_tables_are_those_without_small_cells() -> None:
    """Two hospitals have at least ten patients in every cell; one of ten and one of none differ."""
    names = [each.name for each in HOSPITALS]
    assert whole_tables(trial(), names, 10) == ("michigan", "indiana")
    assert whole_tables(trial(), names, 12) == ("indiana",)


def test_a_difference_is_relative_and_the_largest() -> None:
    """One standard error that is off by a millionth is found among equal numbers."""
    ours = [Estimate("a", 2.0, 0.5), Estimate("b", -1e-3, 0.1)]
    theirs = [Estimate("b", -1e-3, 0.1 * (1 + 1e-6)), Estimate("a", 2.0, 0.5)]
    assert largest_difference(ours, theirs) == pytest.approx(1e-6, rel=1e-5)
    with pytest.raises(ValueError, match="different terms"):
        largest_difference(ours, theirs[:1])
