"""``branchline station stops``: trains that came, and whether they are let in."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, table, verb
from branchline.cli.station.home import BY, HOME, decide, opened, station_store


@click.group(no_args_is_help=True)
def stops() -> None:
    """See trains that came; accept or decline."""


@verb(stops, "list", "branchline station stops list")
@click.option("--all", "everything", is_flag=True, help="Those that have ended, too.")
@HOME
def list_(everything: bool, home: Path) -> Answer:
    """List the trains at this station and where each stands."""
    from branchline.cli.station.visits import visits

    place = opened(home)
    found = [
        each
        for each in visits(station_store(place), place.settings().name)
        if everything or each.state != "ended"
    ]
    rows = [(v.journey, v.state, v.study, v.dataset, str(v.round), v.since) for v in found]
    columns = ("journey", "is", "study", "dataset", "round", "since")
    text = table(columns, rows, "No train is here.")
    return Answer({"stops": [vars(each) for each in found]}, text)


@verb(stops, "accept", "branchline station stops accept journey-… --by 'A. Weber'")
@click.argument("journey")
@BY
@HOME
def accept(journey: str, by: str, home: Path) -> Answer:
    """Let a train in that waits to be asked in; the study's gates were passed already."""
    return decide(home, journey, "accept", by, "")


@verb(stops, "decline", "branchline station stops decline journey-… --by 'A. Weber' --reason No")
@click.argument("journey")
@click.option("--reason", required=True, help="The requester sees it.")
@BY
@HOME
def decline(journey: str, reason: str, by: str, home: Path) -> Answer:
    """Turn a train away that waits to be asked in."""
    return decide(home, journey, "decline", by, reason)
