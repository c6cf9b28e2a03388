"""Run a project's checks, put what came of them on record, and say what is not met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.checks.expectations import (
    FILE,
    Check,
    Checks,
    DataCheck,
    ModelCheck,
    needs_of,
    read_checks,
)
from branchline.checks.metrics import check_metrics, read_metrics
from branchline.checks.results import (
    Finding,
    Result,
    condensed,
    inputs_for,
    read_result,
    require_met,
    unmet,
)
from branchline.checks.tables import check_table
from branchline.foundation.errors import BranchlineError, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import newest
from branchline.project.activity.files import Recorder, value_of
from branchline.project.activity.record import Detail, Signed
from branchline.project.data.contents import absent, laid_out
from branchline.project.data.lists import Item
from branchline.project.data.state import State, state_at
from branchline.project.git.command import Git
from branchline.project.git.intake import Progress
from branchline.project.place import Project
from branchline.project.runs.places import Place, Shown
from branchline.project.runs.run import Order, any_seed
from branchline.project.runs.run import run as run_command
from branchline.project.saving import commit_only, save
from branchline.train.bundle import Bundle, open_bundle

_MOST_FINDINGS = 200


@dataclass(frozen=True)
class Standing:
    """Where the checks of a project stand.

    Args:
        checks: What is expected.
        results: The latest result of each check that has one, by name.
        unmet: What is said of each required check that is not met.
    """

    checks: Checks
    results: dict[str, Result]
    unmet: list[str]


def require_checks(git: Git, commit: str, what: str) -> None:
    """Refuse something while a required check of a commit is not met.

    Args:
        git: The repository's git.
        commit: The commit, with the records of checks that were run.
        what: What is refused: ``packing``, ``merging``.

    Raises:
        Conflict: At least one is not; the sentence names each with its reason.
    """
    state = state_at(git, commit)
    if state.checks:
        require_met(read_checks(state.checks), state.contents, state.lists, results_of(state), what)


def require_train_checks(bundle: Bundle) -> None:
    """Refuse a train whose own checks no station would judge.

    Raises:
        FormRefused: They are not acceptable, or ask for what only rows can tell.
    """
    text = open_bundle(bundle.data).files.get(FILE)
    if text is not None:
        needs_of(read_checks(text))


def standing(project: Project) -> Standing:
    """Return where the checks of what is saved stand.

    Raises:
        NotFound: There is no ``checks.toml``, or nothing is saved.
    """
    head = project.git.head()
    state = state_at(project.git, head) if head else State(b"", {}, {}, ())
    if not state.checks:
        raise NotFound(f"The project has no {FILE} yet", advice="Write one, and save it")
    checks = read_checks(state.checks)
    results = results_of(state)
    inputs = inputs_for(checks, state.contents, state.lists)
    return Standing(checks, {each.check: each for each in results}, unmet(checks, inputs, results))


def results_of(state: State) -> list[Result]:
    """Return what records say of checks, oldest first."""
    return [read_result(each) for each in state.results]


def run_checks(
    root: Path,
    identity: Identity,
    place: Place,
    progress: Progress,
    *,
    names: Sequence[str] = (),
    when: str = "",
    shown: Shown = (None, None),
) -> list[tuple[Result, Signed]]:
    """Save, run checks, and put each result on record, passed or failed.

    Args:
        root: The project's folder.
        identity: Whose keys sign.
        place: In what commands run.
        progress: Told what is done.
        names: Which; all by default.
        when: Only those that say they are run then: ``save``, ``sync``. Commands are passed over: a
            project from elsewhere would have its own programs run. So is what has contents that are
            not in this clone: somebody else's clone can run it.
        shown: Where what commands print is passed on to.

    Raises:
        NotFound: There is no such check; or a content that has to be read is not in this clone.
        Refused: ``checks.toml`` is not acceptable.
    """
    with Project.open(root).working() as project:
        save(project, identity, progress, message="As it was before checks were run")
        checks = standing(project).checks
    unknown = [name for name in names if name not in checks.every]
    if unknown:
        raise NotFound(
            f"There is no check {unknown[0][:80]!r}", advice="See 'branchline checks show'"
        )
    done = []
    for name, check in checks.every.items():
        if (names and name not in names) or (when and when not in check.on):
            continue
        if isinstance(check, DataCheck) and check.table:
            continue
        if when and (isinstance(check, ModelCheck) or _absent(root, check)):
            continue
        progress(f"checking {name}")
        done.append(_run_one(root, identity, place, check, progress, shown))
    return done


def _absent(root: Path, check: DataCheck) -> list[str]:
    project = Project.open(root)
    items = [Item(path, content) for path, content in _inputs(project, check).items()]
    return absent(project, items)


def _run_one(
    root: Path, identity: Identity, place: Place, check: Check, progress: Progress, shown: Shown
) -> tuple[Result, Signed]:
    if isinstance(check, DataCheck):
        with Project.open(root).working() as project:
            result = check_data(project, check, _inputs(project, check), progress)
            return result, put_on_record(project, identity, result, None)
    return _model(root, identity, place, check, progress, shown)


def check_data(
    project: Project, check: DataCheck, inputs: Mapping[str, str], progress: Progress
) -> Result:
    """Hold tables of a project against what is expected of them.

    Args:
        project: The project.
        check: What is expected.
        inputs: The name of each table's content, by path.
        progress: Told what is looked at.

    Raises:
        NotFound: A content is not in this clone.
    """
    items = [Item(path, content) for path, content in sorted(inputs.items())]
    findings: list[Finding] = []
    if not items:
        said = f"No file is meant by {', '.join(check.files)}"
        findings.append(Finding("nothing-to-check", check.name, said))
    with laid_out(project, items) as files:
        for item in items:
            progress(f"checking {item.path}")
            coarse = project.rules.rule_for(item.path).closed
            findings += check_table(check, files[item.path], item.path, coarse=coarse)
    kept = tuple(findings[:_MOST_FINDINGS])
    return Result(check.name, check.digest, condensed(inputs), kept, check.required)


def _model(
    root: Path,
    identity: Identity,
    place: Place,
    check: ModelCheck,
    progress: Progress,
    shown: Shown,
) -> tuple[Result, Signed]:
    project = Project.open(root)
    order = Order(
        check.command, outputs=(check.metrics,), message=f"The check {check.name}",
        seed=any_seed(), lists=check.lists,
    )  # fmt: skip
    before = baseline(project, check.name)
    inputs = _inputs(project, check)
    ran = run_command(root, identity, order, place, progress, shown)
    findings: list[Finding] = []
    metrics: dict[str, float] = {}
    if ran.outcome != "done":
        word = f"exit code {ran.ended.code}" if ran.ended.code else f"no {check.metrics}"
        findings.append(Finding("command", check.name, f"The command {ran.outcome}: {word}"))
    else:
        metrics, findings = measured(check, root, before)
    result = result_of(check, inputs, findings, metrics, before)
    with Project.open(root).working() as held:
        return result, put_on_record(held, identity, result, ran.record)


def measured(
    check: ModelCheck, root: Path, before: Mapping[str, float] | None
) -> tuple[dict[str, float], list[Finding]]:
    """Read what a check's command measured, and hold it against what is expected.

    Args:
        check: What is expected.
        root: The folder it ran in.
        before: What was measured for the last milestone, if anything was.
    """
    try:
        metrics, cases = read_metrics((root / check.metrics).read_bytes(), check.metrics)
        return metrics, list(check_metrics(check, metrics, cases, before))
    except (Refused, OSError) as error:
        said = error.refused if isinstance(error, BranchlineError) else str(error.strerror)
        return {}, [Finding("command", check.name, said)]


def result_of(
    check: ModelCheck,
    inputs: Mapping[str, str],
    findings: Sequence[Finding],
    metrics: Mapping[str, float],
    before: Mapping[str, float] | None,
) -> Result:
    """Return what came of a model's check."""
    notes = ("No milestone has been measured yet: drift is not known",)
    return Result(
        check.name,
        check.digest,
        condensed(inputs),
        tuple(findings[:_MOST_FINDINGS]),
        check.required,
        dict(metrics),
        notes if check.drift and before is None else (),
    )


