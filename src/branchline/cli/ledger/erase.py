"""``branchline ledger erase``: fields about people go, the entry and its proofs stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, folder_of, holdings, own_entry, position_of, update
from branchline.foundation.errors import Refused

if TYPE_CHECKING:
    from branchline.journey.acts import EntryErased


@verb(None, "erase", "branchline ledger erase act-… --home /srv/branchline/station")
@click.argument("entry")
@click.option(
    "--class", "part", default="people", show_default=True, help="Which fields; only people can be."
)
@HOME
def erase(entry: str, part: str, home: Path | None) -> Answer:
    """Erase what an entry of yours says about people.

    ENTRY is its position, its digest, or the id of its act. Central deletes the fields and the key to
    them; your own copy goes, and everybody who was shown them erases his when his program next asks.
    The entry stays where it is, and every proof holds. This cannot be undone, and that you erased is
    on record. What people wrote down or copied elsewhere it does not reach.
    """
    from branchline.foundation.clock import SystemClock, rfc3339
    from branchline.foundation.ids import new_id
    from branchline.journey import acts
    from branchline.journey.erasing import erasing

    folder, kind = folder_of(home)
    held = holdings(folder)
    position = position_of(held, entry)
    known = own_entry(held, position)
    if kind == "central":
        raise Refused(
            f"Entry {position} is central's own: its reasons are fixed sentences about no person",
            advice="Stations and people erase what they signed, each from their own folder",
        )
    own, at = held.parties[held.name], rfc3339(SystemClock().now())
    act = erasing(known.entry, own, part, held.erasures(), id=new_id("act"), at=at)
    was = acts.read_act(known.entry, own)
    with working("erasing"):
        _say(folder, kind, act)
    update(folder, kind)  # and with it, here
    fields = sorted(acts.people_in(was))
    data = {
        "entry": act.entry,
        "position": position,
        "class": part,
        "fields": fields,
        "act": act.id,
    }
    text = lines(
        f"Erased: {' and '.join(fields)} of entry {position} ({acts.kind_of(was)}).",
        "Central has deleted them; others who were shown them do when they next ask.",
        "Tell those who may have copied them elsewhere, and mind your backups.",
    )
    return Answer(data, text)


def _say(folder: Path, kind: str, act: EntryErased) -> None:
    import asyncio

    asyncio.run(_at_station(folder, act) if kind == "station" else _by_person(folder, act))


async def _at_station(folder: Path, act: EntryErased) -> None:
    from branchline.foundation.clock import SystemClock
    from branchline.foundation.database import open_database
    from branchline.foundation.http.client import ApiClient
    from branchline.journey import acts
    from branchline.station.saying import say
    from branchline.station.settings import StationHome
    from branchline.station.store import StationStore

    home, clock = StationHome(folder), SystemClock()
    central, identity, secret = home.settings().central, home.identity, home.epochs.current()
    store = StationStore(open_database(home.database), clock)
    client = ApiClient(central.url, identity, ca_file=central.ca_file, clock=clock, retry_seconds=5)
    try:
        await say(store, client, lambda a, tags: acts.seal_act(a, identity, secret, tags), act)
    finally:
        await client.close()


async def _by_person(folder: Path, act: EntryErased) -> None:
    from branchline.foundation.clock import SystemClock
    from branchline.workbench.core import Core
    from branchline.workbench.home import WorkbenchHome

    home = WorkbenchHome(folder)
    core = Core(home, home.central(), SystemClock())
    try:
        await core.act(act)
    finally:
        await core.close()
