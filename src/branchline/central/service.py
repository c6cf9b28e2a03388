"""Central as a running program: wiring, starting, stopping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from branchline import __version__
from branchline.central.aggregators import Aggregators
from branchline.central.api import Api
from branchline.central.desk import Desk
from branchline.central.founding import origin_of
from branchline.central.hub.contents import Contents
from branchline.central.hub.hosting import Hub
from branchline.central.hub.p2phttp import Servers
from branchline.central.hub.repositories import Repositories
from branchline.central.hub.store import HubStore
from branchline.central.hub.tokens import Tokens
from branchline.central.images import Images, OwnImages
from branchline.central.inbox import Inbox
from branchline.central.journal import Journal
from branchline.central.outside import keep_outsides, outsides, parse_outside
from branchline.central.parcels import Parcels
from branchline.central.receipts import Receipts
from branchline.central.registry import Registry
from branchline.central.starting import quorum_at_start
from branchline.central.stating import Stating
from branchline.central.store import Store
from branchline.central.topic import OwnTopic
from branchline.central.witnessing import Witnessing
from branchline.environment.sources import RegistrySource, ServiceSource
from branchline.foundation.clock import Clock, SystemClock, rfc3339
from branchline.foundation.database import compact
from branchline.foundation.durable import make_folder
from branchline.foundation.http.api import Caller
from branchline.foundation.http.server import ApiServer, listen, tls_context
from branchline.foundation.keys import Identity
from branchline.foundation.tasks import leave_off
from branchline.journey.environments import Environments, Source
from branchline.journey.messages import Hello
from branchline.ledger.epochs import Epochs
from branchline.ledger.files import FolderFiles
from branchline.ledger.keeper import TagKeeper
from branchline.ledger.log import Log
from branchline.ledger.proof.note import key_of
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.limits import Limits


@dataclass(frozen=True)
class CentralSettings:
    """How central runs.

    Args:
        folder: Its data folder.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        database: SQLAlchemy URL; None for SQLite in the folder.
        tls_cert: Certificate file for HTTPS.
        tls_key: Its key.
        public_url: The address parties use, where it differs from the one listened on.
        limits: What each aggregator may use.
        accept_weaker: Weaker enforcement the operator accepts by name.
        environments: The folder of images that aggregators run in; ``environments`` in the data
            folder if not given.
        registry: An OCI registry's repository that is asked for images that nobody brought.
        witnesses: Witnesses that are no stations, each ``VKEY@URL``.
        await_witnesses: Sign nothing new until enough witnesses have shown what they cosigned last.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8640
    database: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    public_url: str | None = None
    limits: Limits = Limits()
    accept_weaker: frozenset[str] = frozenset()
    environments: Path | None = None
    registry: str | None = None
    witnesses: tuple[str, ...] = ()
    await_witnesses: bool = True


@asynccontextmanager
async def running(settings: CentralSettings, clock: Clock | None = None) -> AsyncIterator[str]:
    """Run central; gives the address it listens on."""
    clock = clock or SystemClock()
    folder, origin = settings.folder, origin_of(settings.folder)
    tls = tls_context(settings.tls_cert, settings.tls_key)
    identity = Identity.load_or_create(folder / "keys")
    store = Store(folder, settings.database)
    # What an earlier version kept in the clear; and what a crash left of something erased.
    compact(store.engine, rebuild=store.people.part_older(store.engine) > 0)
    awaited = None
    if settings.await_witnesses:
        awaited = quorum_at_start(store.engine, store, key_of(origin, identity.public))
    files = FolderFiles(folder / "ledger")
    ledger = Log(store.engine, files, origin, identity, policy=awaited)
    journal, inbox, watchers = Journal(store.engine), Inbox(), Inbox()
    receipts, images = Receipts(ledger), Images(folder, clock)
    witnessing = Witnessing(ledger, receipts, store.engine, inbox)
    asked = [parse_outside(text) for text in settings.witnesses]
    keep_outsides(folder, asked)
    outside = outsides(asked, origin, witnessing, inbox)
    keeper = TagKeeper(ledger, files.read, identity)
    stating = Stating(keeper, ledger, journal, receipts, witnessing)
    topic = OwnTopic(folder / "keys" / "topic", ledger.tagged)
    epochs = Epochs(folder / "keys")
    parcels = Parcels(folder / "incoming", store.blobs)
    desk = Desk(
        store,
        parcels,
        journal,
        ledger,
        receipts,
        witnessing,
        identity,
        epochs,
        topic,
        inbox,
        watchers,
        clock,
    )
    registry = Registry(desk, store, ledger.vkey, clock, [each.key.text for each in asked])
    aggregators = Aggregators(
        desk,
        Bubblewrap(accept_weaker=settings.accept_weaker),
        _environments(settings, images),
        settings.limits,
        registry.revision,
        make_folder(folder / "aggregators"),
    )
    desk.aggregators = aggregators
    desk.host_of = lambda request: registry.revision(request.study_digest).aggregator
    hello = Hello(
        versions=(1,),
        program=f"branchline {__version__}",
        origin=origin,
        keys=identity.public,
        log_vkey=ledger.vkey,
        now="",
    )
    repositories, tokens = Repositories(folder), Tokens(clock)
    contents = Contents(repositories, clock)
    hub = Hub(desk, store, HubStore(store.engine), repositories, tokens, contents, Servers(folder))
    api = Api(
        *(desk, registry, store, images, stating, witnessing, inbox, watchers),
        *(hello, folder, clock, hub),
    )

    def refused(path: str, key_id: str, sentence: str) -> None:
        store.record_incident(clock.now(), path, key_id, sentence)

    def find(key_id: str) -> Caller | None:
        return store.caller(key_id)

    server = ApiServer(api.routes(), find, clock, refused)
    integrating = asyncio.create_task(receipts.keep_integrated())
    cosigning = asyncio.create_task(witnessing.run())
    keeping = asyncio.create_task(stating.run())
    posting = [asyncio.create_task(each.run()) for each in outside]
    desk.resume()
    await hub.resume()
    runner, port = await listen(server.app, settings.host, settings.port, tls)
    scheme = "https" if tls else "http"
    address = settings.public_url or f"{scheme}://{settings.host}:{port}"
    contents.address = address
    (folder / "address").write_text(f"{address}\n{rfc3339(clock.now())}\n")
    try:
        yield address
    finally:
        inbox.close()
        watchers.close()
        await runner.cleanup()
        await hub.close()
        await aggregators.close()
        await desk.close()
        parcels.close()
        await leave_off([*posting, keeping, cosigning, integrating])
        journal.close()
        store.engine.dispose()


_WAYS = "bring it to central with 'branchline environment push'"


def _environments(settings: CentralSettings, images: Images) -> Environments:
    sources: list[Source] = [ServiceSource(OwnImages(images))]
    if settings.registry is not None:
        sources.append(RegistrySource(settings.registry))
    folder = settings.environments or settings.folder / "environments"
    return Environments(folder, sources, _WAYS)
