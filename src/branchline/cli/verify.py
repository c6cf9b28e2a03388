"""``branchline verify``: check a result offline, by a numbered recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.project.judged import judged_export
from branchline.cli.project.log import verified_project
from branchline.cli.project.places import opened
from branchline.cli.trains import origin_as_text
from branchline.foundation.errors import Corrupt
from branchline.project.finding import FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from branchline.journey.verify import Report, StepReport
    from branchline.project.data.tracing import Traced
    from branchline.train.bundle import OpenBundle
    from branchline.train.origin import Origin

_MARKS = {"passed": "✓", "failed": "✗", "not-reached": "·"}


@verb(
    None,
    "verify",
    "branchline verify ~/.branchline/results/journey-…\nbranchline verify wear.zip\n"
    "branchline verify .",
)
@click.argument("result", type=click.Path(path_type=Path, exists=True))
@click.option("--log-vkey", help="The ledger's key as you know it from elsewhere.")
@click.option(
    "--project",
    type=click.Path(path_type=Path, exists=True),
    help="Hold the train against the project that it was packed in, or an export of it, "
    "down to who wrote its code.",
)
def verify(result: Path, log_vkey: str | None, project: Path | None) -> Answer:
    """Check a result, a folder or a crate, step by step; or a project or its export.

    Works offline. Checks that it came from this code and environment, these dataset versions,
    under this study and with these decisions. Of an export: its history, every record, every
    content, and what its crate says; of a project's folder: every record. Exits with 6 when a
    step fails.
    """
    from branchline.journey.verify import verify_result
    from branchline.project.carrying.reading import is_export
    from branchline.workbench.results import train_of

    if result.is_file():
        if project is not None:
            raise click.UsageError("--project needs the result as a folder")
        if is_export(result):
            return judged_export(result)
        return _crate(result, log_vkey)
    if project is None and (result / FILE).is_file():
        with working("verifying"):
            return verified_project(opened(result))
    with working("verifying") as progress:
        report = verify_result(result, log_vkey=log_vkey)
        train = train_of(result) if report.verified else None
        traced = None
        if project is not None and train is not None:
            progress("holding the train against the project")
            traced = _traced(train, project, progress)
    good = report.verified and (traced is None or traced.good)
    origin = train.manifest.origin if train is not None else None
    data = report.as_json() | _origin_as_json(origin, traced)
    text = lines(_text(report), *origin_as_text(origin), _traced_text(traced))
    return Answer(data, text, 0 if good else Corrupt.exit_code)


def _traced(train: OpenBundle, project: Path, progress: Callable[[str], None]) -> Traced:
    from branchline.project.carrying.judging import judged
    from branchline.project.data.tracing import Step, Traced, trace
    from branchline.project.place import Project

    if project.is_dir():
        return trace(Project.open(project), train)
    with judged(project, progress) as (found, held):
        steps = tuple(Step(each.says, "\n      ".join(each.problems)) for each in found.judgements)
        if held is None or not found.good:
            return Traced(steps, ())
        traced = trace(held, train)
        return Traced((*steps, *traced.steps), traced.written)


def _origin_as_json(origin: Origin | None, traced: Traced | None) -> dict[str, Any]:
    if origin is None:
        return {}
    import msgspec

    found: dict[str, Any] = {"origin": msgspec.to_builtins(origin)}
    if traced is not None:
        steps = [{"says": step.says, "problem": step.problem} for step in traced.steps]
        written = [vars(each) for each in traced.written]
        found["project"] = {"verified": traced.good, "steps": steps, "written": written}
    return found


def _traced_text(traced: Traced | None) -> str:
    if traced is None:
        return ""
    steps = [
        f"{_MARKS['failed' if step.problem else 'passed']}     {step.says}"
        + (f"\n      {step.problem}" if step.problem else "")
        for step in traced.steps
    ]
    written = [
        f"  {each.path}  {each.how} {each.record[7:19]} by {each.by}, {each.at[:19]}: "
        f"{each.place or each.message}"
        for each in traced.written
    ]
    return lines(*steps, "Written last by:" if written else "", *written)


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