def baseline(project: Project, name: str) -> dict[str, float] | None:
    """Return what a check measured last, and passed, before the newest milestone; None if it did not."""
    released = False
    for signed in newest(project):
        record = signed.record
        released = released or (record.type == "milestone" and record.action == "create")
        if released and record.type == "check":
            result = read_result(value_of(project, record, "checks"))
            if result.check == name and result.passed:
                return dict(result.metrics)
    return None


def _inputs(project: Project, check: Check) -> dict[str, str]:
    state = state_at(project.git, project.git.head() or "")
    if isinstance(check, DataCheck):
        only = Checks(data={check.name: check})
    else:
        only = Checks(model={check.name: check})
    return inputs_for(only, state.contents, state.lists)[check.name]


def put_on_record(
    project: Project, identity: Identity, result: Result, about: Signed | None
) -> Signed:
    """Put what came of a check on record, and commit that alone."""
    said = "passed" if result.passed else f"failed: {result.findings[0].sentence}"
    record = {
        "type": "check",
        "action": "pass" if result.passed else "fail",
        "outcome": "done" if result.passed else "failed",
        "message": f"The check {result.check} {said}"[:1000],
        "commit": project.git.head(),
        "branch": project.git.branch(),
        "about": about.digest if about else None,
    }
    detail = Detail("checks", msgspec.to_builtins(result))
    signed, paths = Recorder(project, identity).write(record, detail)
    commit_only(project, paths, signed.record.message)
    return signed
