"""What a station keeps: its visits' events, acts on their way out, outputs held, decisions made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.database import reading, writing
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import NotFound
from branchline.journey import acts
from branchline.journey.messages import Notice
from branchline.journey.stop import Event
from branchline.ledger.beside import Beside, parse_beside
from branchline.ledger.classes import Sealed
from branchline.ledger.entry import Entry
from branchline.station import topics

metadata = MetaData()

Sign = Callable[[acts.Act, tuple[str, ...]], Sealed]
"""Makes an act's entry with its tags, and what lies beside it."""

visits = Table(
    "visits",
    metadata,
    Column("journey", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("notice", LargeBinary, nullable=False),
    Column("ended", Integer, nullable=False, default=0),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("journey", String, nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("event", String, nullable=False),
    Column("at", String, nullable=False),
    Column("detail", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("act", String, nullable=False, unique=True),
    Column("journey", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("parcel", String),
    Column("data", LargeBinary),
    Column("outcome", String),
    Column("position", Integer),
)

beside = Table(
    "outbox_beside",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
"""What lies beside the entry of each act that waits to be sent; central has it afterwards."""

held = Table(
    "held",
    metadata,
    Column("journey", String, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("findings", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("journey", String, nullable=False),
    Column("what", String, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String, nullable=False),
    Column("done", Integer, nullable=False, default=0),
)

approvals = Table(
    "approvals",
    metadata,
    Column("study", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("entries", LargeBinary, nullable=False),
    Column("datasets", Text, nullable=False),
    Column("withdrawn", Integer, nullable=False, default=0),
)


erasures = Table(
    "erasures",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
)
"""The acts by which anybody erased fields, as far as the station heard of them."""


@dataclass(frozen=True)
class Queued:
    """An act that waits to be acknowledged by central."""

    row: int
    act: str
    journey: str
    attempt: int
    entry: Entry
    parcel: Digest | None
    data: bytes | None
    beside: Beside | None = None


@dataclass(frozen=True)
class StoredEvent:
    """One thing that happened to a stop."""

    round: int
    event: Event
    at: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class PersonsWord:
    """What a person at the station decided."""

    row: int
    journey: str
    what: str
    by: str
    reason: str


@dataclass(frozen=True)
class Approval:
    """A study the station approved, as it stood then."""

    study: str
    digest: str
    document: bytes
    entries: tuple[Entry, ...]
    datasets: tuple[str, ...]
    withdrawn: bool


class StationStore:
    """The station's database.

    Args:
        engine: Where.
        clock: The time.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine, self._clock = engine, clock
        self._settled: dict[int, tuple[str, int | None]] = {}
        metadata.create_all(engine)
        topics.metadata.create_all(engine)

    def now(self) -> str:
        """Return the time as acts carry it."""
        return rfc3339(self._clock.now())

    # Visits and their events

    def begin_visit(self, notice: Notice) -> bool:
        """Keep a new visit; false if it is known already."""
        key = (visits.c.journey == notice.journey) & (visits.c.attempt == notice.attempt)
        with writing(self.engine) as connection:
            if connection.execute(select(visits.c.journey).where(key)).first():
                return False
            connection.execute(
                insert(visits).values(
                    journey=notice.journey,
                    attempt=notice.attempt,
                    notice=msgspec.json.encode(notice),
                    ended=0,
                )
            )
            self._add_event(connection, notice.journey, notice.attempt, 0, Event.TOLD, {})
        return True

    def open_visits(self) -> list[Notice]:
        """Return the notices of all visits that have not ended."""
        query = select(visits.c.notice).where(visits.c.ended == 0)
        with reading(self.engine) as connection:
            return [decode_json(row.notice, Notice) for row in connection.execute(query)]

    def visits(self) -> list[tuple[Notice, bool]]:
        """Return all visits, oldest first, each with whether it ended."""
        query = select(visits.c.notice, visits.c.ended)
        with reading(self.engine) as connection:
            return [
                (decode_json(row.notice, Notice), bool(row.ended))
                for row in connection.execute(query)
            ]

    def retries_before(self, notice: Notice) -> list[str]:
        """Return the ids of the acts with which earlier attempts of a journey came."""
        query = select(visits.c.notice).where(
            visits.c.journey == notice.journey, visits.c.attempt < notice.attempt
        )
        with reading(self.engine) as connection:
            earlier = [decode_json(row.notice, Notice) for row in connection.execute(query)]
        return [each.retried.id for each in earlier if each.retried is not None]

    def released_values(self, journey: str) -> int:
        """Return how many free numbers a journey was given here, over all attempts and rounds."""
        query = select(events.c.detail).where(
            events.c.journey == journey, events.c.event == Event.DEPARTED.value
        )
        with reading(self.engine) as connection:
            details = [decode_json(row.detail, dict[str, Any]) for row in connection.execute(query)]
        return sum(int(detail.get("values", 0)) for detail in details)

    def record(
        self, journey: str, attempt: int, round_: int, event: Event, detail: dict[str, Any]
    ) -> None:
        """Store an event durably."""
        with writing(self.engine) as connection:
            self._add_event(connection, journey, attempt, round_, event, detail)

    def end_visit(self, journey: str, attempt: int, detail: dict[str, Any]) -> None:
        """Store that a visit has ended, and forget the outputs it held."""
        key = (visits.c.journey == journey) & (visits.c.attempt == attempt)
        with writing(self.engine) as connection:
            self._add_event(connection, journey, attempt, 0, Event.ENDED, detail)
            connection.execute(update(visits).where(key).values(ended=1))
            connection.execute(
                delete(held).where(held.c.journey == journey, held.c.attempt == attempt)
            )

    def events(self, journey: str, attempt: int) -> list[StoredEvent]:
        """Return what happened to a stop, in order."""
        query = (
            select(events)
            .where(events.c.journey == journey, events.c.attempt == attempt)
            .order_by(events.c.id)
        )
        with reading(self.engine) as connection:
            return [
                StoredEvent(
                    row.round, Event(row.event), row.at, decode_json(row.detail, dict[str, Any])
                )
                for row in connection.execute(query)
            ]

    def _add_event(
        self,
        connection: Connection,
        journey: str,
        attempt: int,
        round_: int,
        event: Event,
        detail: dict[str, Any],
    ) -> None:
        connection.execute(
            insert(events).values(
                journey=journey,
                attempt=attempt,
                round=round_,
                event=event.value,
                at=self.now(),
                detail=msgspec.json.encode(detail).decode(),
            )
        )

    # Acts on their way out

    def queue(
        self,
        journey: str,
        attempt: int,
        happened: Iterable[tuple[int, Event, dict[str, Any]]],
        act: acts.Act,
        sign: Sign,
        about: Sequence[str] = (),
        parcel: Digest | None = None,
        data: bytes | None = None,
    ) -> Queued:
        """Store events and the act they lead to in one transaction.

        Args:
            journey: The journey it is about; empty for none.
            attempt: Of the visit.
            happened: The events.
            act: The act; it takes the next tag of each topic it belongs to.
            sign: Makes its entry.
            about: The topics it belongs to, beside that of everything the station does.
            parcel: The parcel it speaks of.
            data: That parcel's bytes, if they are few.
        """
        with writing(self.engine) as connection:
            self._write_settled(connection)
            for round_, event, detail in happened:
                self._add_event(connection, journey, attempt, round_, event, detail)
            tags = topics.take(connection, [topics.OWN, *about], act.id)
            entry, sealed = sign(act, tags)
            made = Queued(0, act.id, journey, attempt, entry, parcel, data, sealed)
            row = self._put(connection, made)
        self._settled.clear()
        return replace(made, row=row)

    def _put(self, connection: Connection, queued: Queued) -> int:
        row = connection.execute(
            insert(outbox).values(
                act=queued.act,
                journey=queued.journey,
                attempt=queued.attempt,
                entry=msgspec.json.encode(queued.entry),
                parcel=queued.parcel,
                data=queued.data,
            )
        ).inserted_primary_key
        assert row is not None
        if queued.beside is not None:
            connection.execute(insert(beside).values(id=row[0], data=queued.beside.data))
        return int(row[0])

    def topic(self, name: str) -> topics.Topic:
        """Return one of the station's topics, made the first time it is asked for."""
        with writing(self.engine) as connection:
            return topics.topic(connection, name)

    def sent(self, act: str) -> tuple[Entry, str | None]:
        """Return an act's entry, and what became of it at central; None while it waits.

        Raises:
            NotFound: No such act was made here.
        """
        query = select(outbox).where(outbox.c.act == act)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"No act {act} was made here")
        outcome, _ = self._settled.get(row.id, (row.outcome, None))
        return decode_json(row.entry, Entry), outcome

    def hosting(self) -> list[Entry]:
        """Return the acts of journeys that belong to no visit here, oldest first."""
        query = select(outbox.c.entry).where(outbox.c.journey != "", outbox.c.attempt == 0)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(outbox.c.id))
            return [decode_json(row.entry, Entry) for row in rows]

    def waiting(self) -> list[Queued]:
        """Return the acts that central has not acknowledged, in order."""
        query = (
            select(outbox, beside.c.data.label("beside"))
            .outerjoin(beside, beside.c.id == outbox.c.id)
            .where(outbox.c.outcome.is_(None))
            .order_by(outbox.c.id)
        )
        with reading(self.engine) as connection:
            return [
                Queued(
                    row.id,
                    row.act,
                    row.journey,
                    row.attempt,
                    decode_json(row.entry, Entry),
                    row.parcel,
                    row.data,
                    None if row.beside is None else parse_beside(bytes(row.beside)),
                )
                for row in connection.execute(query)
                if row.id not in self._settled
            ]

    def settle(self, row: int, outcome: str, position: int | None = None) -> None:
        """Note what became of an act, and where it stands; made durable with the next act.

        Should that note be lost in a crash, the act is sent again, which has no second effect.
        """
        self._settled[row] = (outcome, position)

    def write_settled(self) -> None:
        """Make all notes of ``settle`` durable now."""
        if self._settled:
            with writing(self.engine) as connection:
                self._write_settled(connection)
            self._settled.clear()

    def _write_settled(self, connection: Connection) -> None:
        for row, (outcome, position) in self._settled.items():
            settled = {"outcome": outcome, "position": position, "data": None}
            connection.execute(update(outbox).where(outbox.c.id == row).values(settled))
            connection.execute(delete(beside).where(beside.c.id == row))

    def refused(self, queued: Queued, reason: str, voided: acts.ActVoided, sign: Sign) -> None:
        """Note that central refused an act for good; the word of that takes over its tags."""
        with writing(self.engine) as connection:
            self._write_settled(connection)
            key = outbox.c.id == queued.row
            connection.execute(update(outbox).where(key).values(outcome=reason, data=None))
            connection.execute(delete(beside).where(beside.c.id == queued.row))
            self._hand_on(connection, queued, voided, sign)
        self._settled.clear()

    def retag(self, queued: Queued, taken: str, act: acts.Act, sign: Sign) -> Queued:
        """Sign an act that waits anew, since one of its tags stands in the ledger already."""
        with writing(self.engine) as connection:
            entry, sealed = sign(act, topics.take_anew(connection, queued.act, taken))
            key = outbox.c.id == queued.row
            connection.execute(update(outbox).where(key).values(entry=msgspec.json.encode(entry)))
            connection.execute(delete(beside).where(beside.c.id == queued.row))
            connection.execute(insert(beside).values(id=queued.row, data=sealed.data))
        return replace(queued, entry=entry, beside=sealed)

    def _hand_on(
        self, connection: Connection, queued: Queued, voided: acts.ActVoided, sign: Sign
    ) -> None:
        entry, sealed = sign(voided, topics.hand_on(connection, queued.act, voided.id))
        heir = Queued(0, voided.id, queued.journey, queued.attempt, entry, None, None, sealed)
        self._put(connection, heir)

    def void(self, queued: Queued, voided: acts.ActVoided, sign: Sign) -> None:
        """Forget an act that cannot be sent, and that its round ever departed: it runs again."""
        last = (
            select(events.c.id)
            .where(
                events.c.journey == queued.journey,
                events.c.attempt == queued.attempt,
                events.c.event == Event.DEPARTED.value,
            )
            .order_by(events.c.id.desc())
            .limit(1)
        )
        with writing(self.engine) as connection:
            connection.execute(delete(events).where(events.c.id == last.scalar_subquery()))
            connection.execute(delete(outbox).where(outbox.c.id == queued.row))
            connection.execute(delete(beside).where(beside.c.id == queued.row))
            self._hand_on(connection, queued, voided, sign)

    # Outputs that wait for a person, or for another recipient

    def hold(self, journey: str, attempt: int, round_: int, sealed: bytes, findings: str) -> None:
        """Keep an output, sealed to the station itself."""
        key = (held.c.journey == journey) & (held.c.attempt == attempt) & (held.c.round == round_)
        with writing(self.engine) as connection:
            connection.execute(delete(held).where(key))
            connection.execute(
                insert(held).values(
                    journey=journey, attempt=attempt, round=round_, sealed=sealed, findings=findings
                )
            )

    def held(self, journey: str) -> tuple[int, bytes, list[dict[str, Any]]]:
        """Return the newest output kept: round, sealed bytes and findings.

        Raises:
            NotFound: None is kept.
        """
        query = (
            select(held)
            .where(held.c.journey == journey)
            .order_by(held.c.attempt.desc(), held.c.round.desc())
        )
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFound(f"No output of {journey} is held here")
        return row.round, bytes(row.sealed), decode_json(row.findings, list[dict[str, Any]])

    # What people decide

    def decide(self, journey: str, what: str, by: str, reason: str) -> None:
        """Keep a person's decision for the agent to carry out."""
        with writing(self.engine) as connection:
            connection.execute(
                insert(decisions).values(
                    journey=journey,
                    what=what,
                    by=by,
                    reason=reason,
                    at=self.now(),
                    done=0,
                )
            )

    def words(self) -> list[PersonsWord]:
        """Return the decisions that were not carried out yet."""
        query = select(decisions).where(decisions.c.done == 0).order_by(decisions.c.id)
        with reading(self.engine) as connection:
            return [
                PersonsWord(row.id, row.journey, row.what, row.by, row.reason)
                for row in connection.execute(query)
            ]

    def carried_out(self, row: int) -> None:
        """Note that a decision was carried out."""
        with writing(self.engine) as connection:
            connection.execute(update(decisions).where(decisions.c.id == row).values(done=1))

    # Studies

    def approve(self, approval: Approval) -> None:
        """Keep a study the station approved; an earlier approval of it is replaced."""
        with writing(self.engine) as connection:
            connection.execute(delete(approvals).where(approvals.c.study == approval.study))
            connection.execute(
                insert(approvals).values(
                    study=approval.study,
                    digest=approval.digest,
                    document=approval.document,
                    entries=msgspec.json.encode(approval.entries),
                    datasets=" ".join(approval.datasets),
                    withdrawn=int(approval.withdrawn),
                )
            )

    def approval(self, study: str) -> Approval | None:
        """Return the station's own approval of a study."""
        query = select(approvals).where(approvals.c.study == study)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else _approval(row)

    def approvals(self) -> list[Approval]:
        """Return all studies the station approved."""
        with reading(self.engine) as connection:
            return [_approval(row) for row in connection.execute(select(approvals))]


def _approval(row: Any) -> Approval:
    return Approval(
        study=row.study,
        digest=row.digest,
        document=bytes(row.document),
        entries=decode_json(row.entries, tuple[Entry, ...]),
        datasets=tuple(row.datasets.split()),
        withdrawn=bool(row.withdrawn),
    )
