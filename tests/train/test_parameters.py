"""Parameters: defaults filled in, everything else refused by name."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.errors import BranchlineError
from branchline.train.errors import ParametersRefused
from branchline.train.parameters import check_parameters, check_schema

SCHEMA: dict[str, Any] = {
    "properties": {
        "tolerance": {"type": "number", "exclusiveMinimum": 0, "default": 1e-8},
        "arms": {"type": "array", "items": {"enum": ["drug", "placebo"]}, "default": ["drug"]},
        "model": {
            "type": "object",
            "properties": {"ridge": {"type": "number", "default": 0.5}},
            "additionalProperties": False,
        },
        "label": {"type": "string", "maxLength": 10},
    },
    "required": ["label"],
}


def test_defaults_are_filled_in_and_nothing_is_shared() -> None:
    """What is not given takes its default, also inside; changing the answer changes no schema."""
    check_schema(SCHEMA)
    given_ = {"label": "a", "model": {}}
    found = check_parameters(SCHEMA, given_)
    assert found == {"label": "a", "tolerance": 1e-8, "arms": ["drug"], "model": {"ridge": 0.5}}
    found["arms"].append("x")
    assert check_parameters(SCHEMA, given_)["arms"] == ["drug"]
    assert given_ == {"label": "a", "model": {}}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "'label' is a required property"),
        ({"label": "a", "tolerance": 0}, "Parameter 'tolerance': 0 is less than or equal"),
        ({"label": "a", "arms": ["x"]}, "Parameter 'arms.0': 'x' is not one of"),
        ({"label": "a", "model": {"lasso": 1}}, "Parameter 'model': Additional properties"),
        ({"label": "a", "typo": 1}, "'typo' was unexpected"),
        ({"label": "a", "tolerance": float("nan")}, "cannot be written as JSON"),
        ({"label": "a", "tolerance": {1, 2}}, "cannot be written as JSON"),
        ({"label": "a" * 20_000}, "at most 16384 are accepted"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters: dict[str, Any], said: str) -> None:
    """Missing, wrong, unknown, endless and oversized parameters are refused in a sentence."""
    with pytest.raises(ParametersRefused) as refusal:
        check_parameters(SCHEMA, parameters)
    assert said in str(refusal.value)


def nested(depth: int) -> dict[str, Any]:
    """Write a schema of that depth."""
    schema: dict[str, Any] = {"type": "number"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.org/schema.json"}, "$ref: not a keyword"),
        ({"properties": {"x": {"$dynamicRef": "#x"}}}, "properties.x.$dynamicRef: not a keyword"),
        ({"properties": {"x": {"pattern": "(a+)+$"}}}, "properties.x.pattern: not a keyword"),
        ({"properties": {"x": 3}}, "properties.x: expected a table"),
        ({"properties": 3}, "properties: 3 is not of type 'object'"),
        ({"anyOf": [{"minimum": "1"}]}, "anyOf.0.minimum: '1' is not of type 'number'"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema is not"),
        (nested(20), "levels deep"),
        (nested(5000), "cannot be written as JSON"),
        ({"description": "x" * 20_000}, "at most 16384 are accepted"),
    ],
)
def test_a_hostile_or_wrong_schema_is_refused(schema: dict[str, Any], said: str) -> None:
    """References, patterns, depth, size and plain mistakes are refused with their place."""
    with pytest.raises(ParametersRefused) as refusal:
        check_schema(schema)
    assert said in str(refusal.value)


def test_names_that_look_like_keywords_are_names() -> None:
    """A parameter may be called pattern or $ref."""
    schema = {"properties": {"pattern": {"type": "string"}, "$ref": {"default": 1}}}
    check_schema(schema)
    assert check_parameters(schema, {"pattern": "x"}) == {"pattern": "x", "$ref": 1}


def test_the_worst_schema_takes_no_time() -> None:
    """Many choices for many items, as large as allowed, are still checked in bearable time."""
    choices = {"properties": {"x": {"items": {"enum": [[n] for n in range(400)]}}}}
    check_schema(choices)
    begun = time.process_time()
    with pytest.raises(ParametersRefused):
        check_parameters(choices, {"x": [[-n] for n in range(2, 400)]})
    assert time.process_time() - begun < 5
    with pytest.raises(ParametersRefused, match="too many to check"):
        check_parameters(choices, {"x": [[n] for n in range(2000)]})


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other"]), values))
def test_accepted_parameters_are_accepted_again(parameters: dict[str, Any]) -> None:
    """Filling in defaults is done once: what was accepted is accepted unchanged."""
    try:
        found = check_parameters(SCHEMA, parameters)
    except BranchlineError:
        return
    assert check_parameters(SCHEMA, found) == found
    assert {key: found[key] for key in parameters if key != "model"} == {
        key: parameters[key] for key in parameters if key != "model"
    }
