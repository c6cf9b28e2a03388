"""Run a recorded command again, in a scratch copy of what it ran on, and compare what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from branchline.environment.image.store import Store
from branchline.foundation.digest import digest_of_file, parse_digest
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import read_all
from branchline.project.activity.files import Recorder, find_record, value_of
from branchline.project.activity.record import Detail, Signed
from branchline.project.activity.where import commit_of
from branchline.project.git.intake import Progress
from branchline.project.place import Project, check_inside
from branchline.project.runs.compare import TOLERANCE, Verdict, compare
from branchline.project.runs.datalad import read_datalad_run
from branchline.project.runs.places import Place, Shown
from branchline.project.runs.process import Ended
from branchline.project.runs.scratch import contents_of, scratch_copy
from branchline.project.saving import commit_only

_COMPARED_AT_MOST = 256 << 20
"""From this many bytes on, two files are compared by digest alone."""


@dataclass(frozen=True)
class Job:
    """A command that was recorded, ours or DataLad's.

    Args:
        name: The record's digest, or the commit of DataLad's.
        at: When it ran; empty where only the commit knows.
        words: The command.
        folder: Its folder, from the project's root.
        before: The commit it ran on.
        after: The commit with what it wrote.
        inputs: Paths that it read, as far as they were declared.
        outputs: Paths that it wrote.
        declared: Paths whose folders were there when it began, since it was to write them.
        code: Its exit code.
        seed: What its random numbers began from.
        place: What it ran in, as recorded.
        title: One line for people.
        record: Ours; None for DataLad's.
    """

    name: str
    words: Sequence[str]
    before: str
    after: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    code: int
    seed: int
    place: dict[str, Any]
    title: str
    declared: Sequence[str] = ()
    folder: str = "."
    at: str = ""
    record: Signed | None = None


@dataclass(frozen=True)
class Repeated:
    """What a repetition found.

    Args:
        job: What was repeated.
        ended: How it ended this time; None where it could not be run.
        verdicts: One for each output.
        problem: Why it could not be run; empty otherwise.
        record: What was put on record.
        notes: Sentences a person should read.
    """

    job: Job
    ended: Ended | None
    verdicts: Sequence[Verdict]
    problem: str = ""
    record: Signed | None = None
    notes: Sequence[str] = ()

    @property
    def verdict(self) -> str:
        """The worst of all verdicts: identical, equal, different, or failed where it did not run."""
        if self.ended is None:
            return "failed"
        if self.ended.code != self.job.code or not all(each.good for each in self.verdicts):
            return "different"
        return "equal" if any(each.verdict == "equal" for each in self.verdicts) else "identical"


def jobs(project: Project) -> list[Job]:
    """Return every recorded command, in the order they were run: ours, after DataLad's."""
    ours = [s for s in read_all(project) if s.record.action in ("run", "fail", "interrupt")]
    return _datalad_jobs(project) + [
        job_of(project, signed) for signed in ours if signed.record.type == "execution"
    ]


def find_job(project: Project, which: str) -> Job:
    """Return the command that a person means: by a record's name, or the commit of DataLad's.

    Raises:
        NotFound: None is meant.
        Refused: The record is of something else than a command.
    """
    try:
        _, signed = find_record(project, which)
    except NotFound:
        for job in _datalad_jobs(project):
            if job.name.startswith(which.lower()):
                return job
        raise
    return job_of(project, signed)


def job_of(project: Project, signed: Signed) -> Job:
    """Return the command that a record tells of.

    Raises:
        Refused: It tells of something else.
        NotFound: No commit has it.
    """
    record = signed.record
    command, code = record.detail("command"), record.detail("code")
    if record.type != "execution" or record.action == "re-run" or not command or not code:
        raise Refused(
            f"The record {signed.digest[7:19]} is of no command that ran",
            advice="See 'branchline log --type execution'",
        )
    after = commit_of(project, signed)
    inputs = value_of(project, record, "inputs") or {}
    outputs = value_of(project, record, "outputs") or {}
    return Job(
        name=signed.digest,
        words=command["words"],
        before=code["commit"],
        after=after,
        inputs=inputs.get("declared", []),
        outputs=[each["path"] for each in outputs.get("files", [])],
        declared=outputs.get("declared", []),
        code=command["exit"],
        seed=record.detail("seed") or 0,
        place=record.detail("environment") or {},
        title=record.message,
        at=record.at,
        record=signed,
    )


def _datalad_jobs(project: Project) -> list[Job]:
    git = project.git
    words = ("log", "--all", "--reverse", "--format=%H%x01%P%x01%B%x02", "--fixed-strings")
    printed = git.run(*words, "--grep=[DATALAD RUNCMD]").decode(errors="replace")
    found = []
    for part in printed.split("\x02"):
        commit, _, rest = part.strip("\n").partition("\x01")
        parents, _, message = rest.partition("\x01")
        run = read_datalad_run(message)
        if run is None or len(parents.split()) != 1:
            continue
        tree = ("diff-tree", "-r", "-z", "--name-only", "--no-commit-id", "--diff-filter=AMT")
        found.append(
            Job(
                name=commit,
                words=run.words(),
                before=parents,
                after=commit,
                inputs=(),
                outputs=git.lines(*tree, "--no-renames", commit),
                code=run.exit or 0,
                seed=0,
                place={},
                title=run.title,
                folder=run.pwd,
            )
        )
    return found


