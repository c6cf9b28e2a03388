"""The desk: takes acts in, makes them durable, and does what the journeys' states ask for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from branchline.central.course import Course
from branchline.central.inbox import Inbox
from branchline.central.journal import Journal
from branchline.central.parcels import Parcels
from branchline.central.receipts import Receipts
from branchline.central.rights import (
    CENTRAL,
    check_parcels,
    check_part,
    check_right,
)
from branchline.central.store import Store
from branchline.central.topic import OwnTopic
from branchline.central.witnessing import Witnessing
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.database import compact
from branchline.foundation.digest import Digest
from branchline.foundation.errors import (
    BranchlineError,
    Conflict,
    NotFound,
    Unavailable,
)
from branchline.foundation.http.api import Caller
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import Sealed
from branchline.foundation.tasks import leave_off
from branchline.journey import acts, machine
from branchline.journey.machine import BUSY, ENDED
from branchline.journey.messages import ERASED, INLINE, Notice, ParcelRef, Recorded
from branchline.journey.parcels import parcels_of
from branchline.journey.request import JourneyRequest
from branchline.ledger.beside import Beside
from branchline.ledger.classes import Sealed as SealedEntry
from branchline.ledger.entry import Entry
from branchline.ledger.epochs import Epochs
from branchline.ledger.log import Log

log = logging.getLogger("branchline.central")

_LATELY = 300
"""Acts: so many more could not be recorded while a file was let go."""


class AggregatorHost(Protocol):
    """What runs the aggregators that a study places at central."""

    def wanted(self, course: Course) -> None:
        """Look at a journey and do what its state asks of its aggregator; returns at once."""
        ...

    def ended(self, journey: str) -> None:
        """Forget a journey's aggregator and its key."""
        ...

    def returned(self, course: Course, act: acts.CustodyReturned) -> None:
        """Take a key back that a station kept."""
        ...


