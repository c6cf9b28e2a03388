"""Host a journey's aggregator at this station, where the study names it as the place.

The journey's key is kept sealed to this station inside the act that announces it, so nothing more
has to be stored: after a restart the notice to combine brings everything along.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy.exc import OperationalError

from branchline.aggregation.aggregator import AggregationFailed, Aggregator, Combination
from branchline.environment.errors import EnvironmentDamaged
from branchline.foundation.digest import Bytes, Digest, digest_of, is_named
from branchline.foundation.errors import BranchlineError, Corrupt, NotAllowed, Unavailable
from branchline.foundation.ids import new_id
from branchline.foundation.jws import read_kid
from branchline.foundation.sealing import Sealed, unseal
from branchline.foundation.tasks import leave_off
from branchline.journey import acts, custody
from branchline.journey.environments import DAMAGED, EnvironmentAbsent
from branchline.journey.messages import Notice, ParcelRef
from branchline.station.gates import check_receipt, own_study, read_request
from branchline.station.house import StationHouse
from branchline.study.document import StudyDocument
from branchline.train.bundle import verify_bundle
from branchline.train.parameters import check_parameters

log = logging.getLogger("branchline.station")

IDLE_SECONDS = 3600.0
"""After so long without a round a sandbox is ended; a later round starts it again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


@dataclass
class _Place:
    aggregator: Aggregator
    act: acts.JourneyRequested
    study: StudyDocument
    environment: Digest
    idle: asyncio.TimerHandle | None = None


