"""``branchline ledger erase``: fields about people go, the entry and its proofs stay."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, folder_of, holdings, own_entry, position_of, update
from branchline.cli.ledger.saying import say
from branchline.foundation.errors import Refused


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
        say(folder, kind, act)
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
