"""``branchline train``: make, try, pack and send trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from branchline.cli.frame import Answer, lines, verb, wants_json, working
from branchline.cli.researcher import HOME, client, sending
from branchline.cli.trains import (
    environment_as_text,
    train_as_json,
    train_as_text,
    trial_answer,
)

FOLDER = click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER"
)


@click.group(no_args_is_help=True)
def train() -> None:
    """Make, try, pack and send trains."""


@verb(train, "new", "branchline train new my-train --route parallel")
@click.argument("name")
@click.option("--route", type=click.Choice(["parallel", "sequential"]), default="parallel")
@click.option("--kind", type=click.Choice(["functions", "command"]), default="functions")
@click.option("--output", type=click.Path(path_type=Path), help="By default a folder NAME.")
def new(
    name: str,
    route: Literal["parallel", "sequential"],
    kind: Literal["functions", "command"],
    output: Path | None,
) -> Answer:
    """Begin a train that works at once: the mean age over all sites.

    It is run with 'branchline train try NAME' and then changed into your own analysis.
    """
    from branchline.train.template import new_train, write_train

    folder = output or Path(name)
    texts = new_train(name, route=route, kind=kind)
    write_train(folder, texts)
    data = {"train": name, "folder": str(folder), "files": sorted(texts)}
    return Answer(data, f"{folder} holds {', '.join(sorted(texts))}; try it")


@verb(train, "check", "branchline train check ./my-train")
@FOLDER
def check(folder: Path) -> Answer:
    """Check a train's folder without running anything: its form, code files and bundle."""
    from branchline.train.bundle import pack as make
    from branchline.workbench.checking import require_train_checks

    bundle = make(folder)
    require_train_checks(bundle)
    return Answer(
        train_as_json(bundle, len(bundle.data)),
        lines(
            f"{folder} is a train: {bundle.manifest.name} {bundle.manifest.version}, "
            f"{len(bundle.data)} bytes, {bundle.digest}",
            *environment_as_text(bundle.environment),
        ),
    )


@verb(train, "try", "branchline train try ./my-train --stations 3 --rows 200 --seed 1")
@FOLDER
@click.option("--stations", default=3, show_default=True, help="How many to simulate.")
@click.option("--rows", default=200, show_default=True, help="Invented records at each.")
@click.option("--seed", default=1, show_default=True, help="Equal seeds, equal records.")
@click.option("--quorum", type=int, help="In place of the train's.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=JSON", help="Repeatable.")
@click.option("--parameters", "whole", metavar="JSON", help="All parameters as one JSON object.")
@click.option("--accept-weaker", multiple=True, metavar="NAME", help="A weaker limit to accept.")
def try_(
    folder: Path,
    stations: int,
    rows: int,
    seed: int,
    quorum: int | None,
    parameters: tuple[str, ...],
    whole: str | None,
    accept_weaker: tuple[str, ...],
) -> Answer:
    """Run a train over simulated stations with data invented from its contract.

    The very bundle that would travel runs in the very sandbox, and its outputs meet the very
    checks of a station. If it fails, you see the full trace: it is your own machine.
    """
    import asyncio

    from branchline.cli.depart import read_parameters
    from branchline.sandbox.bubblewrap import Bubblewrap
    from branchline.workbench.trial import TrialFailed, try_train

    given = read_parameters(parameters, whole)
    engine = Bubblewrap(accept_weaker=frozenset(accept_weaker))
    try:
        with working(f"trying {folder}") as progress:
            trial = asyncio.run(
                try_train(
                    folder,
                    engine,
                    stations=stations,
                    rows=rows,
                    seed=seed,
                    parameters=given,
                    quorum=quorum,
                    progress=progress,
                )
            )
    except TrialFailed as error:
        _show_trace(error.logs, error.trace)
        raise
    return trial_answer(trial)


@verb(train, "pack", "branchline train pack ./my-train --output my-train.tar")
@FOLDER
@click.option("--output", type=click.Path(path_type=Path), help="Write the bundle to a file.")
@click.option(
    "--list", "used", multiple=True, metavar="NAME", help="A data list it was made with: test@2."
)
@HOME
def pack(folder: Path, output: Path | None, used: tuple[str, ...], home: Path) -> Answer:
    """Make a train's bundle, name it by its digest, sign it, and keep it in your home.

    With --output the bundle is written to a file, too, and its signature beside it (.jws). In a
    project it names the commit, the last record of the activity, and the data lists; the folder has
    to be saved.
    """
    from branchline.foundation.durable import write_durably

    with client(home) as researcher:
        bundle = researcher.pack(folder, used)
        _, kept = researcher.home.train(bundle.digest)
    if output is not None:
        write_durably(output, bundle.data)
        write_durably(output.with_name(output.name + ".jws"), kept.author.encode())
    data: dict[str, Any] = {"train": bundle.digest, "bytes": len(bundle.data)}
    data |= {"name": bundle.manifest.name, "version": bundle.manifest.version}
    data |= {"file": str(output) if output is not None else None}
    return Answer(data, bundle.digest)


@verb(train, "send", "branchline train send ./my-train")
@FOLDER
@HOME
def send(folder: Path, home: Path) -> Answer:
    """Pack a train and bring the signed bundle to central; 'depart' does so by itself.

    The image that its lock names is brought along, unless central has it or it is not here.
    """
    with sending(home, "sending the train") as (researcher, progress):
        digest = researcher.send_train(folder, progress=progress)
    return Answer({"train": digest}, digest)


@verb(train, "show", "branchline train show ./my-train")
@click.argument("train", metavar="FOLDER|FILE|DIGEST")
@HOME
def show(train: str, home: Path) -> Answer:
    """Show what a train says of itself: what it reads, what it may put out, where it goes."""
    from branchline.foundation.digest import parse_digest
    from branchline.train.bundle import open_bundle
    from branchline.train.bundle import pack as make
    from branchline.workbench.home import WorkbenchHome

    if train.startswith("sha256:"):
        data, _ = WorkbenchHome(home).train(parse_digest(train))
    elif Path(train).is_dir():
        data = make(Path(train)).data
    else:
        data = Path(train).read_bytes()
    opened = open_bundle(data)
    return Answer(
        train_as_json(opened, len(data)),
        lines(train_as_text(opened), *sorted(opened.files)),
    )


def _show_trace(logs: str, trace: str) -> None:
    """Show the author his own train's words; with ``--json`` they are in the error's detail."""
    if wants_json():
        return
    for heading, text in (("printed", logs), ("trace", trace)):
        if text.strip():
            click.echo(f"--- {heading}\n{text.rstrip()}", err=True)
