"""A central that lies: each station judges for itself, on its own facts, and nothing leaves."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.system import world as w
from tests.system.trains import CHAIN, MEAN

from branchline.central.cosigning import CosigningApi
from branchline.central.inbox import Inbox
from branchline.central.receipts import Receipts
from branchline.central.registry import Registry
from branchline.central.store import Store
from branchline.central.witnessing import Witnessing
from branchline.foundation.clock import FixedClock, SystemClock
from branchline.foundation.database import writing
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.encoding import to_base64url
from branchline.foundation.http.api import Call, Caller, Route
from branchline.foundation.http.server import ApiServer, listen
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal
from branchline.foundation.tasks import leave_off
from branchline.journey import acts, custody
from branchline.journey.messages import (
    ActMessage,
    Notice,
    ParcelRef,
    Recorded,
    StudyView,
    is_witness_call,
)
from branchline.ledger.entry import Entry
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.sandbox.inside.values import encode_payload
from branchline.station import agent
from branchline.study.document import StudyDocument

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ENDS = acts.StopDeclined | acts.StopReleased | acts.StopFailed | acts.StopWithheld


class Liar(CosigningApi):
    """Stands where central stood, with its keys and its history, and says what a test wants.

    About its ledger it is honest: that is another test's matter.
    """

    def __init__(self, world: w.World) -> None:
        self.world = world
        self.inbox = Inbox()
        self.heard: list[acts.Act] = []
        self.news = asyncio.Condition()
        self.trains: dict[str, bytes] = {}
        self.parcels: dict[str, bytes] = {}
        self.honest: dict[str, list[Notice]] = {}
        self.view = StudyView(document=b"", entries=())
        self.identity = Identity.load_or_create(world.home / "keys")
        self.north = world.homes["north"].identity

    def take_over(self) -> None:
        """Go on with central's ledger."""
        self._store = Store(self.world.home)
        files = FolderFiles(self.world.home / "ledger")
        self._ledger = Log(self._store.engine, files, w.ORIGIN, self.identity)
        receipts = Receipts(self._ledger)
        self._witnessing = Witnessing(self._ledger, receipts, self._store.engine, self.inbox)
        self._registry = cast(Registry, self)
        self.tasks = [
            asyncio.create_task(receipts.keep_integrated()),
            asyncio.create_task(self._witnessing.run()),
        ]

    async def leave(self) -> None:
        """End everything."""
        self.inbox.close()
        await leave_off(self.tasks)
        self._store.engine.dispose()

    def renew_inbox(self) -> None:
        """Forget all lines."""
        self.inbox = Inbox()
        self._witnessing = Witnessing(
            self._ledger, Receipts(self._ledger), self._store.engine, self.inbox
        )
        self.tasks += [
            asyncio.create_task(self._witnessing._receipts.keep_integrated()),
            asyncio.create_task(self._witnessing.run()),
        ]

    def revision(self, digest: Digest) -> StudyDocument:
        """Return the study, as central's registry does."""
        return self.world.approved

    def routes(self) -> list[Route]:
        """As much of the API as a station uses."""
        return [
            *self.cosigning_routes(),
            Route("GET", "/v1/inbox", self.listen, "", answer=str),
            Route("GET", "/v1/trains/{digest}", self.train, "", answer=bytes),
            Route("GET", "/v1/parcels/{digest}", self.parcel, "", answer=bytes),
            Route("GET", "/v1/studies/{name}", self.study, "", answer=StudyView),
            Route("POST", "/v1/acts", self.act, "", body=ActMessage, answer=Recorded),
        ]

    async def listen(self, call: Call) -> web.StreamResponse:
        """Tell the station lies as they arise."""
        channel = self.inbox.open(call.by.name)
        self.witness_listens(call.by)
        async with self.news:
            self.news.notify_all()
        return await channel.serve(call.request, [])

    async def train(self, call: Call) -> bytes:
        """Give a bundle."""
        return self.trains[call.path("digest")]

    async def parcel(self, call: Call) -> bytes:
        """Give a parcel."""
        return self.parcels[call.path("digest")]

    async def study(self, call: Call) -> StudyView:
        """Give the study as the test wants it seen."""
        return self.view

    async def act(self, call: Call) -> Recorded:
        """Take an act in."""
        message: ActMessage = call.body
        act = acts.read_act(message.entry, self.north.public)
        with writing(self._store.engine) as connection:
            position = self._store.append(connection, self._ledger, message.entry, act, "north")
        async with self.news:
            self.heard.append(act)
            self.news.notify_all()
        return Recorded(position=position, entry=message.entry.id)

    def caller(self, key_id: str) -> Caller | None:
        """Know the station."""
        return Caller("north", "station", self.north.public)

    def take(self, kind: str = MEAN.name) -> Notice:
        """Return an honest notice that was not used yet."""
        return self.honest[kind].pop()

    async def tell(self, notice: Notice) -> acts.Act:
        """Tell the station something, and return how it ends."""
        return await self.tell_bytes(msgspec.json.encode(notice), notice.journey)

    async def tell_bytes(self, data: bytes, journey: str, after: int = 0) -> acts.Act:
        """Send bytes on the line, and wait for how the journey ends at the station."""
        async with asyncio.timeout(w.PATIENCE), self.news:
            await self.news.wait_for(lambda: self.inbox.connected("north"))
            self.inbox.push("north", data)
            await self.news.wait_for(lambda: len(self.ends(journey)) > after)
        return self.ends(journey)[-1]

    def ends(self, journey: str) -> list[acts.Act]:
        """Return how a journey ended, or its rounds did, as the station said."""
        found = (act for act in self.heard if getattr(act, "journey", "") == journey)
        return [act for act in found if isinstance(act, ENDS)]

    def of(self, notice: Notice) -> acts.JourneyRequested:
        """Read the request in a notice."""
        assert notice.request is not None
        return acts.expect_act(notice.request, self.world.pi.identity.public, acts.JourneyRequested)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def liar(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Liar]:
    """A world whose central has been replaced, and the station north connected to it."""
    world = w.here(tmp_path_factory.mktemp("world"))
    try:
        # Only north is there to cosign.
        await w.populate(world, witness_quorum=1)
        lies = Liar(world)
        await gather(lies)
        await world.central.stop()
        lies.take_over()
        server = ApiServer(lies.routes(), lies.caller, SystemClock())
        runner, _ = await listen(server.app, "127.0.0.1", world.port, None)
        await world.stations["north"].start()
        yield lies
        await lies.leave()
        await world.stations["north"].stop()
        await runner.cleanup()
    finally:
        await world.close()


