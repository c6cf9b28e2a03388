"""Erasures at a station: words of them are kept, and carried out upon everything that it holds.

The station asks for them whenever its line to central is up, and when it is told that there is a
new one. They are carried out in the transaction in which they are kept; a crash before it leaves
them to be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import (
    Connection,
    Engine,
    func,
    insert,
    select,
    update,
)

from branchline.foundation.database import compact, reading, writing
from branchline.foundation.decoding import decode_json
from branchline.foundation.http.client import ApiClient
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.erasing import stripped
from branchline.journey.messages import Erasure, Erasures, Notice, ParcelRef
from branchline.journey.permit import parties_of
from branchline.ledger.entry import Entry
from branchline.station.store import approvals, decisions, erasures, events, outbox, visits
from branchline.study.document import parse_study

Strip = Callable[[Entry], Entry]


def words(engine: Engine) -> list[Entry]:
    """Return the acts by which fields were erased, as far as the station heard of them."""
    with reading(engine) as connection:
        rows = connection.execute(select(erasures).order_by(erasures.c.position)).all()
    return [decode_json(row.entry, Entry) for row in rows]


async def take_in(client: ApiClient, engine: Engine, own: PublicKeys) -> int:
    """Ask central what was erased since, and erase it here; return how many words there were.

    Args:
        client: Central's API.
        engine: The station's database.
        own: The station's own keys.

    Raises:
        Unavailable: Central cannot be reached; what came before is carried out.
    """
    count = 0
    while True:
        with reading(engine) as connection:
            last = connection.execute(select(func.max(erasures.c.position))).scalar()
        first = 0 if last is None else last + 1
        answer = await client.call("GET", f"/v1/erasures/{first}", answer=Erasures)
        new = [each for each in answer.erasures if each.position >= first]
        if not new:
            return count
        carry_out(engine, new, own)
        count += len(new)


def carry_out(engine: Engine, new: Sequence[Erasure], own: PublicKeys) -> None:
    """Keep words of erasures, and take what they erased out of everything that is kept here."""
    with writing(engine) as connection:
        # The agent and a command may both have asked.
        known = set(connection.execute(select(erasures.c.position)).scalars())
        new = [each for each in new if each.position not in known]
        said = [each.entry for each in new]
        for each in new:
            data = msgspec.json.encode(each.entry)
            connection.execute(insert(erasures).values(position=each.position, entry=data))
        _own_acts(connection, said, own)
        _shown(connection, said)
    compact(engine)


def _own_acts(connection: Connection, said: Sequence[Entry], own: PublicKeys) -> None:
    """Erase fields of the station's own acts, and the same words where they came from."""
    if all(read_kid(word.jws) != own.id for word in said):
        return
    for row in connection.execute(select(outbox.c.id, outbox.c.entry)).all():
        entry = decode_json(row.entry, Entry)
        left = stripped(entry, own, said)
        if left is entry:
            continue
        at = outbox.c.id == row.id
        connection.execute(update(outbox).where(at).values(entry=msgspec.json.encode(left)))
        act = acts.read_act(entry, own)
        if isinstance(act, acts.JourneyAct):
            gone = set(acts.people_in(act).values()) - {acts.CLOSED, ""}
            _forget(connection, act.journey, gone)


def _forget(connection: Connection, journey: str, gone: set[str]) -> None:
    """Take texts out of what people decided upon a journey, and of what happened to its stop."""
    for column in (decisions.c.by, decisions.c.reason):
        here = (decisions.c.journey == journey) & column.in_(gone)
        connection.execute(update(decisions).where(here).values({column: acts.CLOSED}))
    for row in connection.execute(select(events).where(events.c.journey == journey)).all():
        detail = decode_json(row.detail, dict[str, object])
        closed = {k: acts.CLOSED for k, v in detail.items() if isinstance(v, str) and v in gone}
        if closed:
            text = msgspec.json.encode(detail | closed).decode()
            connection.execute(update(events).where(events.c.id == row.id).values(detail=text))


def _shown(connection: Connection, said: Sequence[Entry]) -> None:
    """Erase fields of others' entries that the station was shown."""
    keys: dict[str, PublicKeys] = {}
    found = connection.execute(select(approvals)).all()
    for row in found:
        pinned = parties_of([parse_study(bytes(row.document))])
        keys |= {each.id: each for each in pinned.values()}
    strip = _stripper(keys, said)
    for row in found:
        held = decode_json(row.entries, tuple[Entry, ...])
        left = tuple(map(strip, held))
        if left != held:
            at = approvals.c.study == row.study
            values = {"entries": msgspec.json.encode(left)}
            connection.execute(update(approvals).where(at).values(values))
    for row in connection.execute(select(visits)).all():
        notice = decode_json(row.notice, Notice)
        kept = _in_notice(notice, strip)
        if kept != notice:
            at = (visits.c.journey == row.journey) & (visits.c.attempt == row.attempt)
            values = {"notice": msgspec.json.encode(kept)}
            connection.execute(update(visits).where(at).values(values))


def _stripper(keys: Mapping[str, PublicKeys], said: Iterable[Entry]) -> Strip:
    by_kid: dict[str, list[Entry]] = {}
    for word in said:
        by_kid.setdefault(read_kid(word.jws), []).append(word)

    def strip(entry: Entry) -> Entry:
        kid = read_kid(entry.jws)
        return stripped(entry, keys[kid], by_kid[kid]) if kid in keys and kid in by_kid else entry

    return strip


def _in_notice(notice: Notice, strip: Strip) -> Notice:
    def of(entry: Entry | None) -> Entry | None:
        return None if entry is None else strip(entry)

    def ref(parcel: ParcelRef) -> ParcelRef:
        return msgspec.structs.replace(parcel, entry=strip(parcel.entry))

    return msgspec.structs.replace(
        notice,
        request=of(notice.request),
        prepared=of(notice.prepared),
        retried=of(notice.retried),
        state=None if notice.state is None else ref(notice.state),
        inputs=tuple(map(ref, notice.inputs)),
    )
