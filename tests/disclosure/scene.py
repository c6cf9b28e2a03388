"""A small hospital's bound records, for the tests of this room."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from branchline.disclosure.check import check_outputs
from branchline.disclosure.context import Context
from branchline.disclosure.findings import Findings
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import OutputRule, Thresholds

CODES = {"patients": {"arm": ("drug", "placebo"), "outcome": ("no", "yes")}}


@cache
def patients(rows: int) -> pa.Table:
    """Return records with codes, small whole numbers, laboratory values, and free text."""
    random = np.random.default_rng(rows)
    return pa.table(
        {
            "arm": random.choice(["drug", "placebo"], rows),
            "outcome": random.choice(["no", "yes"], rows, p=[0.8, 0.2]),
            "ward": random.choice(["east", "west"], rows),
            "id": np.arange(1001, 1001 + rows),
            "age": random.integers(20, 90, rows),
            "lactate": random.normal(10, 3, rows),
            "surname": [f"Surname{i:04d}" for i in range(rows)],
        }
    )


@cache
def index(rows: int) -> RowIndex:
    """Return the index of these records."""
    return RowIndex(lambda: {"patients": patients(rows)}, codes=CODES)


def context(rows: int = 100, released: int = 0, **thresholds: Any) -> Context:
    """Return what is known of a stop over so many records."""
    return Context({"patients": rows}, index(rows), Thresholds(**thresholds), released)


def check(rule: OutputRule, value: Any, at: Context | None = None) -> Findings:
    """Check one output named "x"."""
    return check_outputs({"x": rule}, {"x": value}, at or context())


def refusal(findings: Findings) -> str:
    """Return the rule that refused, and hold that nothing at all is left to release."""
    assert findings.verdict == "refused"
    assert not findings.payload
    assert findings.released_values == 0
    return next(f.rule for f in findings.findings if f.verdict == "refused")