async def gather(lies: Liar) -> None:
    """Ask for many journeys while the stations are down, and keep what central would tell."""
    world = lies.world
    wanted = {}
    for train, count in ((MEAN, 44), (CHAIN, 5)):
        for _ in range(count):
            request = await world.request(train)
            await world.ask(request)
            lies.trains[request.train] = bytes(
                await world.pi.client.get_bytes(f"/v1/trains/{request.train}")
            )
            if train is MEAN:
                await world.until(request.journey, lambda s: s.stops[0].phase == "told")
            wanted[request.journey] = train.name
    north = world.members["north"].client
    lies.view = await north.call("GET", f"/v1/studies/{w.STUDY}", answer=StudyView)
    async for event in north.events("/v1/inbox"):
        if is_witness_call(event):
            continue
        notice = msgspec.json.decode(event, type=Notice)
        lies.honest.setdefault(wanted.pop(notice.journey), []).append(notice)
        if not wanted:
            break


def changed(notice: Notice, **changes: Any) -> Notice:
    """Return a notice with something else in it."""
    return msgspec.structs.replace(notice, **changes)


def declined(act: acts.Act) -> str:
    """Return why a train was declined."""
    assert isinstance(act, acts.StopDeclined), act
    return act.reason


async def test_an_honest_notice_is_followed(liar: Liar) -> None:
    """The control: unchanged, the station runs the train and releases."""
    assert isinstance(await liar.tell(liar.take()), acts.StopReleased)


# The frame


async def test_a_suspended_study_is_declined(liar: Liar) -> None:
    """A suspension that the station sees stops the train, whatever central says."""
    act = acts.StudySuspended(
        id=new_id("act"),
        at=liar.world.ethics.at(),
        study=w.STUDY,
        study_digest=liar.world.approved.digest,
    )
    entry = acts.sign_act(act, liar.world.ethics.identity)
    honest = liar.view
    liar.view = msgspec.structs.replace(honest, entries=(*honest.entries, entry))
    try:
        assert "suspended" in declined(await liar.tell(liar.take()))
    finally:
        liar.view = honest


