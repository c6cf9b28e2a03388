"""``branchline station enroll|serve|show``: the station itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from branchline.cli.frame import Answer, lines, log_to_stderr, verb
from branchline.cli.station.home import HOME, dataset_store, opened, station_store


@verb(None, "enroll", "branchline station enroll bl1.eyJ1cmwiOi…")
@click.argument("invitation")
@click.option("--ca-file", metavar="FILE", help="Certificates to trust in place of the system's.")
@click.option("--accept-weaker", multiple=True, metavar="NAME", help="A weaker limit to accept.")
@click.option(
    "--entity",
    metavar="NAME",
    help="The legal entity that runs it, if it runs other stations, too.",
)
@HOME
def enroll(
    invitation: str,
    ca_file: str | None,
    accept_weaker: tuple[str, ...],
    entity: str | None,
    home: Path,
) -> Answer:
    """Join a central service with an invitation.

    The station's keys are made in its own folder and stay there. INVITATION is the line that
    begins with bl1.
    """
    import asyncio

    from branchline.foundation.clock import SystemClock
    from branchline.foundation.errors import Refused
    from branchline.journey.invitation import parse_invitation
    from branchline.station.enrol import enrol
    from branchline.station.settings import StationHome

    read = parse_invitation(invitation)
    if read.kind != "station":
        raise Refused(
            f"The invitation is for the {read.kind} {read.name!r}",
            advice="Use it with 'branchline enroll'",
        )
    place = StationHome(home)
    settings = asyncio.run(
        enrol(
            place,
            read,
            SystemClock(),
            ca_file=ca_file,
            accept_weaker=accept_weaker,
            entity=entity,
        )
    )
    key = place.identity.id
    data = {"name": settings.name, "url": settings.central.url, "key": key, "home": str(home)}
    return Answer(
        data, f"{settings.name} is enrolled at {settings.central.url}; its key is {key}, in {home}"
    )


_PATIENCE = 10.0
"""Seconds for which `serve` waits for the line to central before it says so."""


@verb(None, "serve", "branchline station serve --verbose")
@click.option("--verbose", "-v", count=True, help="Log more; twice for even more.")
@HOME
def serve(verbose: int, home: Path) -> None:
    """Run the station until told to end.

    Opens no port: it keeps one outbound line to central and hears there of trains that come.
    """
    import asyncio
    from contextlib import asynccontextmanager

    from branchline.cli.serving import serve as until_told
    from branchline.station.agent import running

    place = opened(home)

    @asynccontextmanager
    async def listening() -> Any:
        async with running(place) as agent:
            url = place.settings().central.url
            try:
                await asyncio.wait_for(agent.connected.wait(), _PATIENCE)
            except TimeoutError:
                click.echo(f"{url} does not answer; the station goes on trying.", err=True)
            yield url

    log_to_stderr(verbose)
    until_told("station", listening())


@verb(None, "show", "branchline station show")
@HOME
def show(home: Path) -> Answer:
    """Show who this station is, what it demands, and what it holds."""
    import msgspec

    place = opened(home)
    settings = place.settings()
    datasets = [dataset.name for dataset in dataset_store(place).list()]
    studies = [a.study for a in station_store(place).approvals() if not a.withdrawn]
    plain: dict[str, Any] = msgspec.to_builtins(settings, order="sorted")
    data = {
        "name": settings.name,
        "key": place.identity.id,
        "home": str(home),
        "settings": plain,
        "datasets": datasets,
        "studies": studies,
    }
    text = lines(
        f"station   {settings.name}",
        f"key       {place.identity.id}",
        f"central   {settings.central.url}  key {settings.central.keys.id}",
        f"accepts   trains that a study permits, by {settings.accept}",
        f"releases  by itself: {', '.join(sorted(settings.release.auto_release)) or 'nothing'}",
        f"demands   {settings.thresholds.min_group} records behind any output",
        f"datasets  {', '.join(datasets) or 'none'}",
        f"studies   {', '.join(studies) or 'none'}",
        f"settings  {home / 'station.toml'}",
    )
    return Answer(data, text)
