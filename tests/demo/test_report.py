"""A demo that does not keep a promise says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.demo.scene import trial

from branchline.demo.check import Check, Tampering
from branchline.demo.data import SMALLEST
from branchline.demo.pooled import Estimate, pooled_fit, pooled_table
from branchline.demo.report import DemoFailed, DemoReport, Federated, Kept, Verified
from branchline.journey.verify import Outcome, StepReport

LARGER = ("michigan", "indiana", "kentucky")


def kept_promises() -> DemoReport:
    """Make the report of a demo as it should be."""
    pooled, table = pooled_fit(trial(), LARGER), pooled_table(trial(), LARGER[:2])
    federated = Federated(pooled.estimates, pooled.n, pooled.log_likelihood, 7, LARGER, table, 2, 1)
    step = StepReport(1, "ledger", "It is in the ledger.", Outcome.PASSED)
    withheld = (Kept("logistic", SMALLEST, "Too few"),)
    verified = (Verified("logistic", (step,)),)
    return DemoReport(federated, pooled, table, withheld, (), {"start": 1.0}, verified)


def changed(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate whose coefficient is off by a factor."""
    return msgspec.structs.replace(estimate, coefficient=estimate.coefficient * factor)


def test_promises_kept_pass_and_are_json() -> None:
    """A good report is accepted, and its JSON has what ``--json`` promises."""
    report = kept_promises()
    report.require()
    assert set(report.as_json()) >= {
        *("estimates", "pooled", "largest_relative_difference"),
        *("withheld", "suppressed", "seconds", "verification"),
    }


@pytest.mark.parametrize("factor", [1 + 1e-7, float("nan")])
def test_a_difference_fails(factor: float) -> None:
    """One coefficient off by a ten-millionth, or no number, is not equal."""
    good = kept_promises()
    estimates = (*good.federated.estimates[:-1], changed(good.federated.estimates[-1], factor))
    federated = msgspec.structs.replace(good.federated, estimates=estimates)
    with pytest.raises(DemoFailed, match="differ by"):
        msgspec.structs.replace(good, federated=federated).require()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"withheld": ()}, "withheld at none"),
        ({"withheld": (Kept("logistic", "kentucky", "Too few"),)}, "withheld at kentucky"),
        ({"pooled_table": ()}, "the outcome table is not the pooled one"),
        (
            {"checks": (Check("indiana", "branchline ledger prove", False, "A gap at 3"),)},
            "indiana .branchline ledger prove.: A gap at 3",
        ),
        ({"tampering": Tampering("an entry is gone", ())}, "nobody noticed that an entry is gone"),
    ],
)
def test_a_broken_promise_is_named(broken: dict[str, Any], said: str) -> None:
    """The sentence says which promise was not kept, and the report comes with it."""
    report = msgspec.structs.replace(kept_promises(), **broken)
    with pytest.raises(DemoFailed, match=said) as caught:
        report.require()
    assert caught.value.detail["largest_relative_difference"] == 0


def test_a_result_that_is_not_verified_fails() -> None:
    """A step that did not pass is named with its reason."""
    step = StepReport(4, "study", "It was approved.", Outcome.FAILED, "Nobody approved it")
    report = msgspec.structs.replace(kept_promises(), verification=(Verified("logistic", (step,)),))
    with pytest.raises(DemoFailed, match="step 4 is failed: Nobody approved it"):
        report.require()
