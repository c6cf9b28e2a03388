"""What the checks found: evidence for the output checker, fixed sentences for the requester."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from branchline.disclosure.rules import Kind

Verdict = Literal["pass", "suppressed", "person", "refused"]

_ORDER: tuple[Verdict, ...] = ("pass", "suppressed", "person", "refused")


class SafeReason(StrEnum):
    """The only sentences about a check that may leave a station.

    None of them has a place for a number, a name or a value: what is withheld shows in nothing but
    which rule it met.
    """

    PASSED = "All checks passed"
    SUPPRESSED = "Cells that describe too few people were left out"
    GROUP = "The station holds fewer records than its minimum for this analysis"
    UNDECLARED = "An output was put out that the train does not declare"
    MISSING = "An output that the train declares is missing"
    FORM = "An output does not have the declared kind, shape, type or columns"
    SIZE = "An output is larger than the station allows"
    FREEDOM = "The model has too many parameters for the records the station holds"
    VALUES = "More numbers were put out than the station allows for the records it holds"
    ROWS = "An output looks like records of single people"
    COUNTS = "The counts do not agree with each other or with the records the station holds"
    DOMINANCE = "One or two people make up most of a total"
    FIGURE = "A figure is not a plain PNG"
    TEXT = "A text is too long or holds characters that are not plain"
    PERSON = "A person at the station looks at outputs of this kind"
    LABELS = "A person at the station looks at labels that the train does not declare"
    NEGATIVE = "A person at the station looks at totals for which dominance is not defined"


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what was found about one output.

    Args:
        output: The output's name.
        kind: Its declared kind; None if undeclared.
        verdict: pass, suppressed (cells left out), person (must look), refused.
        rule: The rule that decided, as a short identifier for the output checker.
        reason: The sentence that may leave.
        evidence: Numbers behind the verdict; they stay at the station.
    """

    output: str
    kind: Kind | None
    verdict: Verdict
    rule: str
    reason: SafeReason
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def safe_reason(self) -> str:
        """The sentence that may leave."""
        return str(self.reason)


@dataclass(frozen=True, slots=True)
class Findings:
    """Hold what was found about all outputs of one release.

    Args:
        findings: One or more per output; a general one has the output name "".
        payload: What may leave once released, suppressed cells null; empty if anything is refused.
        released_values: Free numbers in the payload, to be added to the journey's account.
    """

    findings: tuple[Finding, ...]
    payload: Mapping[str, Any]
    released_values: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all; nothing found is a refusal."""
        return max((f.verdict for f in self.findings), key=_ORDER.index, default="refused")

    @property
    def reasons(self) -> tuple[SafeReason, ...]:
        """The distinct reasons behind the overall verdict, in a fixed order."""
        worst = {f.reason for f in self.findings if f.verdict == self.verdict}
        return tuple(reason for reason in SafeReason if reason in worst)

    @property
    def safe_reason(self) -> str:
        """The sentence that may leave: the first of the reasons, in a fixed order."""
        return str(next(iter(self.reasons), SafeReason.FORM))


class RefusedOutput(Exception):
    """Carry a refusal from a check to the finding; never leaves this room."""

    def __init__(self, rule: str, reason: SafeReason, **evidence: Any) -> None:
        super().__init__(rule)
        self.rule = rule
        self.reason = reason
        self.evidence = evidence
