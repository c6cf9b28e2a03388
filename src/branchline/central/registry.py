"""The registry: who is enrolled, which studies stand where, which trains were brought."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from sqlalchemy import Connection

from branchline.central.course import Course
from branchline.central.desk import Desk
from branchline.central.rights import CENTRAL
from branchline.central.store import Store
from branchline.foundation.clock import Clock, parse_time
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Refused, Unavailable
from branchline.foundation.http.api import Caller
from branchline.foundation.jws import read_kid
from branchline.journey import acts, messages
from branchline.journey.enrolment import check_possession
from branchline.journey.permit import announced_terms, as_decision, facts_of, require_permit
from branchline.journey.request import check_request
from branchline.ledger.beside import Beside
from branchline.ledger.entry import Entry
from branchline.study.decisions import Decision
from branchline.study.document import StudyDocument, parse_study
from branchline.study.lifecycle import Standing, decide, standing_of
from branchline.study.witnesses import policy_of
from branchline.train.bundle import verify_bundle

MAX_SKEW_SECONDS = 300
"""How far an act's own time may differ from central's when it comes in."""


_PATIENCE = 10.0
"""Seconds for which evidence waits for the study's witnesses."""


class Registry:
    """Check and record everything that is not a journey in progress.

    Args:
        desk: Makes acts durable.
        store: What is kept.
        log_vkey: The ledger's key, which studies must pin.
        clock: The time.
    """

    def __init__(
        self,
        desk: Desk,
        store: Store,
        log_vkey: str,
        clock: Clock,
        outside: Collection[str] = (),
    ) -> None:
        self._desk, self._store, self._log_vkey, self._clock = desk, store, log_vkey, clock
        self._outside = frozenset(outside)
        self._documents: dict[str, StudyDocument] = {}
        self._deciding = asyncio.Lock()

    # Parties

    async def enrol(self, message: messages.EnrolMessage, caller: Caller) -> None:
        """Let a party in by its invitation."""
        if message.kind == CENTRAL:
            raise NotAllowed("Nobody else enrols as central")
        act = acts.expect_act(message.entry, message.keys, acts.PartyEnrolled)
        if (act.name, act.kind, act.keys) != (message.name, message.kind, message.keys):
            raise Refused("The enrolment's act says something else than its message")
        check_possession(act)
        now = self._clock.now()
        known = self._store.caller(message.keys.id)
        if known is not None and known.name == message.name:
            return

        def also(connection: Connection, _: int) -> None:
            self._store.enrol(connection, message.invitation, caller, now)
            if act.witness:
                self._store.add_witness(connection, act.name, act.witness, act.entity)

        await self._desk.record(message.entry, act, caller, also, message.beside)

    # Studies

    def document(self, name: str, digest: str | None = None) -> StudyDocument:
        """Return the newest revision of a study, which must be the one of a digest if given."""
        data = self._store.study(name)
        found = digest_of(data)
        if digest is not None and found != digest:
            raise Conflict(f"The study {name!r} was revised since; its digest is now {found}")
        return self.revision(found)

    def revision(self, digest: Digest) -> StudyDocument:
        """Return one revision of a study; journeys under way stay with theirs.

        Raises:
            NotFound: It was never put forward here.
        """
        if digest not in self._documents:
            self._documents[digest] = parse_study(self._store.study_revision(digest))
        return self._documents[digest]

    async def propose(self, message: messages.StudyMessage, caller: Caller) -> messages.Recorded:
        """Take a study's document in, put forward by its proposer."""
        entry, data = message.entry, message.document
        act = acts.expect_act(entry, caller.keys, acts.StudyProposed)
        study = parse_study(data)
        if (act.study, act.study_digest) != (study.id, digest_of(data)):
            raise Refused("The proposal names another study than the document it carries")
        if study.digest != act.study_digest:
            raise Refused("A study's document must be in canonical JSON (RFC 8785)")
        self._check_pins(study)
        decision = as_decision(act, caller.keys.id, entry)
        decide(Standing(), study, decision)
        return await self._desk.record(
            entry,
            act,
            caller,
            also=lambda connection, position: self._store.add_study(
                connection, act.study_digest, study.id, data, position
            ),
            beside=message.beside,
        )

    def _check_pins(self, study: StudyDocument) -> None:
        if (
            study.central.keys != self._desk.identity.public
            or study.central.log_vkey != self._log_vkey
        ):
            raise Refused("The study pins another central service than this one")
        pins = {person.name: person.keys for person in study.people}
        pins |= {station.name: station.keys for station in study.stations}
        for name, keys in pins.items():
            if self._desk.caller_named(name).keys != keys:
                raise Refused(f"The study pins keys for {name!r} that are not enrolled here")
        for text in study.outsiders():
            if text not in self._outside:
                raise Refused(
                    f"The study counts on the witness {text.partition('+')[0]}, whom this central "
                    "service does not ask",
                    advice="Its operator starts it with --witness VKEY@URL",
                )
        for station in study.stations:
            witness = self._store.witness(station.name)
            if station.witness != ("" if witness is None else witness.vkey):
                raise Refused(
                    f"The study pins a witness key for {station.name!r} that is not enrolled here"
                )

    async def decide(
        self, entry: Entry, act: acts.StudyAct, caller: Caller, beside: Beside | None = None
    ) -> messages.Recorded:
        """Take a decision about a study in."""
        async with self._deciding:
            study = self.document(act.study, act.study_digest)
            standing = standing_of(study, self._decisions(study))
            decision = as_decision(act, caller.keys.id, entry)
            known = {d.entry for d in self._decisions(study)}
            if entry.id not in known:
                decide(standing, study, decision)
            recorded = await self._desk.record(entry, act, caller, beside=beside)
        if isinstance(act, acts.StudySuspended | acts.StudyClosed):
            await self._desk.stop_study(
                act.study_digest, f"The study was {decision.kind} while the train was under way"
            )
        return recorded

    def view(self, name: str) -> messages.StudyView:
        """Return a study's document with the entries of all decisions about it.

        Who took them at a station, and in which words, is not for all who may look at the study.
        """
        study = self.document(name)
        entries = tuple(acts.CLASSES.parted(entry)[0] for _, entry in self._acts_about(study))
        return messages.StudyView(document=self._store.study(name), entries=entries)

    def _acts_about(self, study: StudyDocument) -> list[tuple[acts.Act, Entry]]:
        digest = study.digest
        found: list[tuple[acts.Act, Entry]] = []
        for stored in self._store.acts(study=study.id):
            keys = self._desk.caller_named(stored.party).keys
            act = acts.read_act(stored.entry, keys)
            if isinstance(act, acts.StudyAct) and act.study_digest == digest:
                found.append((act, stored.entry))
        return found

    def _decisions(self, study: StudyDocument) -> list[Decision]:
        return [
            as_decision(act, read_kid(entry.jws), entry) for act, entry in self._acts_about(study)
        ]

    # Trains and requests

    async def take_train(self, message: messages.TrainMessage, caller: Caller) -> messages.Recorded:
        """Take a bundle in, checked whole and signed by its author."""
        act = acts.expect_act(message.entry, caller.keys, acts.TrainPacked)
        if read_kid(message.author) != caller.keys.id:
            raise NotAllowed("A bundle is brought by its author")
        opened = verify_bundle(message.bundle, message.author, caller.keys)
        if act.train != opened.digest:
            raise Refused("The act names another bundle than the one that came")
        await asyncio.to_thread(self._store.blobs.put, message.bundle)
        return await self._desk.record(
            message.entry,
            act,
            caller,
            also=lambda connection, _: self._store.add_train(
                connection, opened.digest, message.author, caller.name
            ),
            beside=message.beside,
        )

    def check_request(self, act: acts.JourneyRequested, caller: Caller) -> None:
        """Refuse a journey that its study does not permit, or that contradicts itself.

        Raises:
            Refused, NotFound, Conflict: The request is not acceptable.
            NotPermitted: A gate does not pass.
        """
        request = act.request
        if act.journey != request.journey:
            raise Refused("The act is about another journey than its request")
        check_request(request)
        self._check_time(act.at)
        study = self.document(request.study, request.study_digest)
        if not self._store.has_train(request.train):
            raise NotFound(
                f"The train {request.train} was not brought here",
                advice="Send it with 'branchline train send'",
            )
        signer = read_kid(request.author)
        person = study.person_with(signer)
        if person is None:
            raise NotAllowed("The train is signed by nobody of the study")
        opened = verify_bundle(self._store.blobs.get(request.train), request.author, person.keys)
        about = self._acts_about(study)
        terms = announced_terms(about)
        facts = facts_of(
            study,
            [as_decision(a, read_kid(e.jws), e) for a, e in about],
            request,
            caller.keys.id,
            signer,
            reproducible=opened.environment.reproducible,
            use_terms={s: terms[s] for s in request.route.stations if s in terms},
        )
        require_permit(facts, self._clock.now())

    def _check_time(self, at: str) -> None:
        skew = abs((parse_time(at) - self._clock.now()).total_seconds())
        if skew > MAX_SKEW_SECONDS:
            raise Refused(
                f"The act's time differs from central's by {skew:.0f} s",
                advice="Set this machine's clock",
            )

    # Evidence

    async def evidence(self, course: Course) -> messages.Evidence:
        """Gather everything with which a result can be verified offline."""
        request = course.journey.request
        study = self.revision(request.study_digest)
        stored = [
            act
            for act in self._store.acts(study=study.id)
            if act.entry.id in {entry.id for _, entry in self._acts_about(study)}
        ] + self._store.acts(journey=course.journey.id)
        receipts = await self._receipts([act.position for act in stored], study)
        items = tuple(
            messages.EvidenceItem(
                entry=act.entry,
                keys=self._desk.caller_named(act.party).keys,
                receipt=receipt,
            )
            for act, receipt in zip(stored, receipts, strict=True)
        )
        return messages.Evidence(
            study=self._store.study_revision(request.study_digest),
            author=request.author,
            items=items,
            log_vkey=self._log_vkey,
            erasures=self._erasures({act.entry.id for act in stored}),
        )

    def _erasures(self, entries: set[Digest]) -> tuple[Entry, ...]:
        """Return the words by which any of some entries were erased in part."""
        found = []
        for stored in self._store.erasures():
            keys = self._desk.caller_named(stored.party).keys
            if acts.expect_act(stored.entry, keys, acts.EntryErased).entry in entries:
                found.append(stored.entry)
        return tuple(found)

    async def _receipts(self, positions: list[int], study: StudyDocument) -> list[str]:
        """Return receipts that the study's witnesses vouch for, or else the best there are.

        A result is its requester's also while hospitals sleep. What lacks a quorum says so itself,
        and the evidence can be fetched again.
        """
        witnessing = self._desk.witnessing
        try:
            return await witnessing.receipts(positions, policy_of(study), patience=_PATIENCE)
        except Unavailable:
            return witnessing.best(positions)
