"""What a station has of the ledger: its mirror, its own acts and those it was shown, its topics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sqlalchemy import select

from branchline.foundation.clock import Clock
from branchline.foundation.database import open_database, reading
from branchline.foundation.decoding import decode_json
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import NotFound
from branchline.foundation.http.client import ApiClient
from branchline.foundation.jws import read_kid
from branchline.journey.holdings import Holdings, Known, OwnTopic
from branchline.journey.permit import parties_of
from branchline.ledger.entry import Entry
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import open_checkpoint
from branchline.ledger.proof.note import parse_key
from branchline.ledger.tiles import CHECKPOINT, COSIGNED
from branchline.station import topics
from branchline.station.erasing import take_in, words
from branchline.station.outbox import RECORDED
from branchline.station.settings import StationHome
from branchline.station.store import StationStore, outbox
from branchline.study.document import parse_study


def holdings(home: StationHome, clock: Clock) -> Holdings:
    """Gather what a station has, whether or not it runs."""
    settings = home.settings()
    store = StationStore(open_database(home.database), clock)
    studies = tuple(parse_study(each.document) for each in store.approvals())
    parties = {settings.name: home.identity.public, **parties_of(studies)}
    names = {keys.id: name for name, keys in parties.items()}

    def known() -> Iterator[Known]:
        for entry in (*_entries(store), *words(store.engine)):
            name = names.get(read_kid(entry.jws), "")
            yield Known(entry, name, parties.get(name))

    return Holdings(
        kind="station",
        name=settings.name,
        log_vkey=settings.central.log_vkey,
        read=FolderFiles(home.folder / "ledger").read,
        note=_cosigned(home),
        known=known,
        topics=lambda: _topics(store),
        parties=parties,
        studies=studies,
        erasures=lambda: words(store.engine),
    )


async def fetch_cosigned(home: StationHome, clock: Clock) -> bool:
    """Fetch the latest cosigned checkpoint from central; false if there is none within the mirror.

    What was erased meanwhile is erased here, too.

    Raises:
        Unavailable: Central cannot be reached.
        Corrupt: What came is not of this ledger.
    """
    central = home.settings().central
    client = ApiClient(
        central.url, home.identity, ca_file=central.ca_file, clock=clock, retry_seconds=2
    )
    try:
        with suppress(NotFound):  # a service of an earlier version, at which nothing is erased
            await take_in(client, open_database(home.database), home.identity.public)
        note = bytes(await client.get_bytes(f"/ledger/{COSIGNED}"))
    except NotFound:
        return False
    finally:
        await client.close()
    key = parse_key(central.log_vkey)
    try:
        mirrored = open_checkpoint(FolderFiles(home.folder / "ledger").read(CHECKPOINT), key)
    except NotFound:
        return False
    if open_checkpoint(note, key).size > mirrored.size:
        return False
    write_durably(home.folder / COSIGNED, note)
    return True


def _cosigned(home: StationHome) -> bytes | None:
    try:
        return (home.folder / COSIGNED).read_bytes()
    except FileNotFoundError:
        return None


def _entries(store: StationStore) -> Iterator[Entry]:
    """Yield its own acts that central took in, and everything that it was shown."""
    query = select(outbox.c.entry).where(outbox.c.outcome == RECORDED).order_by(outbox.c.id)
    with reading(store.engine) as connection:
        rows = connection.execute(query).all()
    for row in rows:
        yield decode_json(row.entry, Entry)
    for approval in store.approvals():
        yield from approval.entries
    for notice, _ in store.visits():
        for entry in (notice.request, notice.prepared, notice.retried):
            if entry is not None:
                yield entry


def _topics(store: StationStore) -> list[OwnTopic]:
    query = select(outbox.c.act, outbox.c.position).where(outbox.c.outcome == RECORDED)
    with reading(store.engine) as connection:
        recorded = {row.act: row.position for row in connection.execute(query)}
    return [
        OwnTopic(
            topic.name,
            topic.secret,
            # What waits to be sent has its number already, and is not in the ledger yet.
            [recorded.get(act) for act in topics.acts_of(store.engine, topic.name)],
        )
        for topic in topics.topics(store.engine)
    ]
