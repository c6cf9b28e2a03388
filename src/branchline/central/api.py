"""Central's API: one table of routes; each handler parses nothing and decides little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from aiohttp import web

from branchline.central.cosigning import CosigningApi
from branchline.central.course import Course
from branchline.central.desk import Desk
from branchline.central.hub.annex_http import AnnexDoor
from branchline.central.hub.api import HubApi
from branchline.central.hub.git_http import GitDoor
from branchline.central.hub.hosting import Hub
from branchline.central.hub.receiving import Receiving
from branchline.central.images import Images
from branchline.central.inbox import Inbox
from branchline.central.registry import Registry
from branchline.central.rights import CENTRAL
from branchline.central.stating import Stating
from branchline.central.store import Store
from branchline.central.witnessing import Witnessing
from branchline.environment.service import ImageState
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.digest import parse_digest, parse_payload_digest
from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.http.api import Call, Caller, Route, openapi
from branchline.foundation.http.server import READ_BUFFER
from branchline.journey import acts, messages
from branchline.journey.machine import Journey
from branchline.ledger.light import LightProof, LightWanted
from branchline.ledger.tiles import COSIGNED

BUNDLE_LIMIT = 16 << 20
"""The most bytes of a request that carries a bundle as base64."""


_MOST_ERASURES = 200


class Api(CosigningApi, HubApi):
    """Central's handlers.

    Args:
        desk: Takes acts in.
        registry: Parties, studies and trains.
        store: What is kept.
        images: Environments' images.
        stating: Shows light readers its tag tree.
        witnessing: Asks witnesses to cosign it.
        inbox: Who is connected.
        watchers: Who watches which journey.
        hello: What central says of itself.
        folder: For parcels on their way in, and the ledger's files.
        clock: The time.
        hub: The projects it hosts.
    """

    def __init__(
        self,
        desk: Desk,
        registry: Registry,
        store: Store,
        images: Images,
        stating: Stating,
        witnessing: Witnessing,
        inbox: Inbox,
        watchers: Inbox,
        hello: messages.Hello,
        folder: Path,
        clock: Clock,
        hub: Hub,
    ) -> None:
        self._hub, self._git = hub, GitDoor(hub, Receiving(hub))
        self._annex = AnnexDoor(hub, hub.contents, hub.servers)
        self._desk, self._registry, self._store, self._stating = desk, registry, store, stating
        self._inbox, self._watchers, self._hello, self._clock = inbox, watchers, hello, clock
        self._images, self._witnessing = images, witnessing
        self._tiles = folder / "ledger"

    def routes(self) -> Sequence[Route]:
        """Return the table."""
        m = messages
        return [
            Route("GET", "/v1", self.hello, "Who this is and what it speaks", "public", None, m.Hello),
            Route("GET", "/openapi.json", self.openapi, "This description", "public"),
            Route("POST", "/v1/parties", self.enrol, "Join with an invitation", "self-signed",
                  m.EnrolMessage, m.Party),
            Route("GET", "/v1/parties/{name}", self.party, "A party's public keys", answer=m.Party),
            Route("POST", "/v1/studies", self.propose, "Put a study forward",
                  body=m.StudyMessage, answer=m.Recorded),
            Route("GET", "/v1/studies/{name}", self.study, "A study and all decisions about it",
                  answer=m.StudyView),
            Route("POST", "/v1/trains", self.send_train, "Bring a signed bundle",
                  body=m.TrainMessage, answer=m.Recorded, limit=BUNDLE_LIMIT),
            Route("GET", "/v1/trains/{digest}", self.train, "A bundle", answer=bytes),
            Route("POST", "/v1/acts", self.act, "Do something: the act is its ledger entry",
                  body=m.ActMessage, answer=m.Recorded),
            Route("PUT", "/v1/parcels/{digest}", self.put_parcel, "Bring a sealed parcel", body=bytes),
            Route("GET", "/v1/parcels/{digest}", self.parcel, "A sealed parcel", answer=bytes),
            Route("PUT", "/v1/images/{digest}", self.announce_image,
                  "Announce an environment's image by its manifest", body=bytes, answer=ImageState),
            Route("HEAD", "/v1/images/{digest}", self.has_image, "Whether an image is here, whole"),
            Route("GET", "/v1/images/{digest}", self.image, "The manifest of an image that is whole",
                  answer=bytes),
            Route("PUT", "/v1/images/{digest}/blobs/{blob}", self.put_blob,
                  "Bring a blob of an announced image, zstd-compressed", body=bytes),
            Route("GET", "/v1/images/{digest}/blobs/{blob}", self.blob,
                  "A blob of an image, zstd-compressed", answer=bytes),
            Route("GET", "/v1/inbox", self.listen, "Be told what to do, as it arises", answer=str),
            Route("GET", "/v1/journeys", self.journeys, "The journeys that concern the caller",
                  answer=m.JourneyList),
            Route("GET", "/v1/journeys/{id}", self.journey, "A journey's status",
                  answer=m.JourneyStatus),
            Route("GET", "/v1/journeys/{id}/events", self.watch, "A journey's status as it changes",
                  answer=str),
            Route("GET", "/v1/journeys/{id}/evidence", self.evidence,
                  "Everything to verify a result offline", answer=m.Evidence),
            Route("POST", "/v1/beside", self.beside, "What lies, encrypted, beside entries",
                  body=m.BesideWanted, answer=m.BesideFound),
            Route("GET", "/v1/erasures/{first}", self.erasures,
                  "What was erased by entries from a position on", answer=m.Erasures),
            *self.hub_routes(),
            *self.cosigning_routes(),
            Route("POST", "/v1/ledger/tags", self.tags,
                  "Which entries bear some tags, and that no others do", "public",
                  LightWanted, LightProof),
            Route("GET", "/ledger/{path:.*}", self.ledger, "The ledger's files (C2SP tlog-tiles)",
                  "public", None, bytes),
        ]  # fmt: skip

    async def hello(self, call: Call) -> messages.Hello:
        """Say who this is."""
        return msgspec.structs.replace(self._hello, now=rfc3339(self._clock.now()))

    async def openapi(self, call: Call) -> web.Response:
        """Describe this API."""
        document = openapi(self.routes(), title="Branchline central", version="1")
        return web.json_response(document)

    async def enrol(self, call: Call) -> messages.Party:
        """Let a party in; the request is signed with the very key that is enrolled."""
        message: messages.EnrolMessage = call.body
        await self._registry.enrol(message, call.by)
        return self._party(call.by)

    async def party(self, call: Call) -> messages.Party:
        """Return a party's keys."""
        return self._party(self._desk.caller_named(call.path("name")))

    def _party(self, found: Caller) -> messages.Party:
        witness = self._store.witness(found.name)
        return messages.Party(
            name=found.name,
            kind=_kind(found.kind),
            keys=found.keys,
            witness="" if witness is None else witness.vkey,
            entity=None if witness is None else witness.entity,
        )

    async def propose(self, call: Call) -> messages.Recorded:
        """Take a study in."""
        message: messages.StudyMessage = call.body
        return await self._registry.propose(message, call.by)

    async def study(self, call: Call) -> messages.StudyView:
        """Return a study and the decisions about its present revision."""
        return self._registry.view(call.path("name"))

    async def send_train(self, call: Call) -> messages.Recorded:
        """Take a bundle in."""
        message: messages.TrainMessage = call.body
        return await self._registry.take_train(message, call.by)

    async def train(self, call: Call) -> bytes:
        """Return a bundle to whoever knows its digest."""
        digest = parse_digest(call.path("digest"))
        if not self._store.has_train(digest):
            raise NotFound(f"No train {digest} was brought here")
        return self._store.blobs.get(digest)

    async def act(self, call: Call) -> messages.Recorded:
        """Take any act in."""
        message: messages.ActMessage = call.body
        act = acts.read_act(message.entry, call.by.keys)
        key = call.request.headers.get("Idempotency-Key")
        if key != act.id:
            raise Refused("An act's idempotency key is its id; the request has another")
        entry, beside = message.entry, message.beside
        if isinstance(act, acts.JourneyRequested):
            self._registry.check_request(act, call.by)
            return await self._desk.begin(entry, act, call.by, beside)
        if isinstance(act, acts.StudyAct):
            return await self._registry.decide(entry, act, call.by, beside)
        if isinstance(act, acts.JourneyAct):
            return await self._desk.submit(entry, act, call.by, message.parcels, beside)
        if isinstance(act, acts.ActVoided):
            return await self._desk.voided(entry, act, call.by, beside)
        if isinstance(act, acts.EntryErased):
            return await self._desk.erase(entry, act, call.by, beside)
        if isinstance(act, acts.GrantGiven):
            return await self._desk.record(entry, act, call.by, beside=beside)
        if isinstance(act, acts.HostedAct):
            return await self._hub.take(entry, act, call.by, beside)
        raise Refused("This act is not taken in here", advice="Use the route made for it")

    async def put_parcel(self, call: Call) -> None:
        """Take a sealed parcel in, streaming it to disk; durable before it is acknowledged."""
        digest = parse_payload_digest(call.path("digest"))
        size = await self._desk.parcels.receive(call.request, digest)
        await self._desk.brought(digest, call.by.name, size)

    async def parcel(self, call: Call) -> web.StreamResponse:
        """Return a sealed parcel to whom it is for; only its recipients can open it, too."""
        digest = parse_payload_digest(call.path("digest"))
        if not self._desk.is_for(digest, call.by):
            raise NotFound(f"No parcel {digest} was brought here for {call.by.name}")
        small = self._store.small_parcel(digest)
        if small is not None:
            return web.Response(body=small, content_type="application/octet-stream")
        return self._desk.parcels.answer(digest)

    async def announce_image(self, call: Call) -> ImageState:
        """Take an image's manifest in; the answer says which blobs are to follow."""
        return await self._images.announce(parse_digest(call.path("digest")), call.request, call.by)

    async def has_image(self, call: Call) -> None:
        """Say whether an image is here, whole."""
        self._images.require(parse_digest(call.path("digest")))

    async def image(self, call: Call) -> bytes:
        """Return an image's manifest to whoever knows its digest."""
        return self._images.manifest(parse_digest(call.path("digest")))

    async def put_blob(self, call: Call) -> None:
        """Take a blob of an announced image in; durable before it is acknowledged."""
        digest, blob = parse_digest(call.path("digest")), parse_digest(call.path("blob"))
        await self._images.take(digest, blob, call.request)

    async def blob(self, call: Call) -> web.StreamResponse:
        """Return a blob of an image that is whole."""
        digest, blob = parse_digest(call.path("digest")), parse_digest(call.path("blob"))
        return web.FileResponse(self._images.blob(digest, blob), chunk_size=READ_BUFFER)

    async def listen(self, call: Call) -> web.StreamResponse:
        """Tell a party what to do: first everything open, then each thing as it arises."""
        channel = self._inbox.open(call.by.name)
        witness = self.witness_listens(call.by)
        try:
            return await channel.serve(call.request, self._desk.notices(call.by.name))
        finally:
            self._inbox.leave(call.by.name, channel)
            if witness:
                self._witnessing.leaves(call.by.name)

    async def journeys(self, call: Call) -> messages.JourneyList:
        """List the caller's journeys."""
        found = self._desk.courses_of(call.by.keys.id)
        return messages.JourneyList(journeys=tuple(course.status() for course in found))

    async def journey(self, call: Call) -> messages.JourneyStatus:
        """Return a journey's status; to the aggregator's host, without what is told of stops."""
        course = self._desk.course(call.path("id"))
        if call.by.name == course.host and not self._concerns(course.journey, call):
            return msgspec.structs.replace(course.status(), stops=(), reason="")
        return self._own(call).status()

    async def watch(self, call: Call) -> web.StreamResponse:
        """Tell the requester a journey's status, now and whenever it changes."""
        course = self._own(call)
        channel = self._watchers.open(course.journey.id)
        try:
            return await channel.serve(call.request, [msgspec.json.encode(course.status())])
        finally:
            self._watchers.leave(course.journey.id, channel)

    async def evidence(self, call: Call) -> messages.Evidence:
        """Return a journey's entries with their receipts."""
        return await self._registry.evidence(self._own(call))

    async def beside(self, call: Call) -> messages.BesideFound:
        """Return what lies beside entries; only those whom its actor gave a key can open it."""
        wanted: messages.BesideWanted = call.body
        return messages.BesideFound(found=dict(self._store.beside(wanted.entries)))

    async def erasures(self, call: Call) -> messages.Erasures:
        """Return the acts by which fields were erased, to whoever may hold a copy of them."""
        first = call.path("first")
        if not first.isdecimal() or len(first) > 18:
            raise Refused(f"{first[:20]!r} is no position in the ledger")
        found = self._store.erasures(int(first), _MOST_ERASURES)
        return messages.Erasures(
            erasures=tuple(messages.Erasure(position=e.position, entry=e.entry) for e in found)
        )

    async def tags(self, call: Call) -> web.Response:
        """Show a light reader, whoever it is, what he could read in the ledger's files."""
        proof = msgspec.json.encode(await self._stating.answer(call.body))
        response = web.Response(body=proof, content_type="application/json")
        response.enable_compression()  # hashes in base64: what that adds goes again
        return response

    async def ledger(self, call: Call) -> web.StreamResponse:
        """Serve the ledger's files as they are."""
        path = (self._tiles / call.path("path")).resolve()
        if not path.is_relative_to(self._tiles.resolve()) or not path.is_file():
            raise NotFound("The ledger has no such file")
        text = path.name in ("checkpoint", COSIGNED)
        headers = {
            "Content-Type": "text/plain; charset=utf-8" if text else "application/octet-stream",
            "Cache-Control": "max-age=1" if text else "max-age=31536000, immutable",
        }
        return web.FileResponse(path, headers=headers)

    def _own(self, call: Call) -> Course:
        course = self._desk.course(call.path("id"))
        if not self._concerns(course.journey, call):
            # The same answer as for one that does not exist.
            raise NotFound(f"No journey {call.path('id')} is known here")
        return course

    def _concerns(self, journey: Journey, call: Call) -> bool:
        return call.by.keys.id == journey.requester


def _kind(kind: str) -> messages.PartyKind:
    return "central" if kind == CENTRAL else "station" if kind == "station" else "person"
