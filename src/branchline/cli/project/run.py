"""``branchline run`` and ``rerun``: commands on record, repeated and compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.environment.run import REST, Call
from branchline.cli.environment.stores import opened as opened_store
from branchline.cli.environment.stores import store_option
from branchline.cli.frame import Answer, lines, table, verb, wants_json, working
from branchline.cli.project.places import identity_of, opened, project_option, relative
from branchline.cli.researcher import HOME

if TYPE_CHECKING:
    from branchline.project.runs.places import Shown
    from branchline.project.runs.rerun import Repeated

_DIFFERENT = 1


@click.command(
    "run",
    cls=Call,
    example="branchline run --input data/wear.csv --output results -- python3 code/mean.py",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A path that it reads.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A path that it writes; what else it writes is recorded, too.",
)
@click.option(
    "--list",
    "used",
    multiple=True,
    metavar="NAME",
    help="A data list that it uses: training, test@2.",
)
@click.option("-m", "--message", default="", help="Why.")
@click.option(
    "--seed", type=click.IntRange(0, 2**53 - 1), help="BRANCHLINE_SEED for it; by default any."
)
@click.option("--host", is_flag=True, help="On this machine as it is, even if there is a lock.")
@click.option("--network", is_flag=True, help="Let it see this machine's network.")
@project_option
@store_option
@HOME
def run(
    inputs: tuple[Path, ...],
    outputs: tuple[Path, ...],
    used: tuple[str, ...],
    message: str,
    seed: int | None,
    host: bool,
    network: bool,
    where: Path,
    folder: Path | None,
    home: Path,
) -> Answer:
    """Run a command in the project's environment, save what it wrote, and put it on record.

    What follows -- is the command; it runs in the project's folder: in the image of branchline.lock
    if there is one, or else on this machine, which the record says. Failed commands are recorded
    just so. The exit code is the command's.
    """
    from branchline.project.runs.places import place_of
    from branchline.project.runs.run import Order, any_seed
    from branchline.project.runs.run import run as carry_out

    words: tuple[str, ...] = click.get_current_context().meta[REST]
    if not words:
        raise click.UsageError("Say after -- which command to run")
    project = opened(where)
    order = Order(
        words,
        relative(project, inputs),
        relative(project, outputs, new=True),
        message,
        any_seed() if seed is None else seed,
        used,
    )
    place = place_of(project.root, opened_store(folder), host=host, network=network)
    ran = carry_out(project.root, identity_of(home), order, place, lambda _: None, _shown())
    data = {
        "record": ran.record.digest,
        "outcome": ran.outcome,
        "exit": ran.ended.code,
        "seed": order.seed,
        "environment": place.as_json(),
        "resources": dict(ran.ended.resources),
        "outputs": [entry.as_json() for entry in ran.outputs],
        "missing": list(ran.missing),
        "commit": project.git.head(),
    }
    said = "" if place.image else "; on this machine as it is: not reproducible elsewhere"
    text = lines(
        f"Recorded as {ran.record.digest[7:19]}: {ran.outcome}, {len(ran.outputs)} outputs{said}",
        *(f"  {entry.path}" for entry in ran.outputs[:20]),
        f"Not written: {', '.join(ran.missing)}" if ran.missing else "",
    )
    # A command that went well but did not write what it should has not done its work.
    return Answer(data, text, ran.ended.code or (1 if ran.missing else 0))


def _shown() -> Shown:
    return (None, None) if wants_json() else (sys.stdout.buffer, sys.stderr.buffer)


@verb(
    None,
    "rerun",
    "branchline rerun 3fa9c1d2\nbranchline rerun --all --tolerance 1e-6",
)
@click.argument("which", default="", metavar="[RECORD]")
@click.option("--all", "every", is_flag=True, help="Every recorded command, one after another.")
@click.option("--list", "listed", is_flag=True, help="Show what can be run again; run nothing.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=1e-9,
    show_default=True,
    help="How far numbers in CSV, JSON, npy and Parquet may differ, relative to the larger.",
)
@project_option
@store_option
@HOME
def rerun(
    which: str,
    every: bool,
    listed: bool,
    tolerance: float,
    where: Path,
    folder: Path | None,
    home: Path,
) -> Answer:
    """Run a recorded command again in a scratch copy, and compare what comes out.

    RECORD is a record's name, or a commit with a run record of DataLad's. Nothing in the project
    changes but for one new record with the verdict: identical, equal within the tolerance, or
    different, with the file and the place. It exits with 1 unless everything came out again.
    """
    from branchline.project.runs.rerun import find_job, jobs
    from branchline.project.runs.rerun import rerun as repeat

    if [bool(which), every, listed].count(True) != 1:
        raise click.UsageError("Say which RECORD, or --all, or --list")
    project = opened(where)
    if listed:
        found = jobs(project)
        rows = [[j.name.removeprefix("sha256:")[:12], j.at[:19], j.title[:100]] for j in found]
        known = [{"name": j.name, "command": list(j.words), "title": j.title} for j in found]
        return Answer({"jobs": known}, table(["record", "at (UTC)", "command"], rows, "None yet"))
    chosen = jobs(project) if every else [find_job(project, which)]
    done = []
    with working("running again") as progress:
        for job in chosen:
            kept, identity = opened_store(folder), identity_of(home)
            done.append(repeat(project, identity, job, kept, progress, tolerance=tolerance))
    good = all(each.verdict in ("identical", "equal") for each in done)
    data = {"reproduced": good, "reruns": [_as_json(each) for each in done]}
    text = "\n".join(_text(each) for each in done) or "There is nothing to run again"
    return Answer(data, text, 0 if good else _DIFFERENT)


def _as_json(repeated: Repeated) -> dict[str, Any]:
    return {
        "of": repeated.job.name,
        "verdict": repeated.verdict,
        "problem": repeated.problem,
        "notes": list(repeated.notes),
        "exit": None if repeated.ended is None else repeated.ended.code,
        "exit_before": repeated.job.code,
        "files": [each.as_json() for each in repeated.verdicts],
        "record": repeated.record.digest if repeated.record else None,
    }


def _text(repeated: Repeated) -> str:
    name = repeated.job.name.removeprefix("sha256:")[:12]
    codes = ""
    if repeated.ended is not None and repeated.ended.code != repeated.job.code:
        codes = f"  exit code {repeated.ended.code}, not {repeated.job.code}"
    files = [
        f"  {v.verdict:<10} {v.path}{': ' if v.where else ''}{v.where}" for v in repeated.verdicts
    ]
    notes = [f"  note       {note}" for note in repeated.notes]
    problem = f"  {repeated.problem}" if repeated.problem else ""
    return lines(
        f"{name} {repeated.verdict}: {repeated.job.title[:100]}", problem, codes, *files, *notes
    )