async def test_a_suspension_once_known_cannot_be_hidden(liar: Liar) -> None:
    """A decision in the station's own copy counts although central no longer shows it."""
    world = liar.world
    act = acts.StudySuspended(
        id=new_id("act"), at=world.ethics.at(), study=w.STUDY, study_digest=world.approved.digest
    )
    store = world.station_store("north")
    approval = store.approval(w.STUDY)
    assert approval is not None
    entry = acts.sign_act(act, world.ethics.identity)
    store.approve(dataclasses.replace(approval, entries=(*approval.entries, entry)))
    try:
        assert "suspended" in declined(await liar.tell(liar.take()))
    finally:
        store.approve(approval)
        store.engine.dispose()


async def test_a_study_this_station_never_approved_is_declined(liar: Liar) -> None:
    """Central's view is not the station's approval."""
    liar.world.withdraw("north")
    try:
        assert "withdrawn" in declined(await liar.tell(liar.take()))
    finally:
        liar.world.withdraw("north", withdrawn=False)


async def test_a_study_without_its_approval_is_declined(liar: Liar) -> None:
    """If neither central shows an approval nor the station knows one, the answer is no."""
    world = liar.world
    store = world.station_store("north")
    approval = store.approval(w.STUDY)
    assert approval is not None
    honest = liar.view
    proposed = approval.entries[:1]
    store.approve(dataclasses.replace(approval, entries=proposed))
    liar.view = msgspec.structs.replace(honest, entries=proposed)
    try:
        assert "not active" in declined(await liar.tell(liar.take()))
    finally:
        liar.view = honest
        store.approve(approval)
        store.engine.dispose()


async def test_a_decision_forged_by_central_is_no_decision(liar: Liar) -> None:
    """An approval signed by nobody of the study is not believed."""
    act = acts.StudyResumed(
        id=new_id("act"),
        at=liar.world.ethics.at(),
        study=w.STUDY,
        study_digest=liar.world.approved.digest,
    )
    honest = liar.view
    forged = acts.sign_act(act, liar.identity)
    liar.view = msgspec.structs.replace(honest, entries=(*honest.entries, forged))
    try:
        assert declined(await liar.tell(liar.take()))
    finally:
        liar.view = honest


async def test_a_study_that_is_over_by_the_stations_clock_is_declined(liar: Liar) -> None:
    """Signatures follow the server's time; the study's dates follow the station's own clock."""
    world = liar.world
    await world.stations["north"].stop()
    liar.renew_inbox()
    later = FixedClock(world.clock.now())
    later.advance(31 * 86_400)
    program = w.Here(lambda: agent.running(world.homes["north"], later))
    await program.start()
    try:
        assert "ended" in declined(await liar.tell(liar.take()))
    finally:
        await program.stop()
        liar.renew_inbox()
        await world.stations["north"].start()


# The request


async def test_a_forged_request_is_declined(liar: Liar) -> None:
    """Signed by central itself, by a stranger, or by a party who may not ask."""
    for forger in (liar.identity, Identity.create(), liar.north, liar.world.ethics.identity):
        notice = liar.take()
        forged = acts.sign_act(liar.of(notice), forger)
        assert declined(await liar.tell(changed(notice, request=forged)))


async def test_a_request_without_its_place_in_the_ledger_is_declined(liar: Liar) -> None:
    """No receipt, another entry's receipt, a damaged one."""
    other = liar.take()
    for receipt in ("", other.receipt, other.receipt[:-20]):
        assert declined(await liar.tell(changed(liar.take(), receipt=receipt)))


async def test_a_request_for_another_journey_is_declined(liar: Liar) -> None:
    """A request counts for the journey it names."""
    other = liar.take()
    notice = changed(
        liar.take(), request=other.request, receipt=other.receipt, position=other.position
    )
    assert "another journey" in declined(await liar.tell(notice))


async def test_a_request_whose_fields_were_changed_is_declined(liar: Liar) -> None:
    """A disclosure exchanged for another is not what was signed."""
    notice = liar.take()
    assert notice.request is not None
    first, *rest = notice.request.disclosures
    other = liar.take().request
    assert other is not None
    mixed = Entry(notice.request.jws, (other.disclosures[0], *rest))
    assert declined(await liar.tell(changed(notice, request=mixed)))
    assert first


# The train


