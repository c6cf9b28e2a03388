"""The station's agent: one outbound line to central, and a visit for every train that comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from branchline.foundation.canonical import parse_json
from branchline.foundation.clock import Clock, SystemClock
from branchline.foundation.database import open_database
from branchline.foundation.errors import BranchlineError, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.tasks import leave_off
from branchline.journey import acts, custody
from branchline.journey.messages import ERASED, Notice, WitnessCall, is_witness_call
from branchline.station import control, erasing
from branchline.station.gates import own_study
from branchline.station.hosting import Hosting
from branchline.station.house import StationHouse
from branchline.station.settings import StationHome
from branchline.station.store import StationStore
from branchline.station.topics import stop_topic
from branchline.station.trust import host_keys
from branchline.station.visit import Visit

log = logging.getLogger("branchline.station")

NOTICE_LIMIT = 4 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Agent:
    """Listen to central and carry visits out.

    Args:
        house: What the station has.
    """

    def __init__(self, house: StationHouse) -> None:
        self._house = house
        self._visits: dict[str, Visit] = {}
        self._hosting = Hosting(house)
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Resume what was under way, then listen for as long as the station runs."""
        self._house.sweep()
        self._house.outbox.forget_lost()
        for notice in self._house.store.open_visits():
            self._open(notice)
        self._house.cosigner.start()
        self.look_for_words()
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._house.cosigner.announce()
                self._house.outbox.catch_up()
                await self._erase()
                async for data in self._house.client.events("/v1/inbox", self.connected.set):
                    pause = _FIRST_PAUSE
                    await self._take(data)
            except BranchlineError as error:
                # Away, or this clock is wrong, or the key is not known there (any more): the next
                # attempt may be taken, and whoever reads the log can see why this one was not.
                log.warning("%s", error.refused)
            except Exception:
                # A full disk, say: the outermost loop goes on, and central tells it all again.
                log.exception("the line to central is taken up again")
            self.connected.clear()
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def close(self) -> None:
        """Leave off; everything goes on when the station is back."""
        await asyncio.gather(*(visit.stop() for visit in self._visits.values()))
        await self._hosting.close()
        await self._house.cosigner.stop()
        await self._house.outbox.close()

    def look_for_words(self) -> None:
        """Hand people's decisions to the visits they are about; see what they have looked at."""
        self._house.cosigner.look()
        for word in self._house.store.words():
            visit = self._visits.get(word.journey)
            if visit is not None:
                visit.word(word)

    async def _take(self, data: bytes) -> None:
        try:
            if is_witness_call(data):
                call = parse_json(data, WitnessCall, what="call to cosign", limit=NOTICE_LIMIT)
                self._house.cosigner.told(call)
                return
            if data == ERASED:
                await self._erase()
                return
            notice = parse_json(data, Notice, what="notice", limit=NOTICE_LIMIT)
            await self._do(notice)
        except Unavailable:
            raise
        except BranchlineError as error:
            log.warning("a notice was refused: %s", error)

    async def _erase(self) -> None:
        """Learn what was erased; if that fails it is asked again with the next line or word."""
        house = self._house
        try:
            await erasing.take_in(house.client, house.store.engine, house.identity.public)
        except BranchlineError as error:
            log.warning("what was erased cannot be learnt now: %s", error.refused)

    async def _do(self, notice: Notice) -> None:
        visit = self._visits.get(notice.journey)
        if notice.kind == "visit":
            await self._visit(notice, visit)
        elif notice.kind == "end":
            await self._end(notice, visit)
        elif notice.kind == "custody":
            await self._hand_back(notice)
        elif notice.kind in ("prepare", "combine"):
            self._hosting.told(notice)
        elif visit is not None:
            visit.told(notice)

    async def _visit(self, notice: Notice, visit: Visit | None) -> None:
        if visit is not None and visit.attempt >= notice.attempt:
            return
        if visit is not None:
            await visit.end("retried")
        if self._house.store.begin_visit(notice):
            self._open(notice)

    def _open(self, notice: Notice) -> None:
        visit = Visit(self._house, notice)
        self._visits[notice.journey] = visit
        visit.start()

    async def _end(self, notice: Notice, visit: Visit | None) -> None:
        await self._hosting.end(notice.journey)
        if visit is not None:
            await visit.end(notice.phase)
            del self._visits[notice.journey]

    async def _hand_back(self, notice: Notice) -> None:
        """Give the aggregator's restarted host the journey's key, if this station may."""
        visit = self._visits.get(notice.journey)
        if visit is None or notice.prepared is None:
            return
        study = own_study(self._house.approval_for(notice))
        host = host_keys(study)
        prepared = acts.expect_act(notice.prepared, host, acts.JourneyPrepared)
        sealed = custody.hand_back(notice.custody, host, prepared.custody, self._house.identity)
        act = acts.CustodyReturned(
            id=new_id("act"),
            at=self._house.now(),
            journey=notice.journey,
            station=self._house.settings.name,
            sealed=sealed,
        )
        about = [stop_topic(visit.journey, visit.attempt)]
        queued = self._house.store.queue(
            visit.journey, visit.attempt, [], act, self._house.sign, about
        )
        await self._house.outbox.send(queued)


@asynccontextmanager
async def running(home: StationHome, clock: Clock | None = None) -> AsyncIterator[Agent]:
    """Run a station's agent until the block ends.

    Raises:
        Unavailable: Never while running: the agent waits for central and says so in the log.
    """
    clock = clock or SystemClock()
    settings = home.settings()
    store = StationStore(open_database(home.database), clock)
    client = ApiClient(
        settings.central.url, home.identity, ca_file=settings.central.ca_file, clock=clock
    )
    agent = Agent(StationHouse(home, settings, store, client, clock))
    server = await control.listen(home.control, agent.look_for_words)
    task = asyncio.create_task(agent.run(), name="agent")
    try:
        yield agent
    finally:
        await leave_off([task])
        await agent.close()
        server.close()
        home.control.unlink(missing_ok=True)
        await client.close()
        store.engine.dispose()
