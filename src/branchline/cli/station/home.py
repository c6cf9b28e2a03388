"""What the station's commands share: its folder, its database, and waking its agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchline.cli.frame import Answer, home_option

if TYPE_CHECKING:
    from branchline.datasets.store import DatasetStore
    from branchline.station.settings import StationHome
    from branchline.station.store import StationStore

HOME = home_option("BRANCHLINE_STATION", ".branchline-station")
BY = click.option("--by", required=True, metavar="WHO", help="Who decides; stands in the ledger.")


def opened(folder: Path) -> StationHome:
    """Return a station's folder, which must be one.

    Raises:
        NotFound: No station was enrolled there.
    """
    from branchline.station.settings import StationHome

    home = StationHome(folder)
    home.settings()
    return home


def station_store(home: StationHome) -> StationStore:
    """Open what the station keeps."""
    from branchline.foundation.clock import SystemClock
    from branchline.foundation.database import open_database
    from branchline.station.store import StationStore

    return StationStore(open_database(home.database), SystemClock())


def dataset_store(home: StationHome) -> DatasetStore:
    """Open the station's datasets."""
    from branchline.datasets.store import DatasetStore
    from branchline.foundation.database import open_database

    return DatasetStore(open_database(home.database))


def decide(folder: Path, journey: str, what: str, by: str, reason: str) -> Answer:
    """Keep a person's decision and wake the agent, which carries it out.

    Raises:
        NotFound: No such journey ever came here.
        Conflict: It does not fit where the stop stands.
    """
    from branchline.station.control import poke

    home = opened(folder)
    store = station_store(home)
    require_state(store, journey, what)
    store.decide(journey, what, by, reason)
    awake = poke(home.control)
    when = "now" if awake else "when the station is started; it is not running"
    data = {"journey": journey, "decision": what, "by": by, "reason": reason, "running": awake}
    return Answer(data, f"{what} {journey}, by {by}: carried out {when}")


_FITS = {"accept": "asked", "decline": "asked", "release": "held", "withhold": "held"}


def require_state(store: StationStore, journey: str, what: str) -> None:
    """Refuse a decision about a stop that does not wait for it.

    Raises:
        NotFound, Conflict: As ``decide``.
    """
    from branchline.cli.station.visits import visits
    from branchline.foundation.errors import Conflict, NotFound

    found = [visit for visit in visits(store) if visit.journey == journey]
    if not found:
        raise NotFound(
            f"No train of the journey {journey} came here",
            advice="Look at 'branchline station stops list'",
        )
    state = found[-1].state
    if state != _FITS[what]:
        raise Conflict(f"The stop is {state}; to {what} it, it would have to be {_FITS[what]}")
