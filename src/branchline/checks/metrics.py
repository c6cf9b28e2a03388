"""Hold what was measured of a model against floors, ceilings, drift and cases; pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from branchline.checks.expectations import ModelCheck
from branchline.checks.results import Finding
from branchline.foundation.canonical import parse_json
from branchline.foundation.errors import Refused

LARGEST = 1 << 20
CASES = "cases"


def read_metrics(text: bytes, what: str) -> tuple[dict[str, float], dict[str, bool]]:
    """Read a file of metrics: numbers by name, nested names joined by a dot, and cases.

    Raises:
        Refused: It is no such file.
    """
    read: dict[str, Any] = parse_json(text, dict[str, Any], what=what, limit=LARGEST)
    cases = read.pop(CASES, {})
    if not isinstance(cases, dict) or not all(isinstance(v, bool) for v in cases.values()):
        raise Refused(f"In {what}, {CASES!r} names cases with true or false")
    return dict(_numbers(read, "", what)), cases


def check_metrics(
    check: ModelCheck,
    metrics: Mapping[str, float],
    cases: Mapping[str, bool],
    before: Mapping[str, float] | None,
) -> list[Finding]:
    """Return what does not hold.

    Args:
        check: What is expected.
        metrics: What was measured.
        cases: Which cases went well.
        before: What was measured at the last release; None if there was none.
    """
    found = [*_bounds(check, metrics)]
    drift = {} if before is None else check.drift
    before = before or {}
    for name, most in drift.items():
        if name not in metrics or name not in before:
            found.append(_lacking(name))
            continue
        moved = abs(metrics[name] - before[name])
        # Not "moved > most": what is no number has drifted, too.
        if not moved <= most:
            sentence = (
                f"{name} is {metrics[name]:g}; it was {before[name]:g} at the last milestone, "
                f"and may move by {most:g}"
            )
            found.append(Finding("drift", name, sentence))
    for name in check.cases:
        if name not in cases:
            found.append(Finding("case", name, f"The case {name!r} was not tried"))
        elif not cases[name]:
            found.append(Finding("case", name, f"The case {name!r} went wrong"))
    return found


def _bounds(check: ModelCheck, metrics: Mapping[str, float]) -> Iterator[Finding]:
    for name, least in check.at_least.items():
        if name not in metrics:
            yield _lacking(name)
        elif not metrics[name] >= least:
            yield Finding("below", name, f"{name} is {metrics[name]:g}; expected {least:g} or more")
    for name, most in check.at_most.items():
        if name not in metrics:
            yield _lacking(name)
        elif not metrics[name] <= most:
            yield Finding("above", name, f"{name} is {metrics[name]:g}; expected {most:g} or less")


def _lacking(name: str) -> Finding:
    return Finding("missing-metric", name, f"{name} was not measured")


def _numbers(value: Mapping[str, Any], prefix: str, what: str) -> Iterator[tuple[str, float]]:
    for key, each in value.items():
        name = f"{prefix}{key}"
        if isinstance(each, dict):
            yield from _numbers(each, f"{name}.", what)
        elif isinstance(each, bool) or not isinstance(each, int | float):
            raise Refused(f"In {what}, {name!r} is no number")
        elif not math.isfinite(each):
            raise Refused(f"In {what}, {name!r} is not finite")
        else:
            yield name, float(each)
