"""Talk to central as one person: every verb of the client, asynchronous and without a window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from branchline.environment.service import ImageService
from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Bytes, Digest, digest_of, is_named
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.journey import acts, messages
from branchline.journey.enrolment import greet
from branchline.journey.machine import ENDED
from branchline.journey.permit import standing
from branchline.journey.request import JourneyRequest
from branchline.ledger.beside import Beside
from branchline.ledger.entry import Entry
from branchline.study.document import CentralPin, StudyDocument, parse_study
from branchline.study.draft import Pin, study_from_draft
from branchline.study.lifecycle import Standing
from branchline.workbench.draft import names_in
from branchline.workbench.home import CentralRef, WorkbenchHome
from branchline.workbench.hub.service import HubService

PATIENCE = 120.0
"""Seconds without any word from central after which watching a journey gives up."""


@dataclass(frozen=True)
class StudyState:
    """A study and where it stands, every signature checked by the keys the study pins."""

    document: StudyDocument
    digest: Digest
    standing: Standing


class Core:
    """One person at one central service.

    Args:
        home: The person's folder.
        ref: Central, as pinned at enrolment.
        clock: The time.
    """

    def __init__(self, home: WorkbenchHome, ref: CentralRef, clock: Clock) -> None:
        self.ref = ref
        self._identity, self._clock = home.identity, clock
        self._home, self._topic = home, home.topic(ref.origin)
        self._api = ApiClient(ref.url, self._identity, ca_file=ref.ca_file, clock=clock)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    @property
    def images(self) -> ImageService:
        """The images that central keeps."""
        return ImageService(self._api)

    @property
    def hub(self) -> HubService:
        """The projects that central hosts."""
        return HubService(self._api)

    def stamp(self) -> tuple[str, str]:
        """Return a new act's id and time."""
        return new_id("act"), rfc3339(self._clock.now())

    async def act(self, act: acts.Act) -> messages.Recorded:
        """Sign an act and have it recorded; sent again as often as it takes, recorded once."""
        return await self._record(
            act, lambda entry, beside: ("/v1/acts", messages.ActMessage(entry=entry, beside=beside))
        )

    async def _record(
        self, act: acts.Act, message: Callable[[Entry, Beside], tuple[str, messages.Message]]
    ) -> messages.Recorded:
        """Have an act recorded as the next of this person's own topic.

        Args:
            act: The act.
            message: Gives for its entry, and what lies beside it, where to send what.
        """
        async with self._topic.held():
            while True:
                secret = self._home.epochs.current()
                entry, beside = acts.seal_act(act, self._identity, secret, [self._topic.tag])
                path, body = message(entry, beside)
                try:
                    recorded = await self._api.call(
                        "POST", path, body=body, answer=messages.Recorded, key=act.id
                    )
                except BranchlineError as error:
                    if error.detail.get("tag") != self._topic.tag:
                        raise
                    # An earlier act of this person has it: its program did not live to note that.
                    self._topic.move_on()
                    continue
                self._topic.move_on()
                self._home.keep_act(self.ref.origin, recorded.position, entry)
                return recorded

    # Studies

    async def propose(self, draft: str) -> StudyState:
        """Pin everybody whom a draft names, and put the study forward."""
        hello = await greet(self._api)
        if (hello.keys, hello.log_vkey) != (self.ref.keys, self.ref.log_vkey):
            raise Corrupt(
                f"The service at {self.ref.url} does not have the keys it had at enrolment",
                advice="Ask the central operator before you go on",
            )
        parties = await asyncio.gather(*(self._party(name) for name in names_in(draft)))
        pins = {party.name: Pin(party.keys, party.witness, party.entity) for party in parties}
        central = CentralPin(hello.origin, hello.keys, hello.log_vkey)
        document = study_from_draft(draft, pins.__getitem__, central)
        data = canonical_json(document)
        id_, at = self.stamp()
        act = acts.StudyProposed(id=id_, at=at, study=document.id, study_digest=digest_of(data))
        await self._record(
            act,
            lambda entry, beside: (
                "/v1/studies",
                messages.StudyMessage(entry=entry, document=data, beside=beside),
            ),
        )
        return await self.study(document.id)

    async def study(self, name: str) -> StudyState:
        """Fetch a study and check every decision about it.

        Raises:
            Corrupt: A decision is not authentic, or the document pins another central service.
        """
        view = await self._api.call("GET", f"/v1/studies/{name}", answer=messages.StudyView)
        document = parse_study(view.document)
        if document.id != name or document.central.keys != self.ref.keys:
            raise Corrupt(f"The study that came is not {name!r} of {self.ref.origin}")
        return StudyState(document, document.digest, standing(document, view.entries))

    async def _party(self, name: str) -> messages.Party:
        party = await self._api.call("GET", f"/v1/parties/{name}", answer=messages.Party)
        if party.name != name:
            raise Corrupt(f"Asked for {name!r}, central answered with {party.name!r}")
        return party

    # Trains and journeys

    async def send_train(self, act: acts.TrainPacked, author: str, bundle: bytes) -> None:
        """Bring a bundle, signed by its author, to central."""
        await self._record(
            act,
            lambda entry, beside: (
                "/v1/trains",
                messages.TrainMessage(entry=entry, author=author, bundle=bundle, beside=beside),
            ),
        )

    async def depart(self, request: JourneyRequest) -> None:
        """Sign a journey's request and have it recorded."""
        id_, at = self.stamp()
        await self.act(
            acts.JourneyRequested(id=id_, at=at, journey=request.journey, request=request)
        )

    async def status(self, journey: str) -> messages.JourneyStatus:
        """Return where a journey stands."""
        return await self._api.call("GET", f"/v1/journeys/{journey}", answer=messages.JourneyStatus)

    async def journeys(self) -> tuple[messages.JourneyStatus, ...]:
        """Return this person's journeys, newest first, up to central's limit."""
        answer = await self._api.call("GET", "/v1/journeys", answer=messages.JourneyList)
        return answer.journeys

    async def watch(self, journey: str) -> AsyncGenerator[messages.JourneyStatus, None]:
        """Yield a journey's status now and whenever it changes, until it has ended.

        A broken line is taken up again; every new line begins with the present status, so
        nothing that lasts is missed.

        Raises:
            Unavailable: Central has been silent for too long.
        """
        last: messages.JourneyStatus | None = None
        loop = asyncio.get_running_loop()
        heard, pause = loop.time(), 0.05
        while True:
            try:
                async for data in self._api.events(f"/v1/journeys/{journey}/events"):
                    heard, pause = loop.time(), 0.05
                    status = decode_json(data, messages.JourneyStatus)
                    if status != last:
                        last = status
                        yield status
                    if status.phase in ENDED:
                        return
            except Unavailable:
                if loop.time() - heard > PATIENCE:
                    raise
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 2)

    async def parcel(self, digest: Digest) -> Bytes:
        """Fetch a sealed parcel, checked against its digest."""
        data = await self._api.get_bytes(f"/v1/parcels/{digest}")
        if not is_named(data, digest):
            raise Corrupt(f"The parcel that came is not {digest}")
        return data

    async def train(self, digest: Digest) -> bytes:
        """Fetch a bundle; it is checked where it is opened."""
        return bytes(await self._api.get_bytes(f"/v1/trains/{digest}"))

    async def evidence(self, journey: str) -> messages.Evidence:
        """Fetch everything with which a journey's result can be verified offline."""
        return await self._api.call(
            "GET", f"/v1/journeys/{journey}/evidence", answer=messages.Evidence
        )

    def requested(self, evidence: messages.Evidence, journey: str) -> JourneyRequest:
        """Find this person's own signed request of a journey in its evidence.

        Raises:
            NotFound: It is not there.
        """
        for item in evidence.items:
            if item.keys == self._identity.public:
                act = acts.read_act(item.entry, self._identity.public)
                if isinstance(act, acts.JourneyRequested) and act.journey == journey:
                    return act.request
        raise NotFound(f"The evidence of {journey} lacks its request")
