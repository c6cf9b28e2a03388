"""``branchline verify``: check a result offline, by a numbered recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.foundation.errors import Corrupt

if TYPE_CHECKING:
    from branchline.journey.verify import Report, StepReport

_MARKS = {"passed": "✓", "failed": "✗", "not-reached": "·"}


@verb(None, "verify", "branchline verify ~/.branchline/results/journey-…")
@click.argument("result", type=click.Path(path_type=Path, exists=True))
@click.option("--log-vkey", help="The ledger's key as you know it from elsewhere.")
def verify(result: Path, log_vkey: str | None) -> Answer:
    """Check a result, a folder or a crate, step by step.

    Works offline. Checks that it came from this code and environment, these dataset versions,
    under this study and with these decisions. Exits with 6 when a step fails.
    """
    from branchline.journey.verify import verify_result

    if result.is_file():
        return _crate(result, log_vkey)
    with working("verifying"):
        report = verify_result(result, log_vkey=log_vkey)
    code = 0 if report.verified else Corrupt.exit_code
    return Answer(report.as_json(), _text(report), code)


def _crate(file: Path, log_vkey: str | None) -> Answer:
    from branchline.workbench.crate.export import verify_crate

    with working("verifying"):
        signed, report = verify_crate(file.read_bytes(), log_vkey)
    code = 0 if report.verified else Corrupt.exit_code
    whole = f"The crate is whole, and signed by key {signed.keys.id}."
    plain = report.as_json() | {"crate": {"signed_by": signed.keys.id}}
    return Answer(plain, lines(whole, _text(report)), code)


def _text(report: Report) -> str:
    steps = [_step(step) for step in report.steps]
    passed = len(steps) - sum(step.outcome.value != "passed" for step in report.steps)
    if report.verified:
        verdict = f"Verified: all {passed} steps hold."
    else:
        verdict = f"Not verified: {passed} of {len(steps)} steps hold. Do not rely on this result."
    return lines(report.journey, *steps, verdict)


def _step(step: StepReport) -> str:
    line = f"{_MARKS[step.outcome.value]} {step.number:>2}. {step.says}"
    return f"{line}\n      {step.reason}" if step.reason else line
