"""A site's word about a study, over real HTTP: looked at, approved, withdrawn, and on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from branchline.central.founding import initialise, invite
from branchline.central.service import CentralSettings, running
from branchline.cli.station.site import Site
from branchline.datasets.infer import infer_schema
from branchline.datasets.store import DatasetStore
from branchline.foundation.clock import SystemClock
from branchline.foundation.database import open_database
from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Unavailable
from branchline.station.enrol import enrol
from branchline.station.settings import StationHome
from branchline.station.store import StationStore
from branchline.workbench.client import Client
from branchline.workbench.draft import new_draft

CLOCK = SystemClock()


@dataclass
class Town:
    """A central service, two people and a station that is asked for one dataset."""

    anna: Client
    eva: Client
    home: StationHome

    @property
    def site(self) -> Site:
        """The station's own word."""
        return Site(self.home, CLOCK)

    @property
    def store(self) -> StationStore:
        """What the station keeps."""
        return StationStore(open_database(self.home.database), CLOCK)

    async def state(self) -> tuple[str, list[str]]:
        """Return where the study stands, and the sites that approved it."""
        seen = await asyncio.to_thread(self.anna.show_study, "sleep")
        return seen.standing.state.value, sorted(seen.standing.sites)


def draft() -> str:
    """Return the study's draft, filled in."""
    text = new_draft("sleep", "anna", CLOCK.now()).replace('"HMB"', '"GRU"')
    for name in ("eva", "eva", "hospital-a", "ages"):
        text = text.replace('"NAME"', f'"{name}"', 1)
    return text


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """Run central, and let everybody be enrolled and the study be approved."""
    folder = tmp_path / "central"
    initialise(folder, "localhost/branchline")
    async with running(CentralSettings(folder, port=0)) as url:
        people = {name: Client(tmp_path / name) for name in ("anna", "eva")}
        for name, client in people.items():
            text = invite(folder, name, "person", url, timedelta(hours=1), CLOCK).text
            await asyncio.to_thread(client.enroll, text)
        home = StationHome(tmp_path / "station")
        station = invite(folder, "hospital-a", "station", url, timedelta(hours=1), CLOCK)
        await enrol(home, station, CLOCK)
        file = tmp_path / "ages.csv"
        file.write_text("age\n" + "".join(f"{20 + i}\n" for i in range(30)))
        schema = infer_schema({"patients": file})
        datasets = DatasetStore(open_database(home.database))
        datasets.add("ages", {"patients": file}, schema, ["GRU"], "internal")
        await asyncio.to_thread(people["anna"].propose_study, draft())
        yield Town(people["anna"], people["eva"], home)
        for client in people.values():
            await asyncio.to_thread(client.close)


async def test_a_site_approves_withdraws_and_approves_again(town: Town) -> None:
    """Each word is on record at central and kept at the station, with its own entry."""
    proposed = await town.site.look("sleep")
    with pytest.raises(Conflict):
        await town.site.approve(proposed, town.site.terms(proposed), "A. Weber")
    assert town.store.approval("sleep") is None

    await asyncio.to_thread(town.eva.approve_study, "sleep", digest=proposed.digest)
    for _ in range(2):
        seen = await town.site.look("sleep")
        terms = town.site.terms(seen)
        assert (terms, town.site.fits(seen, terms)) == ({"ages": ("GRU",)}, {"ages": "allow"})
        approval = await town.site.approve(seen, terms, "A. Weber")
        assert len(approval.entries) == len(seen.entries) + 1
        assert town.store.approval("sleep") == approval
        assert await town.state() == ("active", ["hospital-a"])

        withdrawn = await town.site.withdraw("sleep", "A. Weber", "audit")
        assert town.store.approval("sleep") == withdrawn
        assert withdrawn.withdrawn
        assert await town.state() == ("active", [])


async def test_a_site_is_refused_what_is_not_its_own(town: Town) -> None:
    """Datasets it is not asked for, studies it never approved, and studies that do not exist."""
    seen = await town.site.look("sleep")
    with pytest.raises(NotAllowed, match="does not ask"):
        town.site.terms(seen, ["weights"])
    DatasetStore(open_database(town.home.database)).remove("ages")
    with pytest.raises(NotFound, match="ages"):
        town.site.terms(seen)
    with pytest.raises(NotFound, match="never approved"):
        await town.site.withdraw("sleep", "A. Weber", "")
    with pytest.raises(NotFound):
        await town.site.look("other")


async def test_only_the_approver_approves_and_only_what_was_read(town: Town) -> None:
    """The proposer cannot approve, and another revision than the one read is refused."""
    from branchline.foundation.errors import Refused

    with pytest.raises(NotAllowed):
        await asyncio.to_thread(town.anna.approve_study, "sleep")
    with pytest.raises(Refused, match="Read it again"):
        await asyncio.to_thread(town.eva.approve_study, "sleep", digest="sha256:" + "0" * 64)
    assert await town.state() == ("proposed", [])
    await asyncio.to_thread(town.eva.approve_study, "sleep")
    await asyncio.to_thread(town.anna.suspend_study, "sleep", "review")
    assert await town.state() == ("suspended", [])
    await asyncio.to_thread(town.eva.resume_study, "sleep")
    await asyncio.to_thread(town.eva.close_study, "sleep")
    assert (await town.state())[0] == "closed"


async def test_a_site_closes_at_once_though_central_is_away(tmp_path: Path, town: Town) -> None:
    """Withdrawal holds at the station from the first word, and says that central does not know."""
    await asyncio.to_thread(town.eva.approve_study, "sleep")
    seen = await town.site.look("sleep")
    await town.site.approve(seen, town.site.terms(seen), "A. Weber")
    settings = (town.home.folder / "station.toml").read_text()
    away = settings.replace('url = "http://127.0.0.1:', 'url = "http://127.0.0.1:1#')
    (town.home.folder / "station.toml").write_text(away)
    with pytest.raises(Unavailable, match="central was not told"):
        await town.site.withdraw("sleep", "A. Weber", "")
    kept = town.store.approval("sleep")
    assert kept is not None
    assert kept.withdrawn
    assert await town.state() == ("active", ["hospital-a"])
