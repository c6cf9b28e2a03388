"""A payload leaves as a whole or not at all, and nothing about what stays is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.disclosure.scene import check, context, refusal

from branchline.disclosure.check import check_outputs
from branchline.disclosure.context import Context
from branchline.disclosure.findings import Finding, Findings, SafeReason
from branchline.disclosure.policy import ReleasePolicy, decide, person_may_release
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import KINDS, OutputRule

RULES = {"mean": OutputRule(kind="scalar"), "beta": OutputRule(kind="parameters", shape=(3,))}
GOOD: dict[str, Any] = {"mean": 1.5, "beta": np.array([0.5, 0.25, 0.75])}


def test_a_payload_in_order_passes_in_the_declared_order() -> None:
    """Everything declared, nothing else: it leaves, and its numbers are counted."""
    found = check_outputs(RULES, dict(reversed(GOOD.items())), context())
    assert (found.verdict, found.safe_reason) == ("pass", "All checks passed")
    assert list(found.payload) == ["mean", "beta"]
    assert found.released_values == 4


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({**GOOD, "rows": 1.0}, SafeReason.UNDECLARED),
        ({**GOOD, "": 1.0}, SafeReason.UNDECLARED),
        ({"mean": 1.5}, SafeReason.MISSING),
        ({}, SafeReason.MISSING),
        ({**GOOD, "beta": np.zeros(4)}, SafeReason.FORM),
    ],
)
def test_one_wrong_output_holds_everything_back(payload: Any, reason: SafeReason) -> None:
    """Undeclared, missing or malformed: nothing of the payload is left to release."""
    found = check_outputs(RULES, payload, context())
    refusal(found)
    assert found.safe_reason == reason


@pytest.mark.parametrize(("rows", "verdict"), [(3, "refused"), (9, "refused"), (10, "pass")])
def test_the_minimum_group_comes_first(rows: int, verdict: str) -> None:
    """Fewer records than the minimum: everything is refused, the records are not even read."""

    def unread() -> dict[str, Any]:
        raise AssertionError("the records were read")

    rules = {"mean": OutputRule(kind="scalar")}
    closed = RowIndex(unread)
    at = Context({"patients": rows}, closed) if verdict == "refused" else context(rows)
    found = check_outputs(rules, {"mean": 1.5}, at)
    assert found.verdict == verdict
    if verdict == "refused":
        assert found.safe_reason == SafeReason.GROUP


def test_the_smallest_table_decides() -> None:
    """A large table beside a small one does not hide the small one."""
    at = Context({"patients": 500, "rare": 3}, context().index)
    assert refusal(check_outputs(RULES, GOOD, at)) == "minimum-group"


def test_without_bound_tables_there_is_nothing_to_disclose() -> None:
    """A train that saw no table is bound by form and size only."""
    at = Context({}, RowIndex(dict))
    assert (
        check_outputs({"x": OutputRule(kind="parameters")}, {"x": np.zeros(5000)}, at).verdict
        == "pass"
    )
    assert check_outputs({}, {}, at).verdict == "pass"


def test_what_leaves_does_not_depend_on_what_is_withheld() -> None:
    """Two payloads refused by the same rule give the same sentences, whatever they hold."""
    rule = OutputRule(kind="parameters")
    first = check(rule, np.arange(50.0) / 7)
    second = check(rule, np.arange(90.0) / 3)
    assert first.safe_reason == second.safe_reason
    assert first.reasons == second.reasons
    assert not any(character.isdigit() for reason in SafeReason for character in reason)


def test_evidence_stays_in_numbers_for_the_output_checker() -> None:
    """The checker sees how far off the output was; the safe reason does not change with it."""
    finding = check(OutputRule(kind="parameters"), np.arange(50.0) / 7).findings[0]
    assert finding.evidence["records"] == 100
    assert finding.evidence["parameters"] == 50
    assert finding.safe_reason == SafeReason.FREEDOM


def _found(kind: Any, verdict: Any, reason: SafeReason) -> Findings:
    return Findings((Finding("x", kind, verdict, "r", reason),), {"x": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_policies_release_known_safe_kinds_only(kind: Any) -> None:
    """By default a person looks at figures and texts, and the rest leaves by itself."""
    verdict = "person" if kind in ("figure", "text") else "pass"
    found = _found(kind, verdict, SafeReason.PERSON if verdict == "person" else SafeReason.PASSED)
    action = decide(found, ReleasePolicy()).action
    assert action == ("hold" if verdict == "person" else "release")
    assert decide(found, ReleasePolicy(auto_release=frozenset())).action == "hold"
    assert decide(found, ReleasePolicy(auto_release=frozenset(KINDS))).action == "release"
    assert person_may_release(found)


def test_no_policy_and_no_person_releases_what_was_refused() -> None:
    """Refused is withheld, with the sentence and the outputs that caused it."""
    found = _found("scalar", "refused", SafeReason.ROWS)
    decision = decide(found, ReleasePolicy(auto_release=frozenset(KINDS)))
    assert (decision.action, decision.reason, decision.outputs) == (
        "withhold",
        SafeReason.ROWS,
        ("x",),
    )
    assert not person_may_release(found)


def test_a_question_other_than_the_kind_always_needs_a_person() -> None:
    """Unknown labels hold a table even where the policy releases all tables."""
    found = _found("counts", "person", SafeReason.LABELS)
    assert decide(found, ReleasePolicy()).action == "hold"


def test_suppressed_tables_leave_unless_the_station_wants_to_see_them() -> None:
    """A policy may hold tables with cells left out."""
    table = pa.table({"band": ["a", "b", "c"], "n": [4, 30, 50]})
    rule = OutputRule(
        kind="counts", dimensions=("band",), count="n", labels={"band": ("a", "b", "c")}
    )
    found = check(rule, table)
    assert decide(found, ReleasePolicy()).action == "release"
    assert decide(found, ReleasePolicy(release_suppressed=False)).action == "hold"


def test_nothing_found_is_a_refusal() -> None:
    """Findings without a finding never pass."""
    assert Findings((), {}).verdict == "refused"
    assert decide(Findings((), {}), ReleasePolicy()).action == "withhold"