async def test_a_swapped_bundle_is_declined(liar: Liar) -> None:
    """Another train by the same author, and the right one with a bit flipped."""
    notice = liar.take()
    digest = liar.of(notice).request.train
    honest = liar.trains[digest]
    other = next(data for name, data in liar.trains.items() if name != digest)
    flipped = bytearray(honest)
    flipped[len(flipped) // 2] ^= 1
    try:
        for bundle in (other, bytes(flipped), b"", honest + b"\0"):
            liar.trains[digest] = bundle
            assert declined(await liar.tell(notice))
            notice = liar.take()
    finally:
        liar.trains[digest] = honest


# Where outputs go


def prepared(journey: str, signer: Identity) -> Entry:
    """Announce an aggregator whose key the attacker holds."""
    key = X25519PrivateKey.generate()
    act = acts.JourneyPrepared(
        id=new_id("act"),
        at="2026-01-01T00:00:00.000Z",
        journey=journey,
        recipient=custody.recipient_of(key),
        custody=b"",
    )
    return acts.sign_act(act, signer)


async def test_outputs_go_to_nobody_but_the_aggregator_of_the_journey(liar: Liar) -> None:
    """A recipient announced by a stranger, for another journey, or none: nothing leaves."""
    for announced in (
        lambda journey: prepared(journey, Identity.create()),
        lambda journey: prepared(journey, liar.world.pi.identity),
        lambda _: prepared(new_id("journey"), liar.identity),
        lambda _: None,
    ):
        notice = liar.take()
        end = await liar.tell(changed(notice, prepared=announced(notice.journey)))
        assert isinstance(end, acts.StopFailed | acts.StopDeclined), end


@pytest.mark.parametrize("to", ["requester", "south", "north", "nobody"])
async def test_an_update_of_a_parallel_route_goes_to_no_single_person(liar: Liar, to: str) -> None:
    """Central cannot have one station's update sealed to the requester, or to a station."""
    end = await liar.tell(changed(liar.take(), to=to))
    assert isinstance(end, acts.StopFailed | acts.StopDeclined), end


async def test_a_sequence_goes_on_to_a_later_station_only(liar: Liar) -> None:
    """Not to the aggregator of a parallel journey, not to strangers, not back to itself."""
    for to in ("", "north", "nobody"):
        notice = liar.take(CHAIN.name)
        announced = prepared(notice.journey, liar.identity)
        end = await liar.tell(changed(notice, to=to, prepared=announced))
        assert isinstance(end, acts.StopFailed | acts.StopDeclined), end


# The state


async def test_a_swapped_state_is_refused(liar: Liar) -> None:
    """A state of another signer, journey, round or content never reaches the train."""
    payload = encode_payload({"done": 1, "mean": 1.0})
    good = bytes(seal(payload, [liar.north.public.seal]))
    other = bytes(seal(payload, [liar.north.public.seal]))
    for signer, own, round_, data in (
        (Identity.create(), True, 1, good),
        (liar.world.pi.identity, True, 1, good),
        (liar.identity, False, 1, good),
        (liar.identity, True, 2, good),
        (liar.identity, True, 1, other),
    ):
        notice = liar.take()
        assert isinstance(await liar.tell(notice), acts.StopReleased)
        act = acts.JourneyCombined(
            id=new_id("act"),
            at="2026-01-01T00:00:00.000Z",
            journey=notice.journey if own else new_id("journey"),
            round=round_,
            state=Digest(digest_of(good)),
            result=None,
            content=digest_of(payload),
        )
        state = ParcelRef(digest=digest_of(good), entry=acts.sign_act(act, signer), data=data)
        next_round = Notice(kind="round", journey=notice.journey, round=2, state=state)
        end = await liar.tell_bytes(msgspec.json.encode(next_round), notice.journey, after=1)
        assert isinstance(end, acts.StopFailed), end
        assert end.reason == "The state that came is damaged"


# Noise


async def test_noise_on_the_line_does_not_end_the_station(liar: Liar) -> None:
    """Whatever bytes come, the station goes on and serves the next journey."""
    notice = liar.take()
    assert notice.request is not None
    garbage = changed(
        liar.take(), request=Entry(notice.request.jws, (to_base64url(b"\xff{not json"), "%%%"))
    )
    async with asyncio.timeout(w.PATIENCE), liar.news:
        await liar.news.wait_for(lambda: liar.inbox.connected("north"))
        for data in (
            b"null",
            b"{}",
            b'{"kind":"visit"}',
            b"\x80\x04pickle",
            b"[" * 10_000,
            msgspec.json.encode(garbage),
            msgspec.json.encode(changed(garbage, kind="custody")),
            msgspec.json.encode(changed(garbage, kind="combine")),
            msgspec.json.encode(changed(garbage, kind="end")),
            msgspec.json.encode(changed(garbage, kind="forward", to="nobody")),
        ):
            liar.inbox.push("north", data)
    assert isinstance(await liar.tell(notice), acts.StopReleased)
