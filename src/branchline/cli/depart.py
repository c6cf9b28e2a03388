"""``branchline depart``: send a train on a journey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import click

from branchline.cli.frame import Answer, pairs, verb, working
from branchline.cli.journeys import status_answer
from branchline.cli.researcher import HOME, client


@verb(
    None,
    "depart",
    "branchline depart pancreatitis ./logistic --parameter rounds=12 --quorum 3 --wait",
)
@click.argument("study")
@click.argument("train")
@click.option("--station", "stations", multiple=True, help="A stop of the route; repeat, in order.")
@click.option("--dataset", "datasets", multiple=True, metavar="STATION=NAME", help="Which dataset.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=JSON", help="Repeatable.")
@click.option("--parameters", "whole", metavar="JSON", help="All parameters as one JSON object.")
@click.option("--rounds", type=int, help="At most so many rounds.")
@click.option("--quorum", type=int, help="So many stations must contribute.")
@click.option("--deadline", type=int, metavar="SECONDS", help="For each round or stop.")
@click.option("--on-decline", type=click.Choice(["wait", "skip"]), help="Sequential routes.")
@click.option("--wait", is_flag=True, help="Wait until it has ended, and write the result.")
@click.option("--output", type=click.Path(path_type=Path), help="With --wait: the result's folder.")
@HOME
def depart(
    study: str,
    train: str,
    stations: tuple[str, ...],
    datasets: tuple[str, ...],
    parameters: tuple[str, ...],
    whole: str | None,
    rounds: int | None,
    quorum: int | None,
    deadline: int | None,
    on_decline: Literal["wait", "skip"] | None,
    wait: bool,
    output: Path | None,
    home: Path,
) -> Answer:
    """Send a train on a journey.

    TRAIN is a train's folder, which is packed, signed and sent if need be, or the digest of a
    packed one. The route is the train's; the stations are the study's unless you name some.
    """
    from branchline.cli.journeys import fetch

    given = read_parameters(parameters, whole)
    chosen = pairs(datasets, "STATION=NAME")
    with client(home) as researcher:
        with working("departing") as progress:
            journey = researcher.depart(
                study,
                train,
                given,
                stations=stations or None,
                datasets=chosen,
                rounds=rounds,
                quorum=quorum,
                deadline_seconds=deadline,
                on_decline=on_decline,
                progress=lambda said: progress(f"sending the environment: {said}"),
            )
        if wait:
            return fetch(journey, output)
        return status_answer(journey.status())


def read_parameters(single: tuple[str, ...], whole: str | None) -> dict[str, Any]:
    """Read parameters given one by one, each value as JSON (or a plain word), or all at once."""
    found: dict[str, Any] = {}
    if whole is not None:
        try:
            read = json.loads(whole)
        except ValueError as error:
            raise click.BadParameter(f"--parameters is not JSON: {error}") from error
        if not isinstance(read, dict):
            raise click.BadParameter("--parameters is not a JSON object")
        found |= read
    for name, text in pairs(single, "NAME=JSON").items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            # A bare word is what most people mean by it.
            found[name] = text
    return found
