"""What ``ledger`` commands have recorded in the ledger: acts about no journey under way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from branchline.cli.ledger.homes import Kind
    from branchline.journey.acts import Act


PATIENCE = 5.0
"""Seconds for which a station's act is sent again while central cannot be reached."""


def say(folder: Path, kind: Kind, act: Act) -> None:
    """Have an act of a station or a person recorded, now or not at all.

    Args:
        folder: Whose act it is.
        kind: What is in the folder.
        act: The act.

    Raises:
        BranchlineError: Central refused it, or could not be reached.
    """
    asyncio.run(_at_station(folder, act) if kind == "station" else _by_person(folder, act))


async def _at_station(folder: Path, act: Act) -> None:
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
    client = ApiClient(
        central.url, identity, ca_file=central.ca_file, clock=clock, retry_seconds=PATIENCE
    )
    try:
        await say(store, client, lambda a, tags: acts.seal_act(a, identity, secret, tags), act)
    finally:
        await client.close()


async def _by_person(folder: Path, act: Act) -> None:
    from branchline.foundation.clock import SystemClock
    from branchline.workbench.core import Core
    from branchline.workbench.home import WorkbenchHome

    home = WorkbenchHome(folder)
    core = Core(home, home.central(), SystemClock())
    try:
        await core.act(act)
    finally:
        await core.close()