class Desk:
    """Central's one door for acts.

    Args:
        store: What is kept.
        parcels: Where large parcels are.
        journal: Makes it durable.
        ledger: The log of entries.
        receipts: Its receipts.
        witnessing: Its witnesses.
        identity: Central's keys, for the acts of central itself.
        epochs: Seals them.
        topic: Numbers them.
        inbox: Who is connected.
        watchers: Who watches which journey.
        clock: The time.
    """

    def __init__(
        self,
        store: Store,
        parcels: Parcels,
        journal: Journal,
        ledger: Log,
        receipts: Receipts,
        witnessing: Witnessing,
        identity: Identity,
        epochs: Epochs,
        topic: OwnTopic,
        inbox: Inbox,
        watchers: Inbox,
        clock: Clock,
    ) -> None:
        self.store, self.parcels = store, parcels
        self.identity = identity
        self._journal = journal
        self._ledger = ledger
        self._inbox = inbox
        self._watchers = watchers
        self._clock = clock
        self._courses: dict[str, Course] = {}
        self._alarms: dict[str, tuple[datetime, asyncio.TimerHandle]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._epochs, self._topic = epochs, topic
        self.receipts, self.witnessing = receipts, witnessing
        self.aggregators: AggregatorHost | None = None
        self.host_of: Callable[[JourneyRequest], str] = lambda request: CENTRAL

    # Starting

    def resume(self) -> None:
        """Replay every journey and go on where its state says: recovery is the normal path."""
        for journey in self.store.open_journeys():
            course = self._replay(journey)
            self._courses[journey] = course
            self._do(course)
        # Killed between an act and the letting go, parcels of a finished journey would stay.
        for journey in self.store.lately_finished(_LATELY):
            if done := self._replay(journey).needs_no_more():
                self.spawn(self._let_go(done))

    def _replay(self, journey: str) -> Course:
        course: Course | None = None
        for stored in self.store.acts(journey=journey):
            caller = self.caller_named(stored.party)
            act = acts.read_act(stored.entry, caller.keys)
            if not isinstance(act, acts.JourneyAct):
                continue  # the word that an act was voided: it did not happen
            if isinstance(act, acts.JourneyRequested):
                state = machine.begin(act, caller.keys.id)
                host = self.host_of(act.request)
                course = Course(state, stored.entry, stored.position, host=host)
            elif course is not None:
                course.apply(act, stored.entry)
            assert course is not None
            course.recorded[act.id] = _done(
                Recorded(position=stored.position, entry=stored.entry.id)
            )
        if course is None:
            raise NotFound(f"No journey {journey} is known here")
        return course

    def caller_named(self, name: str) -> Caller:
        """Return a party by name, central itself included."""
        if name == CENTRAL:
            return Caller(CENTRAL, CENTRAL, self.identity.public)
        return self.store.party(name)

    # Acts

    async def record(
        self,
        entry: Entry,
        act: acts.Act,
        caller: Caller,
        also: Callable[[Connection, int], None] | None = None,
        beside: Beside | None = None,
    ) -> Recorded:
        """Make an act that belongs to no journey durable, once, with what lies beside its entry."""
        self._check_not_stopped()
        acts.check_sealed(entry, act, beside)

        def work(connection: Connection) -> Recorded:
            known = self.store.known(connection, act.id)
            if known is not None:
                return _same(known.position, known.entry, entry)
            position = self.store.append(connection, self._ledger, entry, act, caller.name, beside)
            if also is not None:
                also(connection, position)
            return Recorded(position=position, entry=entry.id)

        recorded = await self._journal.commit(work)
        self.receipts.wanted()
        return recorded

    async def voided(
        self, entry: Entry, act: acts.ActVoided, caller: Caller, beside: Beside | None = None
    ) -> Recorded:
        """Take in the word that an act was voided, from whoever takes part in what it was about.

        Raises:
            NotFound: The caller has no part in that journey: the same as if there were none.
        """
        if act.journey is not None:
            check_part(caller, self.course(act.journey))
        return await self.record(entry, act, caller, beside=beside)

    async def erase(
        self, entry: Entry, act: acts.EntryErased, caller: Caller, beside: Beside | None = None
    ) -> Recorded:
        """Erase an entry's fields about people, at its actor's word; the word is an act itself.

        When this returns they are in no file of the database any more, unless it says so in the
        log. Everybody connected is told.

        Raises:
            NotFound, NotAllowed, Refused, Conflict: As ``People.erase``.
        """

        def also(connection: Connection, position: int) -> None:
            self.store.people.erase(connection, position, act, caller.name)

        recorded = await self.record(entry, act, caller, also, beside)
        if act.journey in self._courses:
            # It has them in memory; it is made anew from the store.
            self._courses[act.journey].spoil()
            self._renew(self._courses[act.journey])
        await asyncio.to_thread(self._compact)
        self._inbox.push_to_all(ERASED)
        return recorded

    def _compact(self) -> None:
        if not compact(self.store.engine):
            log.warning("the database is busy: what was erased is overwritten at the next start")

    async def begin(
        self,
        entry: Entry,
        act: acts.JourneyRequested,
        caller: Caller,
        beside: Beside | None = None,
    ) -> Recorded:
        """Start a journey: its request is durable and has its receipt before anybody is told."""
        with suppress(NotFound):
            return await self._repeated(self.course(act.journey), act.id, entry)
        journey = machine.begin(act, caller.keys.id)
        course = Course(journey, entry, -1, host=self.host_of(act.request))
        self._courses[act.journey] = course
        answer = self._promise(course, act.id)
        try:
            recorded = await self.record(
                entry,
                act,
                caller,
                also=lambda connection, _: self.store.begin_journey(
                    connection, act.journey, caller.keys.id
                ),
                beside=beside,
            )
            course.position = recorded.position
            course.receipt = await self.receipts.of(recorded.position)
        except BaseException as error:
            self._courses.pop(act.journey, None)
            _fail(answer, error)
            raise
        answer.set_result(recorded)
        self._do(course)
        return recorded

    async def submit(
        self,
        entry: Entry,
        act: acts.JourneyAct,
        caller: Caller,
        parcels: dict[Digest, bytes] | None = None,
        beside: Beside | None = None,
    ) -> Recorded:
        """Take an act of a journey in: checked, applied, durable, and acted upon.

        Raises:
            Conflict: The act does not fit the journey's state.
            NotAllowed: The caller may not do this.
        """
        self._check_not_stopped()
        course = self.course(act.journey)
        if act.id in course.recorded:
            return await self._repeated(course, act.id, entry)
        check_right(act, caller, course)
        check_parcels(act, parcels or {})
        acts.check_sealed(entry, act, beside)
        if course.spoiled:
            raise Unavailable("The journey is being read anew", advice="Send the act again")
        # Memory runs ahead of the disk, in the same order. If the disk refuses one act, those
        # after it are refused too, and memory is made anew from the disk; nobody was told
        # anything before it was durable.
        course.apply(act, entry)
        course.pending += 1
        answer = self._promise(course, act.id)
        try:
            recorded = await self._journal.commit(
                lambda connection: self._write(
                    connection, course, entry, act, caller, parcels or {}, beside
                ),
                course.spoil,
            )
        except BaseException as error:
            _fail(answer, error)
            raise
        finally:
            course.pending -= 1
            self._renew(course)
        answer.set_result(recorded)
        self.receipts.wanted()
        if isinstance(act, acts.CustodyReturned) and self.aggregators is not None:
            self.aggregators.returned(course, act)
        self._do(course)
        return recorded

    def _check_not_stopped(self) -> None:
        """Refuse to go on where a witness has shown that this ledger is not the one it signed.

        Raises:
            Unavailable: Whoever sends an act keeps it, until the operator has put things right.
        """
        if self.witnessing.stopped:
            raise Unavailable(
                self.witnessing.stopped,
                advice="The operator of central has to restore the latest state of the ledger",
            )

    def _renew(self, course: Course) -> None:
        if course.spoiled and not course.pending:
            renewed = self._replay(course.journey.id)
            self._courses[course.journey.id] = renewed
            self._do(renewed)

    def _write(
        self,
        connection: Connection,
        course: Course,
        entry: Entry,
        act: acts.JourneyAct,
        caller: Caller,
        parcels: dict[Digest, bytes],
        beside: Beside | None,
    ) -> Recorded:
        if course.spoiled:
            raise Unavailable("The journey is being read anew", advice="Send the act again")
        for digest, data in parcels.items():
            self.store.add_parcel(connection, digest, caller.name, len(data), data)
        for digest in parcels_of(act):
            if not self.store.has_parcel(connection, digest, caller.name):
                raise Conflict(f"The parcel {digest} was not brought before the act that names it")
        position = self.store.append(connection, self._ledger, entry, act, caller.name, beside)
        if course.finished:
            self.store.finish_journey(connection, act.journey)
        return Recorded(position=position, entry=entry.id)

    async def own(
        self, act: acts.JourneyAct, parcels: dict[Digest, bytes] | None = None
    ) -> Recorded:
        """Record an act of central itself, as the next of its own topic."""
        return await self._numbered(
            act, lambda by, made: self.submit(made.entry, act, by, parcels, made.beside)
        )

    async def own_record(
        self, act: acts.Act, also: Callable[[Connection, int], None] | None = None
    ) -> Recorded:
        """Record an act of central itself that belongs to no journey."""
        return await self._numbered(
            act, lambda by, made: self.record(made.entry, act, by, also, made.beside)
        )

    async def _numbered(
        self, act: acts.Act, take: Callable[[Caller, SealedEntry], Awaitable[Recorded]]
    ) -> Recorded:
        caller = Caller(CENTRAL, CENTRAL, self.identity.public)
        while True:
            number, tag = self._topic.take()
            sealed = acts.seal_act(act, self.identity, self._epochs.current(), [tag])
            try:
                return await take(caller, sealed)
            except Conflict as error:
                if error.detail.get("tag") != tag:
                    self._topic.give_back(number)
                    raise
                log.warning("a number of central's own topic stands in the ledger already")
            except BranchlineError:
                self._topic.give_back(number)
                raise

    async def keep_parcel(self, parcel: Sealed) -> dict[Digest, bytes]:
        """Keep a parcel of central's own; a small one is returned to ride with its act."""
        digest, data = parcel.digest, parcel.data
        if len(data) <= INLINE:
            return {digest: bytes(data)}
        await asyncio.to_thread(self.parcels.keep, parcel)
        await self.brought(digest, CENTRAL, len(data))
        return {}

    async def brought(self, digest: Digest, party: str, size: int) -> None:
        """Note that a party has brought a large parcel, whose bytes are on disk already."""
        await self._journal.commit(
            lambda connection: self.store.add_parcel(connection, digest, party, size, None)
        )

    def _promise(self, course: Course, act_id: str) -> asyncio.Future[Recorded]:
        answer: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_look_away)
        course.recorded[act_id] = answer
        return answer

    async def _repeated(self, course: Course, act_id: str, entry: Entry) -> Recorded:
        answer = course.recorded.get(act_id)
        if answer is None:
            raise Conflict("A journey of this id exists already")
        recorded = await asyncio.shield(answer)
        if recorded.entry != entry.id:
            raise Conflict("An act with this id was recorded with other content")
        return recorded

    # What states ask for

    def course(self, journey: str) -> Course:
        """Return a journey.

        Raises:
            NotFound: There is none of this id.
        """
        return self._courses.get(journey) or self._replay(journey)

    def courses_of(self, requester: str, most: int = 200) -> Iterable[Course]:
        """Return a requester's newest journeys, newest first."""
        return (self.course(journey) for journey in self.store.journeys_of(requester, most))

    def is_for(self, digest: Digest, caller: Caller) -> bool:
        """Tell whether a parcel is one that this party has to fetch."""
        if any(course.is_for(digest, caller) for course in self._courses.values()):
            return True
        return any(course.is_for(digest, caller) for course in self.courses_of(caller.keys.id))

    def notices(self, party: str) -> list[bytes]:
        """Return everything a party is to do now."""
        found = (self._notice(course, party) for course in self._courses.values())
        hosted = (self._host_notice(course, party) for course in self._courses.values())
        return [data for data in (*found, *hosted) if data is not None]

    def _do(self, course: Course) -> None:
        if course.pending or course.spoiled:
            return  # the state is ahead of the disk: the last of these acts comes here again
        for station in course.journey.stops:
            if self._inbox.connected(station):
                data = self._notice(course, station)
                if data is not None:
                    self._inbox.push(station, data)
        if self._inbox.connected(course.host):
            data = self._host_notice(course, course.host)
            if data is not None:
                self._inbox.push(course.host, data)
        self._watchers.push(course.journey.id, msgspec.json.encode(course.status()))
        self._set_alarm(course)
        if done := course.needs_no_more():
            self.spawn(self._let_go(done))
        if course.finished:
            # Nobody has anything left to do; whoever asks gets it replayed from the store.
            self._courses.pop(course.journey.id, None)
        if self.aggregators is not None:
            if course.journey.phase in ENDED:
                self.aggregators.ended(course.journey.id)
            else:
                self.aggregators.wanted(course)

    async def _let_go(self, parcels: set[Digest]) -> None:
        await asyncio.to_thread(self.parcels.let_go, parcels)
        if all(course.journey.phase in ENDED for course in self._courses.values()):
            await asyncio.to_thread(self.parcels.spares.clear)

    def _notice(self, course: Course, station: str) -> bytes | None:
        notice = course.notice(station)
        if notice is None:
            return None
        if notice.kind == "visit" and not course.receipt:
            self.spawn(self._receive_receipt(course))
            return None
        return msgspec.json.encode(self.filled(notice))

    def _host_notice(self, course: Course, party: str) -> bytes | None:
        notice = course.host_notice() if course.host == party else None
        if notice is None:
            return None
        if not course.receipt and notice.kind == "prepare":
            self.spawn(self._receive_receipt(course))
            return None
        return msgspec.json.encode(self.filled(notice))

    async def _receive_receipt(self, course: Course) -> None:
        # After a restart a journey that nobody was told of yet has no receipt in memory.
        course.receipt = await self.receipts.of(course.position)
        self._do(course)

    def filled(self, notice: Notice) -> Notice:
        """Put the bytes of small parcels into a notice."""
        state = None if notice.state is None else self._fill(notice.state)
        inputs = tuple(self._fill(ref) for ref in notice.inputs)
        return msgspec.structs.replace(notice, state=state, inputs=inputs)

    def _fill(self, ref: ParcelRef) -> ParcelRef:
        return msgspec.structs.replace(ref, data=self.store.small_parcel(ref.digest))

    def tell(self, party: str, notice: Notice) -> None:
        """Push one notice to a party."""
        self._inbox.push(party, msgspec.json.encode(notice))

    def _set_alarm(self, course: Course) -> None:
        at = machine.deadline(course.journey)
        old = self._alarms.get(course.journey.id)
        if old is not None:
            if old[0] == at:
                return
            old[1].cancel()
            del self._alarms[course.journey.id]
        if at is None:
            return
        # The time given counts from a station's act; where its clock was slow, or its act came
        # late, the next station has its whole time all the same.
        whole = float(course.journey.request.route.deadline_seconds)
        delay = max(whole, (at - self._clock.now()).total_seconds())
        handle = asyncio.get_running_loop().call_later(
            delay, lambda: self.spawn(self._expire(course.journey.id, at))
        )
        self._alarms[course.journey.id] = (at, handle)

    async def _expire(self, journey: str, at: datetime) -> None:
        course = self.course(journey)
        if machine.deadline(course.journey) != at:
            return
        if course.journey.forward_to:
            await self.fail(journey, "The station that holds the last state did not answer")
            return
        for station in course.journey.stations(*BUSY):
            await self.own(
                acts.StopExpired(
                    id=new_id("act"),
                    at=self.now(),
                    journey=journey,
                    station=station,
                    round=course.journey.round,
                )
            )

    async def fail(self, journey: str, reason: str) -> None:
        """End a journey that cannot go on."""
        await self.own(
            acts.JourneyFailed(
                id=new_id("act"), at=self.now(), journey=journey, reason=reason[:300]
            )
        )

    async def stop_study(self, digest: str, reason: str) -> None:
        """End all journeys under a revision of a study that no longer permits them."""
        under = [
            course.journey.id
            for course in self._courses.values()
            if course.journey.request.study_digest == digest and course.journey.phase not in ENDED
        ]
        for journey in under:
            await self.fail(journey, reason)

    def now(self) -> str:
        """Return the time as acts carry it."""
        return rfc3339(self.time())

    def time(self) -> datetime:
        """Return the time."""
        return self._clock.now()

    def spawn(self, work: Any) -> None:
        """Run something in the background; its failure is logged, never lost."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            kind = "refused" if isinstance(error, BranchlineError) else "failed"
            log.error("background work %s: %s", kind, error, exc_info=error)

    async def close(self) -> None:
        """Stop what runs in the background."""
        for _, alarm in self._alarms.values():
            alarm.cancel()
        await leave_off(list(self._tasks))


def _same(position: int, known: Entry, entry: Entry) -> Recorded:
    if known.id != entry.id:
        raise Conflict("An act with this id was recorded with other content")
    return Recorded(position=position, entry=known.id)


def _done(recorded: Recorded) -> asyncio.Future[Recorded]:
    future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
    future.set_result(recorded)
    return future


def _fail(answer: asyncio.Future[Recorded], error: BaseException) -> None:
    answer.set_exception(error if isinstance(error, Exception) else Unavailable("Interrupted"))


def _look_away(answer: asyncio.Future[Recorded]) -> None:
    # Whoever sent the act gets the error itself; nobody else need have asked.
    if not answer.cancelled():
        answer.exception()
