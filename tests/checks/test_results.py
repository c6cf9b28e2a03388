"""A required check is met by the latest result of that very expectation, on those very contents."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.checks.expectations import ModelCheck, read_checks
from branchline.checks.metrics import check_metrics, read_metrics
from branchline.checks.results import (
    Finding,
    Result,
    condensed,
    inputs_for,
    read_result,
    require_met,
    unmet,
)
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Conflict, Corrupt, Refused

CHECKS = read_checks(b"""
[data.d]
files = ["data/*.csv"]
required = true
[data.e]
files = ["data/*.csv"]
[data.station]
table = "t"
required = true
[model.m]
command = ["x"]
metrics = "m.json"
inputs = ["code", "m.json"]
lists = ["test"]
required = true
at_least = { accuracy = 0.8 }
""")
CONTENTS = {"data/a.csv": "1", "data/b.csv": "2", "code/x.py": "3", "m.json": "4", "other": "5"}
LISTS = {"test": "L1", "test@1": "L1"}
WRONG = Finding("size", "data/a.csv", "data/a.csv has 2 rows; expected 3")


def result(name: str, *findings: Finding, **inputs: str) -> Result:
    """Return a result of a check on what is there, or on other inputs."""
    mine = inputs_for(CHECKS, CONTENTS, LISTS)[name] | inputs
    return Result(name, CHECKS.every[name].digest, mine, findings)


GOOD = [result("d"), result("m")]


def said(*results: Result) -> list[str]:
    """Return what is said of the required checks."""
    return unmet(CHECKS, inputs_for(CHECKS, CONTENTS, LISTS), results)


def test_each_check_looks_at_its_own() -> None:
    """What a model's command writes is no input of it."""
    found = inputs_for(CHECKS, CONTENTS, LISTS)
    assert found["d"] == {"data/a.csv": "1", "data/b.csv": "2"}
    assert found["m"] == {"code/x.py": "3", "list test": "L1"}


def test_passed_results_meet_what_is_required() -> None:
    """What is not required, or a station's to judge, is not asked for."""
    assert said(*GOOD) == []
    require_met(CHECKS, CONTENTS, LISTS, GOOD, "packing")


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([GOOD[1]], "The check 'd' was never run"),
        ([*GOOD, result("d", WRONG)], "The check 'd' failed: data/a.csv has 2 rows; expected 3"),
        ([result("d", **{"data/a.csv": "0"}), GOOD[1]], "not run since data/a.csv changed"),
        ([result("d", **{"data/c.csv": "0"}), GOOD[1]], "not run since data/c.csv changed"),
        ([GOOD[0], result("m", **{"list test": "L0"})], "not run since list test changed"),
        ([Result("d", digest_of(b""), {}), GOOD[1]], "'d' was changed since it was run"),
    ],
)
def test_what_is_not_met_is_said_with_its_reason(results: list[Result], words: str) -> None:
    """And refused."""
    (only,) = said(*results)
    assert words in only
    with pytest.raises(Conflict, match="packing needs it"):
        require_met(CHECKS, CONTENTS, LISTS, results, "packing")


def test_the_latest_result_counts() -> None:
    """A failure that was mended is none; one that came later is one."""
    assert said(result("d", WRONG), *GOOD) == []
    assert said(*GOOD, result("d", WRONG))


def test_very_many_inputs_are_told_by_one_digest() -> None:
    """And still told apart."""
    many = {f"data/{n}": "x" for n in range(600)}
    assert len(condensed(many)) == 1
    assert condensed(many) != condensed(many | {"data/7": "y"})


@pytest.mark.parametrize("value", [None, {}, {"check": 1}, {"check": "d", "digest": "x"}, []])
def test_a_record_that_says_nothing_of_a_check_is_refused(value: object) -> None:
    """Somebody else's project may hold any."""
    with pytest.raises(Corrupt, match="is none"):
        read_result(value)
    plain = msgspec.to_builtins(GOOD[0])
    assert read_result(plain) == GOOD[0]


MODEL = ModelCheck(
    "m", ("x",), "m.json", at_least={"a": 0.8}, at_most={"b": 0.5}, drift={"a": 0.02}, cases=("e",)
)


@pytest.mark.parametrize(
    ("metrics", "cases", "before", "problems"),
    [
        ({"a": 0.8, "b": 0.5}, {"e": True}, None, []),
        ({"a": 0.79, "b": 0.5}, {"e": True}, None, ["below"]),
        ({"a": 0.8, "b": 0.51}, {"e": True}, None, ["above"]),
        ({"b": 0.5}, {"e": True}, None, ["missing-metric"]),
        ({"a": 0.9, "b": 0.1}, {"e": False}, None, ["case"]),
        ({"a": 0.9, "b": 0.1}, {}, None, ["case"]),
        ({"a": 0.9, "b": 0.1}, {"e": True}, {"a": 0.95}, ["drift"]),
        ({"a": 0.9, "b": 0.1}, {"e": True}, {"a": 0.89}, []),
        ({"a": 0.9, "b": 0.1}, {"e": True}, {"b": 1.0}, ["missing-metric"]),
        ({"a": math.nan, "b": 0.1}, {"e": True}, {"a": 0.9}, ["below", "drift"]),
    ],
)
def test_metrics_are_held_against_what_is_expected(
    metrics: dict[str, float],
    cases: dict[str, bool],
    before: dict[str, float] | None,
    problems: list[str],
) -> None:
    """Floors, ceilings, drift since the last milestone, and cases; what is no number fails."""
    assert [f.problem for f in check_metrics(MODEL, metrics, cases, before)] == problems


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_floor_passes_just_what_is_not_below_it(value: float, floor: float, was: float) -> None:
    """And drift is the same in both directions."""
    check = ModelCheck("m", ("x",), "m", at_least={"a": floor}, drift={"a": 0.1})
    told = {f.problem for f in check_metrics(check, {"a": value}, {}, {"a": was})}
    assert ("below" in told) == (value < floor)
    back = {f.problem for f in check_metrics(check, {"a": was}, {}, {"a": value})}
    assert ("drift" in told) == ("drift" in back) == (abs(value - was) > 0.1)


def test_a_file_of_metrics_is_read() -> None:
    """Nested names are joined by dots; what is no number is refused."""
    metrics, cases = read_metrics(b'{"a": 1, "b": {"c": 0.5}, "cases": {"e": true}}', "m.json")
    assert (metrics, cases) == ({"a": 1.0, "b.c": 0.5}, {"e": True})
    for text in (b'{"a": "x"}', b'{"a": true}', b'{"cases": {"e": 1}}', b"[]", b'{"a": NaN}', b"{"):
        with pytest.raises(Refused):
            read_metrics(text, "m.json")
