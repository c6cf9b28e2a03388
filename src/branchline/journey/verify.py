"""Verify a result offline: a numbered recipe from the ledger's key to the result's bytes.

What is trusted: the ledger's key, given or pinned in the study; and the study's document, which the
requester's own copy of the request names by digest. Everything else has to follow from these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.journey import verify_course as course
from branchline.journey import verify_frame as frame
from branchline.journey.messages import Evidence
from branchline.journey.request import JourneyRequest
from branchline.journey.verify_case import Case, Detail

RESULT, EVIDENCE, REQUEST, TRAIN = "result.arrow", "evidence.json", "request.json", "train.tar"
"""The files of a result's folder: the payload, and what proves it."""

MAX_EVIDENCE = 1 << 28
"""The most bytes of evidence that are read."""


@dataclass(frozen=True)
class Step:
    """One step of the recipe.

    Args:
        name: A word for programs.
        says: What holds when the step passes, in one sentence.
        check: Returns what was found, or raises a BranchlineError that says what does not hold.
        needs: The steps without which this one has nothing to stand on.
    """

    name: str
    says: str
    check: Callable[[Case], Detail]
    needs: tuple[str, ...] = ()


RECIPE: Sequence[Step] = (
    Step(
        "checkpoint",
        "The ledger's checkpoint is signed by the trusted key, which the study pins, and cosigned "
        "by as many witnesses as the study asks for.",
        frame.checkpoint,
    ),
    Step(
        "ledger",
        "Every entry is in the ledger, once, by a receipt at that one checkpoint.",
        frame.ledger,
        ("checkpoint",),
    ),
    Step(
        "signatures",
        "Every entry is whole, but for what its signer erased, about this study or journey, and signed by a key the study pins.",
        frame.signatures,
        ("ledger",),
    ),
    Step(
        "study",
        "The study was proposed, approved by another person, and active when asked.",
        frame.study,
        ("signatures",),
    ),
    Step(
        "request",
        "The request is the requester's, unchanged, and passed every gate of the study.",
        frame.request,
        ("study",),
    ),
    Step(
        "code",
        "The train is the one requested, signed by somebody whose role may sign trains.",
        frame.code,
        ("study",),
    ),
    Step(
        "environment",
        "Every contributing station ran in the environment that the train names, as the study allows.",
        course.environment,
        ("signatures", "code"),
    ),
    Step(
        "datasets",
        "Every contributing station ran on the dataset requested, while its site approved.",
        course.datasets,
        ("study", "request"),
    ),
    Step(
        "decisions",
        "The journey's acts are by whom they are for and lead to its end: none lacks or is forged.",
        course.decisions,
        ("request",),
    ),
    Step(
        "inputs",
        "What was combined is what stations released in that round, and nothing once they were out.",
        course.inputs,
        ("signatures",),
    ),
    Step(
        "chain",
        "Each round, or station of a sequence, goes on from the one before, up to the result.",
        course.chain,
        ("signatures",),
    ),
    Step(
        "result",
        "The result's bytes are those that the journey's last act names.",
        course.result,
        ("signatures",),
    ),
    Step(
        "completeness",
        "Of no stop that was let in an entry is kept back: their numbers have no gap.",
        course.completeness,
        ("signatures",),
    ),
    Step(
        "order",
        "In the ledger, causes stand before their effects.",
        course.order,
        ("signatures",),
    ),
)
"""The steps, in order."""


class Outcome(StrEnum):
    """How a step went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not-reached"


class StepReport(msgspec.Struct, frozen=True):
    """What came of one step.

    Args:
        number: Counted from 1.
        name: A word for programs.
        says: What holds when the step passes, in one sentence.
        outcome: How it went.
        reason: Why it did not pass; empty if it did.
        found: What it found, as plain JSON values; empty unless it passed.
    """

    number: int
    name: str
    says: str
    outcome: Outcome
    reason: str = ""
    found: dict[str, Any] = {}


class Report(msgspec.Struct, frozen=True):
    """What came of a verification.

    Args:
        journey: The journey's identifier.
        steps: Every step, in order.
    """

    journey: str
    steps: tuple[StepReport, ...]

    @property
    def verified(self) -> bool:
        """Whether every step passed."""
        return all(step.outcome is Outcome.PASSED for step in self.steps)

    @property
    def failed(self) -> tuple[StepReport, ...]:
        """The steps that failed; those not reached are not among them."""
        return tuple(step for step in self.steps if step.outcome is Outcome.FAILED)

    def step(self, name: str) -> StepReport:
        """Return what came of a step by its name."""
        return next(step for step in self.steps if step.name == name)

    def require(self) -> None:
        """Refuse a result that is not verified.

        Raises:
            Corrupt: Naming the first step that failed.
        """
        if not self.verified:
            first = self.failed[0]
            raise Corrupt(
                f"The result is not verified; step {first.number} ({first.name}) fails: "
                f"{first.reason}",
                advice="Do not rely on it; ask the central operator for the evidence again",
                detail=self.as_json(),
            )

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {"verified": self.verified, **plain, "steps": list(plain["steps"])}


def verify_evidence(
    evidence: Evidence,
    request: JourneyRequest,
    bundle: bytes,
    payload: bytes,
    log_vkey: str | None = None,
) -> Report:
    """Go through every step of the recipe; pure, offline, and never raising for what it finds.

    Args:
        evidence: What central gathered, not trusted.
        request: The requester's own copy of the request.
        bundle: The train's bytes.
        payload: The result's bytes, as opened.
        log_vkey: The ledger's key from a source that is trusted; None to take the study's.
    """
    case = Case(evidence, request, bundle, payload, log_vkey)
    reports: list[StepReport] = []
    passed: set[str] = set()
    for number, step in enumerate(RECIPE, 1):
        report = _take(step, number, case, passed)
        if report.outcome is Outcome.PASSED:
            passed.add(step.name)
        reports.append(report)
    return Report(request.journey, tuple(reports))


def _take(step: Step, number: int, case: Case, passed: set[str]) -> StepReport:
    missing = [name for name in step.needs if name not in passed]
    if missing:
        reason = f"Needs the step {missing[0]!r}, which did not pass"
        return StepReport(number, step.name, step.says, Outcome.NOT_REACHED, reason)
    try:
        found = step.check(case)
    except BranchlineError as error:
        return StepReport(number, step.name, step.says, Outcome.FAILED, error.refused)
    return StepReport(number, step.name, step.says, Outcome.PASSED, found=found)


def verify_result(folder: Path, *, log_vkey: str | None = None) -> Report:
    """Verify a result from its folder alone.

    Args:
        folder: Holds ``result.arrow``, ``evidence.json``, ``request.json`` and ``train.tar``.
        log_vkey: The ledger's key from a source that is trusted; None to take the study's.

    Raises:
        Refused: A file is missing or not of its form, so that there is nothing to verify.
    """
    return verify_evidence(
        parse_json(_read(folder, EVIDENCE), Evidence, what=EVIDENCE, limit=MAX_EVIDENCE),
        parse_json(_read(folder, REQUEST), JourneyRequest, what=REQUEST),
        _read(folder, TRAIN),
        _read(folder, RESULT),
        log_vkey,
    )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise Refused(
            f"The folder {folder.resolve().name!r} holds no {name}",
            advice="Give the folder that 'branchline result' wrote",
        ) from error
