"""``branchline journey``: follow journeys, fetch results, decide about stations that are out."""

from __future__ import annotations

import json
from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb, wants_json, working
from branchline.cli.journeys import fetch, list_answer, status_answer, status_as_json, status_line
from branchline.cli.researcher import HOME, client
from branchline.workbench.printable import printable


@click.group(no_args_is_help=True)
def journey() -> None:
    """Follow journeys and fetch their results."""


@verb(journey, "list", "branchline journey list")
@HOME
def list_(home: Path) -> Answer:
    """List your journeys, newest first."""
    with client(home, "asking central") as researcher:
        return list_answer(researcher.journeys())


@verb(journey, "status", "branchline journey status journey-…")
@click.argument("id")
@HOME
def status(id: str, home: Path) -> Answer:
    """Show where a journey stands, station by station."""
    with client(home, "asking central") as researcher:
        return status_answer(researcher.journey(id).status())


@verb(journey, "watch", "branchline journey watch journey-…")
@click.argument("id")
@HOME
def watch(id: str, home: Path) -> None:
    """Print a line (with --json an object) whenever a journey's status changes."""
    with client(home) as researcher:
        for status in researcher.journey(id).watch():
            line = json.dumps(status_as_json(status)) if wants_json() else status_line(status)
            click.echo(printable(line))


@verb(journey, "result", "branchline journey result journey-… --output ./result")
@click.argument("id")
@click.option("--output", type=click.Path(path_type=Path), help="The result's folder.")
@HOME
def result(id: str, output: Path | None, home: Path) -> Answer:
    """Wait for a journey's end and write its result with everything to verify it."""
    with client(home) as researcher:
        return fetch(researcher.journey(id), output)


@verb(journey, "cancel", "branchline journey cancel journey-… --reason 'Wrong parameters'")
@click.argument("id")
@click.option("--reason", default="", help="Why.")
@HOME
def cancel(id: str, reason: str, home: Path) -> Answer:
    """Call a train back."""
    with client(home, "cancelling") as researcher:
        return status_answer(researcher.journey(id).cancel(reason))


@verb(journey, "skip", "branchline journey skip journey-… hospital-d")
@click.argument("id")
@click.argument("station")
@HOME
def skip(id: str, station: str, home: Path) -> Answer:
    """Go on without a station that declined, withheld, failed or did not answer."""
    with client(home, "skipping") as researcher:
        return status_answer(researcher.journey(id).skip(station))


@verb(journey, "retry", "branchline journey retry journey-… hospital-d")
@click.argument("id")
@click.argument("station")
@HOME
def retry(id: str, station: str, home: Path) -> Answer:
    """Send the train again to a station that declined, failed or did not answer."""
    with client(home, "sending it again") as researcher:
        return status_answer(researcher.journey(id).retry(station))


@verb(journey, "evidence", "branchline journey evidence journey-… --output evidence.json")
@click.argument("id")
@click.option("--output", type=click.Path(path_type=Path), help="Write it to a file.")
@HOME
def evidence(id: str, output: Path | None, home: Path) -> Answer:
    """Fetch the signed entries and receipts of a journey so far."""
    import msgspec

    from branchline.foundation.canonical import canonical_json

    with client(home, "fetching the evidence") as researcher:
        found = researcher.journey(id).evidence()
    if output is not None:
        output.write_bytes(canonical_json(found))
    text = lines(
        f"{len(found.items)} signed entries with receipts, under the log {found.log_vkey}",
        *(f"  {item.entry.id}  by key {item.keys.id}" for item in found.items),
        f"Written to {output}" if output is not None else "",
    )
    return Answer(msgspec.to_builtins(found), text)


@verb(journey, "export", "branchline journey export journey-… --crate result.zip")
@click.argument("journey_or_folder")
@click.option(
    "--crate",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write: a Five Safes RO-Crate (BagIt in ZIP), signed with your key.",
)
@HOME
def export(journey_or_folder: str, crate: Path, home: Path) -> Answer:
    """Export a result with its evidence as a signed Five Safes RO-Crate.

    Give a journey, which is fetched, or the folder of a result, which needs no connection. A
    result that does not verify is not exported. Check the file with 'branchline verify'.
    """
    from branchline.foundation.clock import SystemClock
    from branchline.foundation.digest import digest_of
    from branchline.foundation.durable import write_durably
    from branchline.workbench.crate.export import export_crate
    from branchline.workbench.home import WorkbenchHome

    folder = Path(journey_or_folder)
    if not folder.is_dir():
        with client(home, "fetching the result") as researcher:
            folder = researcher.journey(journey_or_folder).result().folder
    with working("exporting"):
        data = export_crate(folder, WorkbenchHome(home).identity, SystemClock())
        write_durably(crate, data)
    plain = {"crate": str(crate), "bytes": len(data), "digest": digest_of(data)}
    return Answer(
        plain,
        lines(f"Written to {crate}, {len(data):,} bytes", f"Check it: branchline verify {crate}"),
    )
