"""Check everything a train puts out at one stop: the one entry to this room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from branchline.disclosure.context import Checked, Context
from branchline.disclosure.findings import Finding, Findings, RefusedOutput, SafeReason
from branchline.disclosure.rules import OutputRule
from branchline.disclosure.tables import check_table
from branchline.disclosure.values import (
    check_array,
    check_figure,
    check_freedom,
    check_scalar,
    check_text,
)


def check_outputs(
    declared: Mapping[str, OutputRule], payload: Mapping[str, Any], context: Context
) -> Findings:
    """Check a payload against what the train declares and the station demands.

    Args:
        declared: The rule of every output, by name.
        payload: What the train gave; taken to be hostile.
        context: What is known of the stop.

    Returns:
        The findings. Their payload is rebuilt, small cells null; empty if anything is refused.
    """
    refused = _refused_as_a_whole(declared, payload, context)
    if refused:
        return Findings(tuple(refused), {})
    findings: list[Finding] = []
    cleaned: dict[str, Any] = {}
    released = 0
    for name, rule in declared.items():
        try:
            checked = _check_one(name, rule, payload, context)
        except RefusedOutput as refusal:
            evidence = dict(refusal.evidence)
            findings.append(
                Finding(name, rule.kind, "refused", refusal.rule, refusal.reason, evidence)
            )
            continue
        findings.append(checked.finding)
        cleaned[name] = checked.value
        released += checked.values
    findings.append(_budget(released, context))
    if any(finding.verdict == "refused" for finding in findings):
        return Findings(tuple(findings), {})
    return Findings(tuple(findings), cleaned, released)


def _refused_as_a_whole(
    declared: Mapping[str, OutputRule], payload: Mapping[str, Any], context: Context
) -> list[Finding]:
    least = context.thresholds.min_group
    if context.fewest is not None and context.fewest < least:
        evidence = {"records": context.fewest, "minimum": least}
        return [Finding("", None, "refused", "minimum-group", SafeReason.GROUP, evidence)]
    unknown = [
        Finding(name, None, "refused", "declared", SafeReason.UNDECLARED)
        for name in payload
        if name not in declared
    ]
    missing = [
        Finding(name, rule.kind, "refused", "declared", SafeReason.MISSING)
        for name, rule in declared.items()
        if name not in payload
    ]
    return unknown + missing


def _budget(released: int, context: Context) -> Finding:
    spent = context.released_values_so_far + released
    evidence: dict[str, Any] = {"values": released, "journey": spent, "records": context.fewest}
    if context.fewest is not None:
        once = context.thresholds.values_per_row * context.fewest
        ever = context.thresholds.journey_values_per_row * context.fewest
        if released > once or spent > ever:
            return Finding("", None, "refused", "values", SafeReason.VALUES, evidence)
    return Finding("", None, "pass", "values", SafeReason.PASSED, evidence)


def _check_one(
    name: str, rule: OutputRule, payload: Mapping[str, Any], context: Context
) -> Checked:
    value = payload[name]
    limit = min(rule.max_bytes or context.thresholds.output_bytes, context.thresholds.output_bytes)
    size = _size(value)
    if size > limit:
        raise RefusedOutput("size", SafeReason.SIZE, bytes=size, limit=limit)
    check_freedom(rule.model_parameters or 0, context)
    if rule.kind in ("counts", "statistics"):
        return check_table(name, rule, value, context)
    if rule.kind == "parameters":
        return check_array(name, rule, value, context)
    if rule.kind == "scalar":
        return check_scalar(name, rule, payload, context)
    if rule.kind == "figure":
        return check_figure(name, value, context)
    return check_text(name, value, context)


def _size(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return int(getattr(value, "nbytes", 16))
