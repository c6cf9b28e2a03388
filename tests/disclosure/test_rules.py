"""A declaration that contradicts itself is refused while it is read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from branchline.disclosure.rules import KINDS, OutputRule, Thresholds

COUNTS = {"kind": "counts", "dimensions": ["arm"], "count": "n"}
MEANS = {
    "kind": "statistics",
    "columns": ["arm", "n", "mean"],
    "dimensions": ["arm"],
    "count": "n",
}


@pytest.mark.parametrize(
    "declared",
    [COUNTS, MEANS, *({"kind": kind} for kind in ("scalar", "parameters", "figure", "text"))],
)
def test_a_sound_rule_survives_writing_and_reading(declared: dict[str, Any]) -> None:
    """Every kind has a plainest declaration."""
    rule = msgspec.convert(declared, OutputRule)
    assert msgspec.json.decode(msgspec.json.encode(rule), type=OutputRule) == rule
    assert declared["kind"] in KINDS


@pytest.mark.parametrize(
    "declared",
    [
        {"kind": "rows"},
        {"kind": "counts"},
        {"kind": "counts", "dimensions": ["arm"]},
        {"kind": "counts", "count": "n"},
        {**COUNTS, "shape": [2]},
        {**COUNTS, "dimensions": ["arm", "arm"]},
        {**COUNTS, "dimensions": ["n"]},
        {**COUNTS, "columns": ["arm", "n", "age"]},
        {**COUNTS, "labels": {"age": ["old"]}},
        {**COUNTS, "surprise": 1},
        {**MEANS, "columns": ["arm", "n", "n"]},
        {**MEANS, "columns": ["n", "mean"]},
        {**MEANS, "total": "mean"},
        {"kind": "statistics", "count": "n"},
        {"kind": "scalar", "dimensions": ["arm"]},
        {"kind": "scalar", "shape": [1]},
        {"kind": "text", "count": "n"},
        {"kind": "figure", "dtype": "float64"},
        {"kind": "parameters", "shape": [-1]},
        {"kind": "parameters", "model_parameters": 0},
        {"kind": "parameters", "dtype": "object"},
    ],
)
def test_a_contradiction_is_refused(declared: dict[str, Any]) -> None:
    """Each is refused by the reader, which names the place."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(declared, OutputRule)


def test_a_study_can_only_raise_the_minimum() -> None:
    """The stricter of station and study holds."""
    assert Thresholds(min_group=10).demanding(5).min_group == 10
    assert Thresholds(min_group=10).demanding(20).min_group == 20
