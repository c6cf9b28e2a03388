"""Turn findings into a release decision: release, hold for a person, or withhold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from branchline.disclosure.findings import Finding, Findings, SafeReason
from branchline.disclosure.rules import Kind


class ReleasePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Say what a station releases without a person.

    auto_release: the kinds that leave by themselves once all checks pass.
    release_suppressed: tables with cells left out leave by themselves, too.
    """

    auto_release: frozenset[Kind] = frozenset({"counts", "statistics", "scalar", "parameters"})
    release_suppressed: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Say what happens to a payload.

    Args:
        action: release now, hold for a named person, or withhold.
        reason: The sentence the requester may see.
        outputs: The outputs a person must look at, or that caused the withholding.
    """

    action: Literal["release", "hold", "withhold"]
    reason: SafeReason
    outputs: tuple[str, ...] = ()


def decide(findings: Findings, policy: ReleasePolicy) -> Decision:
    """Decide as the policy says; what was refused is withheld whatever the policy says."""
    if findings.verdict == "refused":
        outputs = tuple(f.output for f in findings.findings if f.verdict == "refused")
        return Decision("withhold", SafeReason(findings.safe_reason), outputs)
    held = [f for f in findings.findings if _needs_person(f, policy)]
    if held:
        return Decision("hold", held[0].reason, tuple(dict.fromkeys(f.output for f in held)))
    return Decision("release", SafeReason(findings.safe_reason))


def person_may_release(findings: Findings) -> bool:
    """Tell whether a person can release: never what the checks refused."""
    return findings.verdict != "refused"


def _needs_person(finding: Finding, policy: ReleasePolicy) -> bool:
    if finding.verdict == "person" and finding.reason is not SafeReason.PERSON:
        return True
    if finding.verdict == "suppressed" and not policy.release_suppressed:
        return True
    return finding.kind is not None and finding.kind not in policy.auto_release
