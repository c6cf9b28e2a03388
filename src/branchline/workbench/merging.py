"""Hold what a merge would make against its required checks, before anything of the project changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from branchline.checks.expectations import Check, Checks, DataCheck, ModelCheck, read_checks
from branchline.checks.results import Finding, Result, inputs_for, require_met, unmet
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import Conflict
from branchline.foundation.keys import Identity
from branchline.project.data.contents import absent
from branchline.project.data.lists import Item
from branchline.project.data.state import state_at
from branchline.project.git.intake import Progress
from branchline.project.names import shown
from branchline.project.place import Project, check_inside
from branchline.project.runs.places import Place
from branchline.project.runs.run import any_seed
from branchline.project.runs.scratch import scratch_copy
from branchline.workbench.checking import (
    baseline,
    check_data,
    measured,
    put_on_record,
    result_of,
    results_of,
)


@dataclass
class MergeJudge:
    """Runs the required checks that the merged files have not been through; see `merge.Judge`.

    Args:
        project: The project, held by its lock.
        name: What is merged, as people call it.
        progress: Told what is checked.
        place: Tells in what the commands of a folder run, by which models are measured; None to run
            none. Nothing runs what others wrote without being asked to.
        results: What came of the checks that were run.
        syncing: Whether the merge is part of a sync: then people are told how that goes on.
        missing: Files whose content a check needs, and this clone does not have.
    """

    project: Project
    name: str
    progress: Progress
    place: Callable[[Path], Place] | None = None
    results: list[Result] = field(default_factory=list)
    syncing: bool = False
    missing: list[str] = field(default_factory=list)

    def __call__(self, commit: str) -> None:
        """Refuse a merge whose result does not meet a required check.

        Raises:
            Conflict: At least one is not met; the sentence names it with its reason.
        """
        state = state_at(self.project.git, commit)
        if not state.checks:
            return
        checks, known = read_checks(state.checks), results_of(state)
        inputs = inputs_for(checks, state.contents, state.lists)
        for name, check in checks.every.items():
            if check.required and unmet(_alone(check), inputs, known):
                self._run(check, commit, inputs[name])
        found = [*known, *self.results]
        try:
            require_met(checks, state.contents, state.lists, found, f"merging {self.name}")
        except Conflict as error:
            advice = self._advice(commit)
            raise Conflict(error.refused, advice=advice, detail=error.detail) from error

    def _advice(self, commit: str) -> str:
        said = (
            "Nothing was merged or sent, and nothing is lost. Put it right here, or ask them to, and "
            "sync again; models are measured with --check"
            if self.syncing
            else "See 'branchline checks show', and run 'branchline checks run'"
        )
        if not self.missing:
            return said
        theirs = self.project.git.word("rev-parse", f"{commit}^2")[:12]
        return (
            f"{said}. The content of {shown(self.missing[0])} is not here to be checked; "
            f"'git annex get --branch={theirs}' brings it"
        )

    def put_on_record(self, identity: Identity) -> None:
        """Put what came of the checks on record, whether they stood in the way or not."""
        while self.results:
            put_on_record(self.project, identity, self.results.pop(0), None)

    def _run(self, check: Check, commit: str, inputs: Mapping[str, str]) -> None:
        if isinstance(check, DataCheck):
            items = [Item(path, content) for path, content in inputs.items()]
            # What is not in this clone cannot be looked at: that it was not, is said.
            missing = absent(self.project, items)
            self.missing += missing
            if not check.table and not missing:
                self.results.append(check_data(self.project, check, inputs, self.progress))
        elif self.place is not None:
            self.results.append(self._measure(check, commit, inputs, self.place))

    def _measure(
        self,
        check: ModelCheck,
        commit: str,
        inputs: Mapping[str, str],
        place: Callable[[Path], Place],
    ) -> Result:
        before = baseline(self.project, check.name)
        self.progress(f"checking {check.name}")
        with scratch_copy(self.project, commit, ()) as work:
            file = check_inside(work, check.metrics)
            make_folder(file.parent, 0o755)
            file.unlink(missing_ok=True)
            ended = place(work).run(check.command, work, any_seed())
            if ended.code == 0 and file.is_file() and not file.is_symlink():
                metrics, findings = measured(check, work, before)
                return result_of(check, inputs, findings, metrics, before)
        word = f"exit code {ended.code}" if ended.code else f"no {check.metrics}"
        failed = Finding("command", check.name, f"The command failed: {word}")
        return result_of(check, inputs, [failed], {}, before)


@contextmanager
def judging(
    project: Project,
    name: str,
    identity: Identity,
    progress: Progress,
    place: Callable[[Path], Place] | None = None,
    *,
    syncing: bool = False,
) -> Iterator[MergeJudge]:
    """Give who holds a merge against its required checks; what he found goes on record.

    Args:
        project: The project, held by its lock.
        name: What is merged, as people call it.
        identity: Whose keys sign.
        progress: Told what is checked.
        place: See `MergeJudge`.
        syncing: See `MergeJudge`.
    """
    judge = MergeJudge(project, name, progress, place, syncing=syncing)
    try:
        yield judge
    finally:
        judge.put_on_record(identity)


def _alone(check: Check) -> Checks:
    if isinstance(check, DataCheck):
        return Checks(data={check.name: check})
    return Checks(model={check.name: check})
