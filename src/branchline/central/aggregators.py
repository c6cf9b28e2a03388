"""The aggregators that run at central: one per journey, each with a key only memory holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from branchline.aggregation.aggregator import AggregationFailed, Aggregator, Combination
from branchline.central.course import Course
from branchline.central.desk import Desk
from branchline.central.rights import CENTRAL
from branchline.environment.errors import EnvironmentDamaged
from branchline.environment.host import EnvironmentRefused
from branchline.foundation.digest import Bytes, Digest
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, Unavailable
from branchline.foundation.ids import new_id
from branchline.journey import acts, custody
from branchline.journey.environments import (
    DAMAGED,
    EnvironmentAbsent,
    Environments,
    Ready,
)
from branchline.journey.machine import Phase, StopPhase
from branchline.journey.messages import Notice
from branchline.sandbox.engine import Engine
from branchline.sandbox.limits import Limits
from branchline.study.document import StudyDocument
from branchline.train.bundle import OpenBundle, open_bundle
from branchline.train.parameters import check_parameters

Study = Callable[[Digest], StudyDocument]
"""Gives a revision of a study."""


log = logging.getLogger("branchline.central")

CANNOT_START = "The aggregator cannot start at central"


@dataclass
class _Place:
    """One journey's aggregator, or the wait for its key.

    The key is made once: however often preparing it is tried, one key is announced.
    """

    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    aggregator: Aggregator | None = None
    fresh: X25519PrivateKey | None = None
    busy: set[str] = field(default_factory=set)


_Work = Callable[[Course, _Place], Awaitable[None]]


class Aggregators:
    """Run what a journey's state asks of its aggregator.

    Args:
        desk: Where acts go.
        engine: The sandbox.
        environments: The environments aggregators can run in.
        limits: What each may use.
        study: Gives studies.
        folder: For the trains' code.
    """

    def __init__(
        self,
        desk: Desk,
        engine: Engine,
        environments: Environments,
        limits: Limits,
        study: Study,
        folder: Path,
    ) -> None:
        self._desk, self._engine, self._environments = desk, engine, environments
        self._limits, self._study, self._folder = limits, study, folder
        self._places: dict[str, _Place] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def wanted(self, course: Course) -> None:
        """Look at a journey and do what its state asks of its aggregator; returns at once."""
        journey = course.journey
        if not journey.parallel or course.host != CENTRAL:
            return
        place = self._places.setdefault(journey.id, _Place())
        if journey.phase == Phase.REQUESTED:
            self._once(course, place, "prepare", self._prepare)
        elif place.aggregator is None:
            self._once(course, place, "custody", self._call_key_back)
        elif journey.phase == Phase.COMBINING:
            self._once(course, place, f"combine {journey.round}", self._combine)

    def ended(self, journey: str) -> None:
        """Forget a journey's aggregator and its key."""
        place = self._places.pop(journey, None)
        if place is not None and place.aggregator is not None:
            ending = asyncio.create_task(place.aggregator.close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def returned(self, course: Course, act: acts.CustodyReturned) -> None:
        """Take a key back that a station kept; a wrong one is as good as none."""
        place = self._places.get(course.journey.id)
        if place is None or place.fresh is None or place.aggregator is not None:
            return
        try:
            key = custody.take_back(act.sealed, place.fresh, course.journey.recipient)
        except Corrupt:
            return
        place.fresh = None
        self._once(course, place, "restore", partial(self._restore, key))

    async def close(self) -> None:
        """End all sandboxes."""
        for journey in list(self._places):
            self.ended(journey)
        # Waited for, those of journeys that ended just now included: a sandbox must not be left.
        await asyncio.gather(*self._ending)

    def _once(self, course: Course, place: _Place, what: str, work: _Work) -> None:
        if what not in place.busy:
            place.busy.add(what)
            self._desk.spawn(self._patiently(course, place, what, work))

    async def _patiently(self, course: Course, place: _Place, what: str, work: _Work) -> None:
        """Do it again while what hinders it may pass, a full disk say; else end the journey."""
        pause = 0.2
        try:
            while course.journey.id in self._places:
                try:
                    return await work(course, place)
                except (Unavailable, OSError) as error:
                    log.warning("%s waits: %s", course.journey.id, error)
                    await asyncio.sleep(pause)
                    pause = min(5.0, pause * 2)
        except Conflict:
            # The journey moved on meanwhile: it was cancelled, say.
            return None
        except BranchlineError as error:
            log.error("the aggregator of %s: %s", course.journey.id, error)
            await self._fail(course, "The aggregator could not go on")
        except Exception:
            # Outermost loop of an aggregator: the journey ends, central goes on.
            log.exception("the aggregator of %s stopped", course.journey.id)
            await self._fail(course, "The aggregator could not go on")
        finally:
            place.busy.discard(what)

    def _open(self, course: Course) -> OpenBundle:
        train = course.journey.request.train
        return open_bundle(self._desk.store.blobs.get(train), train)

    def _make(
        self, course: Course, opened: OpenBundle, ready: Ready, key: X25519PrivateKey
    ) -> Aggregator:
        request = course.journey.request
        return Aggregator(
            self._engine,
            ready.mount,
            opened,
            check_parameters(opened.manifest.parameters, request.parameters),
            key,
            self._folder / request.journey,
            self._limits,
            self._desk.parcels.spares,
        )

    async def _restore(self, key: X25519PrivateKey, course: Course, place: _Place) -> None:
        opened = self._open(course)
        ready = await self._environments.ready(opened.environment)
        if self._places.get(course.journey.id) is not place:
            return  # the journey ended meanwhile
        place.aggregator = self._make(course, opened, ready, key)
        self.wanted(course)

    async def _prepare(self, course: Course, place: _Place) -> None:
        try:
            opened = self._open(course)
            ready = await self._environments.ready(opened.environment)
            if self._places.get(course.journey.id) is not place:
                return  # the journey ended meanwhile
            place.aggregator = self._make(course, opened, ready, place.key)
        except Unavailable:
            raise
        except EnvironmentAbsent as error:
            await self._fail(course, error.refused)
            return
        except (EnvironmentDamaged, EnvironmentRefused) as error:
            # The cause names files of this machine: it stays in central's log.
            log.error("the aggregator of %s: %s", course.journey.id, error)
            damaged = isinstance(error, EnvironmentDamaged)
            await self._fail(course, DAMAGED if damaged else CANNOT_START)
            return
        except BranchlineError as error:
            await self._fail(course, f"The train cannot be opened at central: {error.refused}")
            return
        await self._desk.own(
            acts.JourneyPrepared(
                id=new_id("act"),
                at=self._desk.now(),
                journey=course.journey.id,
                recipient=place.aggregator.recipient,
                custody=custody.entrust(place.key, self._stations(course)),
                environment=ready.digest,
            )
        )
        try:
            await place.aggregator.start()
        except (Unavailable, OSError) as error:
            # The first round starts it once more, and again while what hinders it may pass.
            log.warning("the aggregator of %s waits: %s", course.journey.id, error)
        except BranchlineError as error:
            # The cause names folders of this machine: it stays in central's log.
            log.error("the aggregator of %s cannot start: %s", course.journey.id, error)
            damaged = isinstance(error, EnvironmentDamaged)
            await self._fail(course, DAMAGED if damaged else CANNOT_START)

    async def _call_key_back(self, course: Course, place: _Place) -> None:
        # This process was started anew: the key is with the stations, sealed; ask until one answers.
        place.fresh = X25519PrivateKey.generate()
        statement = custody.call_back(course.journey.id, place.fresh, self._desk.identity)
        while place.aggregator is None and course.journey.id in self._places:
            for station, stop in course.journey.stops.items():
                if stop.phase != StopPhase.PENDING:
                    self._desk.tell(station, self._custody_notice(course, statement))
            await asyncio.sleep(1.0)

    def _custody_notice(self, course: Course, statement: str) -> Notice:
        return Notice(
            kind="custody",
            journey=course.journey.id,
            request=course.request,
            prepared=course.prepared,
            custody=statement,
        )

    async def _combine(self, course: Course, place: _Place) -> None:
        journey = course.journey
        assert place.aggregator is not None
        stations = journey.stations(StopPhase.RELEASED)
        inputs = {s: _named(journey.stops[s].parcel) for s in stations}
        try:
            done = await self._combined(course, place.aggregator, list(inputs.values()))
        except AggregationFailed as error:
            await self._fail(course, error.refused)
            return
        except Corrupt as error:
            await self._fail(course, f"A parcel is damaged: {error.refused}")
            return
        await self._record(course, journey.round, inputs, done)

    async def _combined(
        self, course: Course, aggregator: Aggregator, parcels: Sequence[Digest]
    ) -> Combination:
        journey = course.journey
        used = [*parcels, *([] if journey.state is None else [journey.state])]
        # The files are mapped: a journey that is cancelled meanwhile must not let go of them.
        with self._desk.parcels.reading(used):
            updates = await asyncio.gather(*(self._fetch(parcel) for parcel in parcels))
            state = None if journey.state is None else await self._fetch(journey.state)
            return await aggregator.combine(
                journey.round, updates, state, self._stations(course), self._requester(course)
            )

    async def _fetch(self, digest: Digest) -> Bytes:
        small = self._desk.store.small_parcel(digest)
        if small is not None:
            return small
        # Its digest was checked when it came in; opening it notices any change since.
        return self._desk.store.blobs.mapped(digest)

    async def _record(
        self, course: Course, round_: int, inputs: dict[str, Digest], done: Combination
    ) -> None:
        digest = done.parcel.digest
        small = await self._desk.keep_parcel(done.parcel)
        act = acts.JourneyCombined(
            id=new_id("act"),
            at=self._desk.now(),
            journey=course.journey.id,
            round=round_,
            inputs=inputs,
            state=None if done.result is not None else digest,
            result=digest if done.result is not None else None,
            content=done.parcel.content,
        )
        await self._desk.own(act, small)

    async def _fail(self, course: Course, reason: str) -> None:
        await self._desk.fail(course.journey.id, reason)

    def _document(self, course: Course) -> StudyDocument:
        return self._study(course.journey.request.study_digest)

    def _stations(self, course: Course) -> list[str]:
        keys = {station.name: station.keys for station in self._document(course).stations}
        return [keys[name].seal for name in course.journey.request.route.stations]

    def _requester(self, course: Course) -> str:
        people = self._document(course).people
        return next(p.keys.seal for p in people if p.keys.id == course.journey.requester)


def _named(digest: Digest | None) -> Digest:
    assert digest is not None, "a released stop has a parcel"
    return digest