def rerun(
    project: Project,
    identity: Identity,
    job: Job,
    store: Store,
    progress: Progress,
    *,
    tolerance: float = TOLERANCE,
    shown: Shown = (None, None),
) -> Repeated:
    """Run a recorded command again in a scratch copy, compare what comes out, and record the verdict.

    Nothing in the project is changed but for the new record. What it ran in is what is recorded: the
    same image, or this machine, which is then said.

    Args:
        project: The project; not held by its lock.
        identity: Whose keys sign the record.
        job: What is to be repeated.
        store: Where images are.
        progress: Told what is done.
        tolerance: How far two numbers may differ, relative to the larger.
        shown: Where what the command prints is passed on to.
    """
    try:
        progress(f"laying out {job.before[:12]}")
        with scratch_copy(project, job.before, job.inputs) as work:
            for path in job.declared:
                make_folder(check_inside(work, path).parent, 0o755)
            place, notes = _place(job, store)
            progress(f"running {job.title}")
            ended = place.run(job.words, _folder(work, job.folder), job.seed, shown)
            progress("comparing")
            verdicts = _verdicts(project, job, work, tolerance)
            repeated = Repeated(job, ended, verdicts, notes=notes)
    except BranchlineError as error:
        repeated = Repeated(job, None, (), str(error))
        place = Place(None)
    with project.working() as held:
        signed = _record(held, identity, repeated, place, tolerance)
    return Repeated(
        job, repeated.ended, repeated.verdicts, repeated.problem, signed, repeated.notes
    )


def _place(job: Job, store: Store) -> tuple[Place, list[str]]:
    if "image" in job.place:
        return Place(parse_digest(job.place["image"]), store, bool(job.place.get("network"))), []
    place = Place(None)
    here, then = place.as_json()["host"], job.place.get("host")
    if then not in (None, here):
        return place, [f"It ran on {then}; this is {here}"]
    return place, []


def _folder(work: Path, folder: str) -> Path:
    found = (work / folder).resolve()
    if not found.is_relative_to(work.resolve()) or not found.is_dir():
        raise Refused(f"The command's folder {folder!r} is not in the project")
    return found


def _verdicts(project: Project, job: Job, work: Path, tolerance: float) -> list[Verdict]:
    before = contents_of(project, job.after, job.outputs)
    verdicts = []
    for path in job.outputs:
        file = work / path
        # A link could lead anywhere by now; it is not what was written before.
        there = file.is_file() and not file.is_symlink() and _within(file, work)
        if path not in before:
            if there:
                verdicts.append(Verdict(path, "extra", "it was removed by the first run"))
        elif not there:
            verdicts.append(Verdict(path, "missing", "it was not written this time"))
        else:
            verdicts.append(_compared(path, before[path], file, tolerance))
    return verdicts


def _within(file: Path, work: Path) -> bool:
    return file.resolve().is_relative_to(work.resolve())


def _compared(path: str, before: bytes | Path | None, file: Path, tolerance: float) -> Verdict:
    if before is None:
        return Verdict(path, "different", "its first content is not in this clone to compare with")
    if isinstance(before, Path):
        sizes = (before.stat().st_size, file.stat().st_size)
        if sizes[0] == sizes[1] and digest_of_file(before) == digest_of_file(file):
            return Verdict(path, "identical")
        if max(sizes) > _COMPARED_AT_MOST:
            return Verdict(path, "different", "too large to say where")
        before = before.read_bytes()
    if file.stat().st_size > _COMPARED_AT_MOST:
        return Verdict(path, "different", "too large to say where")
    return compare(path, before, file.read_bytes(), tolerance)


def _record(
    project: Project, identity: Identity, repeated: Repeated, place: Place, tolerance: float
) -> Signed:
    job, ended = repeated.job, repeated.ended
    recorder = Recorder(project, identity)
    found = {
        "verdict": repeated.verdict,
        "of": job.name,
        "tolerance": tolerance,
        "files": [each.as_json() for each in repeated.verdicts],
        "problem": repeated.problem,
        "exit": None if ended is None else ended.code,
        "exit_before": job.code,
    }
    details = [
        Detail(
            "command", {"words": list(job.words), "exit": None if ended is None else ended.code}
        ),
        recorder.keep_json("comparison", found),
        Detail("seed", job.seed),
        Detail("environment", place.as_json()),
    ]
    if ended is not None:
        details += [
            Detail("resources", dict(ended.resources)),
            Detail("metadata", {"began": ended.began, "ended": ended.ended}),
            recorder.keep("stdout", ended.stdout, "text/plain"),
            recorder.keep("stderr", ended.stderr, "text/plain"),
        ]
    record = {
        "type": "execution",
        "action": "re-run",
        "outcome": "failed" if ended is None else "done",
        "message": f"Ran again, {repeated.verdict}: {job.title}"[:1000],
        "commit": project.git.head(),
        "branch": project.git.branch(),
        "about": job.record.digest if job.record else None,
    }
    signed, paths = recorder.write(record, *details)
    commit_only(project, paths, signed.record.message)
    return signed