class Hosting:
    """The aggregators this station hosts.

    Args:
        house: What the station has.
    """

    def __init__(self, house: StationHouse) -> None:
        self._house = house
        self._places: dict[str, _Place] = {}
        self._busy: set[tuple[str, str, int, int, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    def told(self, notice: Notice) -> None:
        """Take a notice to prepare or to combine; the same one twice is taken once."""
        if notice.key in self._busy:
            return
        self._busy.add(notice.key)
        task = asyncio.create_task(self._do(notice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, journey: str) -> None:
        """End a journey's aggregator, if it is here."""
        self._busy = {key for key in self._busy if key[1] != journey}
        await self._drop(journey)

    async def _drop(self, journey: str) -> None:
        place = self._places.pop(journey, None)
        if place is not None:
            if place.idle is not None:
                place.idle.cancel()
            ending = asyncio.create_task(place.aggregator.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def close(self) -> None:
        """End all aggregators."""
        await leave_off(list(self._tasks))
        for journey in list(self._places):
            await self.end(journey)
        # Those whose end somebody began who was then called off.
        await asyncio.gather(*self._ending)

    async def _do(self, notice: Notice) -> None:
        """Do it again while what hinders it may pass: central away, a full disk."""
        pause = _FIRST_PAUSE
        while notice.key in self._busy:
            try:
                await self._once(notice)
                return
            except (Unavailable, OSError, OperationalError) as error:
                log.warning("the aggregator of %s waits: %s", notice.journey, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _once(self, notice: Notice) -> None:
        try:
            if notice.kind == "prepare":
                await self._prepare(notice)
            else:
                await self._combine(notice)
        except (Unavailable, OSError, OperationalError):
            raise
        except EnvironmentDamaged as error:
            log.error("the aggregator of %s: %s", notice.journey, error)
            await self._fail(notice, DAMAGED)
        except (AggregationFailed, EnvironmentAbsent, Corrupt, NotAllowed) as error:
            await self._fail(notice, error.refused)
        except BranchlineError as error:
            log.warning("the aggregator of %s: %s", notice.journey, error)
            await self._fail(notice, "The aggregator's host could not run the train")
        except Exception:
            # Outermost loop of an aggregator: the journey ends, the station goes on.
            log.exception("the aggregator of %s stopped", notice.journey)
            await self._fail(notice, "The aggregator's host could not run the train")

    async def _prepare(self, notice: Notice) -> None:
        key = X25519PrivateKey.generate()
        check_receipt(notice, self._house.settings)
        place = await self._place(notice, key)
        act = acts.JourneyPrepared(
            id=new_id("act"),
            at=self._house.now(),
            journey=notice.journey,
            recipient=place.aggregator.recipient,
            custody=custody.entrust(key, [self._house.identity.public.seal]),
            environment=place.environment,
        )
        await self._send(act)

    async def _combine(self, notice: Notice) -> None:
        place = await self._announced(notice)
        route = place.act.request.route
        for ref in notice.inputs:
            _check_input(place.study, notice, ref)
        updates = await asyncio.gather(*(self._fetch(ref) for ref in notice.inputs))
        state = None if notice.state is None else await self._fetch(notice.state)
        seals = {s.name: s.keys.seal for s in place.study.stations}
        requester = place.study.person_with(read_kid(_request_of(notice)))
        if requester is None:
            raise Corrupt("The requester is nobody of the study")
        done = await place.aggregator.combine(
            notice.round,
            updates,
            state,
            [seals[name] for name in route.stations],
            requester.keys.seal,
        )
        await self._report(notice, done)
        self._rest(notice.journey, place)

    async def _announced(self, notice: Notice) -> _Place:
        """Return the aggregator with the key that the ledger announces, made anew if need be.

        One with another key was prepared, and then central had taken in what was sent before.
        """
        key = self._key(notice)
        place = self._places.get(notice.journey)
        if place is not None and place.aggregator.recipient == custody.recipient_of(key):
            return place
        await self._drop(notice.journey)
        return await self._place(notice, key)

    async def _report(self, notice: Notice, done: Combination) -> None:
        digest = done.parcel.digest
        act = acts.JourneyCombined(
            id=new_id("act"),
            at=self._house.now(),
            journey=notice.journey,
            round=notice.round,
            inputs={ref.station: ref.digest for ref in notice.inputs},
            state=digest if done.result is None else None,
            result=None if done.result is None else digest,
            content=done.parcel.content,
        )
        await self._send(act, done.parcel)

    async def _place(self, notice: Notice, key: X25519PrivateKey) -> _Place:
        study = own_study(self._house.approval_for(notice))
        if study.aggregator != self._house.settings.name:
            raise NotAllowed("The study does not place the aggregator at this station")
        act = read_request(notice, study)
        request = act.request
        bundle = bytes(await self._house.client.get_bytes(f"/v1/trains/{request.train}"))
        signer = study.person_with(read_kid(request.author))
        if signer is None or digest_of(bundle) != request.train:
            raise Corrupt("The train is not the one requested, or signed by a stranger")
        opened = verify_bundle(bundle, request.author, signer.keys)
        ready = await self._house.environments.ready(opened.environment)
        aggregator = Aggregator(
            self._house.engine,
            ready.mount,
            opened,
            check_parameters(opened.manifest.parameters, request.parameters),
            key,
            self._house.folder_for(f"aggregator-{notice.journey}"),
            self._house.settings.limits,
            self._house.outbox.spares,
        )
        self._places[notice.journey] = _Place(aggregator, act, study, ready.digest)
        return self._places[notice.journey]

    def _key(self, notice: Notice) -> X25519PrivateKey:
        if notice.prepared is None:
            raise Corrupt("The notice does not carry the journey's key")
        own = self._house.identity
        prepared = acts.expect_act(notice.prepared, own.public, acts.JourneyPrepared)
        raw = bytes(unseal(prepared.custody, own.seal_private))
        return X25519PrivateKey.from_private_bytes(raw)

    async def _fetch(self, ref: ParcelRef) -> Bytes:
        data: Bytes | None = ref.data
        if data is None:
            data = await self._house.client.get_bytes(f"/v1/parcels/{ref.digest}")
        if not await asyncio.to_thread(is_named, data, ref.digest):
            raise Corrupt("A parcel is not the one that was announced")
        return data

    async def _fail(self, notice: Notice, reason: str) -> None:
        await self._send(
            acts.JourneyFailed(
                id=new_id("act"),
                at=self._house.now(),
                journey=notice.journey,
                reason=reason[:300],
            )
        )

    async def _send(self, act: acts.JourneyAct, parcel: Sealed | None = None) -> None:
        small = bytes(parcel.data) if parcel is not None and parcel.file is None else None
        if parcel is not None and parcel.file is not None:
            self._house.outbox.lay_down(parcel)
        queued = self._house.store.queue(
            act.journey,
            0,
            [],
            act,
            self._house.sign,
            (),
            None if parcel is None else parcel.digest,
            small,
        )
        await self._house.outbox.send(queued)

    def _rest(self, journey: str, place: _Place) -> None:
        if place.idle is not None:
            place.idle.cancel()
        loop = asyncio.get_running_loop()
        place.idle = loop.call_later(
            IDLE_SECONDS, lambda: self._tasks.add(asyncio.ensure_future(self.end(journey)))
        )


def _check_input(study: StudyDocument, notice: Notice, ref: ParcelRef) -> None:
    """Combine only what a station of the study signed for, in this journey and round."""
    station = study.station(ref.station)
    if station is None:
        raise Corrupt("An update comes from a station that is not in the study")
    act = acts.expect_act(ref.entry, station.keys, acts.StopReleased)
    if (act.journey, act.round, act.parcel) != (notice.journey, notice.round, ref.digest):
        raise Corrupt("An update is not the one its station released in this round")


def _request_of(notice: Notice) -> str:
    assert notice.request is not None, "checked when the place was made"
    return notice.request.jws
