"""One stop, carried out: does what each state asks for and turns what happened into events."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy.exc import OperationalError

from branchline.disclosure.findings import Findings
from branchline.disclosure.policy import person_may_release
from branchline.environment.errors import EnvironmentDamaged
from branchline.environment.host import EnvironmentRefused
from branchline.foundation.buffers import Room
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Bytes, Digest
from branchline.foundation.errors import BranchlineError, Corrupt, Unavailable
from branchline.foundation.ids import new_id
from branchline.foundation.sealing import Opening, Sealed, seal, unseal
from branchline.foundation.tasks import leave_off
from branchline.journey import acts
from branchline.journey.environments import DAMAGED, Ready
from branchline.journey.execution import Checked, TrainRun, findings_as_json
from branchline.journey.messages import Notice, Receipts, ReceiptsWanted
from branchline.journey.stop import ASKS, Event, Instruction, State, replay, step
from branchline.ledger.entry import Entry
from branchline.sandbox.engine import Failed, FailureReason
from branchline.station.gates import Admitted, own_study, read_request, require_still
from branchline.station.house import StationHouse
from branchline.station.outbox import RECORDED
from branchline.station.receipts import check_receipts
from branchline.station.store import PersonsWord, Queued, StoredEvent
from branchline.station.topics import dataset_topic, stop_topic
from branchline.station.trust import check_state, recipient
from branchline.study.document import StudyDocument

log = logging.getLogger("branchline.station")

A = TypeVar("A", bound=acts.StopAct)

SAFE_FAILURES: Mapping[str, str] = {
    FailureReason.TRAIN_ERROR: "The train's code raised an error",
    FailureReason.MEMORY: "The train used more memory than the station allows",
    FailureReason.PROCESSES: "The train started more processes than the station allows",
    FailureReason.CPU_TIME: "The train used more CPU time than the station allows",
    FailureReason.WALL_TIME: "The train took longer than the station allows",
    FailureReason.OUTPUT_SIZE: "The train put out more than the station allows",
    FailureReason.BAD_OUTPUT: "The train's output is not of the form outputs have",
    FailureReason.KILLED: "The train ended before it was done",
}
"""The only sentences about a failure that leave the station."""

NOT_RUN = "The station could not run the train"
NOT_CHECKED = "The station could not check what the train needs"
LARGE = 1 << 20


@dataclass
class _Round:
    """What is in hand in the round under way."""

    number: int = 0
    notice: Notice | None = None
    payload: Bytes = b""
    findings: Findings | None = None
    findings_digest: Digest | None = None
    by: str = ""
    values: int = 0
    suppressed: tuple[str, ...] = ()


class Visit:
    """One attempt of one journey at this station.

    Args:
        house: What the station has: keys, store, client, engine, settings.
        notice: The notice with which the train came.
    """

    def __init__(self, house: StationHouse, notice: Notice) -> None:
        self._house, self._notice = house, notice
        self.journey, self.attempt = notice.journey, notice.attempt
        self._round = _Round(number=notice.round, notice=notice)
        self._admitted: Admitted | None = None
        self._ready: Ready | None = None
        self._bundle = b""
        self._run: TrainRun | None = None
        self._room = Room()
        self._words: asyncio.Queue[PersonsWord] = asyncio.Queue()
        self._notices: asyncio.Queue[Notice] = asyncio.Queue()
        self._values = house.store.released_values(notice.journey)
        self._task: asyncio.Task[None] | None = None
        self._on_record = False
        events = house.store.events(self.journey, self.attempt)
        self.state = replay([event.event for event in events])
        self._departed = max((e.round for e in events if e.event == Event.DEPARTED), default=0)
        self._restore(events)

    def _restore(self, events: list[StoredEvent]) -> None:
        last = events[-1] if events else None
        if last is not None and self.state in (State.HELD, State.CLEARED):
            # The output waits sealed to this station; a person's word finishes it.
            number, sealed, findings = self._house.store.held(self.journey)
            self._round.number = number
            self._round.payload = bytes(unseal(sealed, self._house.identity.seal_private))
            self._round.findings_digest = digest_of_json(findings)
            self._round.by = str(last.detail.get("by", ""))
            self._round.values = int(last.detail.get("values", 0))
            self._round.suppressed = tuple(
                f["output"] for f in findings if f["verdict"] == "suppressed"
            )

    # The loop

    def start(self) -> None:
        """Begin or go on, in the background."""
        self._task = asyncio.create_task(self._drive(), name=f"visit {self.journey}")

    async def _drive(self) -> None:
        handlers: Mapping[Instruction, Callable[[], Awaitable[Event]]] = {
            Instruction.FETCH: self._fetch,
            Instruction.CHECK_GATES: self._check_gates,
            Instruction.DECIDE: self._decide,
            Instruction.AWAIT_PERSON: self._await_person,
            Instruction.BIND: self._bind,
            Instruction.RUN: self._run_round,
            Instruction.CHECK_OUTPUTS: self._check_outputs,
            Instruction.DEPART: self._depart,
            Instruction.AWAIT_CENTRAL: self._await_central,
        }
        try:
            while self.state is not State.ENDED:
                event = await self._patiently(handlers[ASKS[self.state]])
                self.state, _ = step(self.state, event)
        except Exception:
            log.exception("the visit of %s stopped", self.journey)
            await self._report_failure(NOT_RUN)

    async def _patiently(self, handler: Callable[[], Awaitable[Event]]) -> Event:
        """Do it again while what hinders it may pass: central away, a full disk."""
        pause = 0.2
        while True:
            try:
                return await handler()
            except (Unavailable, OSError, OperationalError) as error:
                log.warning("%s waits: %s", self.journey, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)

    async def end(self, phase: str) -> None:
        """End at once, whatever is under way, and clear everything away."""
        if self._task is not None:
            await leave_off([self._task])
        await self._clear()
        if self.state is not State.ENDED:
            self.state = State.ENDED
            act = self._made(acts.StopFinished)
            queued = self._queue(act, [])
            self._house.store.end_visit(self.journey, self.attempt, {"phase": phase})
            await self._house.outbox.send(queued)
            self._house.store.write_settled()

    async def stop(self) -> None:
        """Leave off without ending: the station goes down and will go on when it is back."""
        if self._task is not None:
            await leave_off([self._task])
        await self._clear()

    async def _clear(self) -> None:
        if self._run is not None:
            await self._run.close()
            self._run = None
        self._room = Room()

    def told(self, notice: Notice) -> None:
        """Take a notice about the next round, or about another recipient."""
        if notice.kind in ("round", "forward"):
            self._notices.put_nowait(notice)

    def word(self, word: PersonsWord) -> None:
        """Take a person's decision."""
        self._words.put_nowait(word)

    # What states ask for

    async def _fetch(self) -> Event:
        try:
            request = read_request(self._notice, self._study())
            digest = request.request.train
            self._bundle = bytes(await self._house.client.get_bytes(f"/v1/trains/{digest}"))
        except Unavailable:
            raise
        except BranchlineError as error:
            return await self._decline("policy", error.refused)
        return Event.FETCHED

    async def _check_gates(self) -> Event:
        try:
            self._admitted = await self._house.admit(self._notice, self._bundle)
            self._ready = await self._house.ready(self._admitted)
        except Unavailable:
            raise
        except EnvironmentRefused as error:
            # The cause names folders of this machine: it stays in the station's log.
            log.error("%s cannot be checked: %s", self.journey, error)
            return await self._decline("policy", NOT_CHECKED)
        except EnvironmentDamaged as error:
            log.error("%s: %s", self.journey, error)
            return await self._decline("policy", DAMAGED)
        except BranchlineError as error:
            return await self._decline("policy", error.refused)
        return Event.GATES_PASSED

    async def _decide(self) -> Event:
        if self._house.settings.accept == "person":
            self._house.store.record(self.journey, self.attempt, 0, Event.NEEDS_PERSON, {})
            return Event.NEEDS_PERSON
        return await self._accept("policy")

    async def _await_person(self) -> Event:
        while True:
            word = await self._words.get()
            if self.state is State.ASKED and word.what in ("accept", "decline"):
                self._house.store.carried_out(word.row)
                if word.what == "decline":
                    return await self._decline(word.by, word.reason or "A person declined")
                if self._admitted is None:
                    # Asked before a restart: look again before letting it in.
                    event = await self._look_again()
                    if event is not None:
                        return event
                return await self._accept(word.by)
            if self.state is State.HELD and word.what in ("release", "withhold"):
                self._house.store.carried_out(word.row)
                return await self._persons_release(word)

    async def _look_again(self) -> Event | None:
        if await self._fetch() is Event.DECLINED or await self._check_gates() is Event.DECLINED:
            return Event.DECLINED
        return None

    async def _persons_release(self, word: PersonsWord) -> Event:
        if word.what == "withhold":
            return await self._withhold(
                word.by, word.reason or "A person at the station withheld it"
            )
        self._round.by = word.by
        detail = {"by": word.by, "values": self._round.values}
        self._house.store.record(
            self.journey, self.attempt, self._round.number, Event.CLEARED, detail
        )
        return Event.CLEARED

    async def _accept(self, by: str) -> Event:
        admitted = self._admitted
        assert admitted is not None, "checked before it is accepted"
        assert self._ready is not None, "made ready when it was checked"
        assert self._notice.request is not None, "it was admitted"
        act = self._made(
            acts.StopAccepted,
            by=by,
            request=self._notice.request.id,
            topic=self._house.store.topic(stop_topic(self.journey, self.attempt)).secret,
            dataset=admitted.dataset.name,
            dataset_version=admitted.dataset.version,
            environment=self._ready.digest,
            reproducible=self._ready.reproducible,
        )
        await self._do(act, [(0, Event.ACCEPTED, {"by": by, "act": act.id})])
        return Event.ACCEPTED

    async def _bind(self) -> Event:
        try:
            await self._make_ready()
        except Unavailable:
            raise
        except BranchlineError as error:
            log.warning("%s cannot run: %s", self.journey, error)
            safe = DAMAGED if isinstance(error, EnvironmentDamaged) else NOT_RUN
            return await self._fail(safe, str(error))
        return Event.BOUND

    async def _make_ready(self) -> None:
        if self._admitted is None:
            self._bundle = bytes(await self._house.client.get_bytes(f"/v1/trains/{self._train}"))
            self._admitted = await self._house.admit(self._notice, self._bundle)
        await self._await_receipts()
        ready = self._ready or await self._house.ready(self._admitted)
        if ready.digest != self._accepted_act().environment:
            raise Corrupt("The environment here is another one now than was accepted")
        if self._run is None:
            # Tried again because it could not be recorded, say, the sandbox is there already.
            name = f"{self.journey}-{self.attempt}"
            self._run = await self._house.bind(self._admitted, ready, name)
            self._run.account(self._values)
        act = self._made(
            acts.StopStarted,
            record=self._run.enforced,
        )
        await self._do(act, [])

    async def _await_receipts(self) -> None:
        """Wait until it is proved that this stop is on record; before that no data are touched."""
        if self._on_record:
            return
        request, (accepted, outcome) = self._notice.request, self._accepted()
        assert request is not None, "it was accepted"
        if outcome != RECORDED:
            raise Unavailable("Central has not taken the acceptance in")
        if self._house.cosigner.alarm:
            raise Unavailable(self._house.cosigner.alarm)
        study = self._study()
        act = self._accepted_act()
        asked = read_request(self._notice, study)
        answer = await self._house.client.call(
            "POST",
            "/v1/ledger/receipts",
            body=ReceiptsWanted(study=study.digest, acts=(asked.id, act.id)),
            answer=Receipts,
        )
        try:
            check_receipts(answer, request, accepted, study, self._name)
        except Corrupt as error:
            # What does not prove it proves nothing: the data stay where they are, and central is
            # asked again. Whoever reads the log can see why.
            log.error("%s is not on record: %s", self.journey, error.refused)
            raise Unavailable(error.refused) from error
        self._on_record = True

    def _accepted(self) -> tuple[Entry, str | None]:
        events = self._house.store.events(self.journey, self.attempt)
        (said,) = [e.detail["act"] for e in events if e.event is Event.ACCEPTED]
        return self._house.store.sent(said)

    def _accepted_act(self) -> acts.StopAccepted:
        entry, _ = self._accepted()
        return acts.expect_act(entry, self._house.identity.public, acts.StopAccepted)

    async def _run_round(self) -> Event:
        if self._run is None:
            # The sandbox was lost with the process that held it; everything is made again.
            event = await self._bind()
            if event is not Event.BOUND:
                return event
        assert self._run is not None
        assert self._admitted is not None, "admitted before it was bound"
        try:
            require_still(self._admitted, self._house.approval_for(self._notice), self._house.clock)
        except BranchlineError as error:
            return await self._fail("The study no longer permits this journey", str(error))
        try:
            outcome = await self._run.run(self._round.number, await self._state())
        except Corrupt as error:
            return await self._fail("The state that came is damaged", str(error))
        if isinstance(outcome, Failed):
            return await self._fail(SAFE_FAILURES[outcome.reason], outcome.trace)
        self._keep(outcome)
        return Event.COLLECTED

    def _keep(self, outcome: Checked) -> None:
        plain = findings_as_json(outcome.findings)
        self._round.payload = outcome.payload
        self._round.findings = outcome.findings
        self._round.values = outcome.findings.released_values
        self._round.findings_digest = digest_of_json(plain)
        self._round.suppressed = tuple(f["output"] for f in plain if f["verdict"] == "suppressed")
        self._decision = outcome.decision

    async def _check_outputs(self) -> Event:
        decision = self._decision
        findings = self._round.findings
        assert findings is not None
        if decision.action == "withhold" or not person_may_release(findings):
            return await self._withhold("policy", str(decision.reason))
        if decision.action == "hold":
            return await self._hold(findings)
        self._round.by = "policy"
        return Event.CLEARED

    async def _hold(self, findings: Findings) -> Event:
        own = [self._house.identity.public.seal]
        sealed = bytes(seal(self._round.payload, own))
        number = self._round.number
        text = json.dumps(findings_as_json(findings))
        self._house.store.hold(self.journey, self.attempt, number, sealed, text)
        act = self._made(
            acts.StopHeld,
            round=number,
        )
        await self._do(act, [(number, Event.HELD, {"values": self._round.values})])
        return Event.HELD

    async def _depart(self) -> Event:
        number, payload = self._round.number, self._round.payload
        to = recipient(self._study(), self._notice, self._name, self._notice.to)
        parcel = await self._house.outbox.seal(payload, [to])
        act = self._made(
            acts.StopReleased,
            round=number,
            parcel=parcel.digest,
            content=parcel.content,
            findings=self._round.findings_digest or digest_of_json([]),
            by=self._round.by,
            record=self._record(),
            suppressed=self._round.suppressed,
        )
        if self._notice.to:
            # Sequential: the output may have to be sealed to somebody else if a station is skipped.
            own = bytes(seal(payload, [self._house.identity.public.seal]))
            self._house.store.hold(self.journey, self.attempt, number, own, "[]")
        detail = {"by": self._round.by, "values": self._round.values}
        await self._do(act, [(number, Event.DEPARTED, detail)], parcel)
        self._values += self._round.values
        if self._run is not None:
            self._run.account(self._round.values)
        self._departed = number
        # Both may be large, and the next round may be long in coming.
        self._round.payload, self._round.findings = b"", None
        return Event.DEPARTED

    def _record(self) -> Digest:
        # An output that was released after a restart ran in a sandbox this process did not see.
        return self._house.enforced if self._run is None else self._run.enforced

    async def _await_central(self) -> Event:
        while True:
            notice = await self._notices.get()
            if notice.kind == "forward":
                await self._forward(notice)
            elif self.state is State.DEPARTED and notice.round == self._departed + 1:
                self._round = _Round(number=notice.round, notice=notice)
                return Event.NEXT_ROUND

    async def _forward(self, notice: Notice) -> None:
        number, sealed, _ = self._house.store.held(self.journey)
        payload = unseal(sealed, self._house.identity.seal_private)
        to = recipient(self._study(), self._notice, self._name, notice.to)
        parcel = await self._house.outbox.seal(payload, [to])
        act = self._made(
            acts.StopForwarded,
            round=number,
            parcel=parcel.digest,
            content=parcel.content,
        )
        await self._do(act, [], parcel)

    # Endings that are reported

    async def _decline(self, by: str, reason: str) -> Event:
        act = self._made(
            acts.StopDeclined,
            by=by,
            reason=reason[:500],
        )
        await self._do(act, [(0, Event.DECLINED, {"by": by, "reason": reason[:500]})])
        return Event.DECLINED

    async def _withhold(self, by: str, reason: str) -> Event:
        number = self._round.number
        act = self._made(
            acts.StopWithheld,
            round=number,
            by=by,
            reason=reason[:500],
            findings=self._round.findings_digest or digest_of_json([]),
        )
        findings = self._round.findings
        detail = {"by": by, "reason": reason[:500]}
        if findings is not None:
            detail["findings"] = json.dumps(findings_as_json(findings))
        await self._clear()
        await self._do(act, [(number, Event.WITHHELD, detail)])
        return Event.WITHHELD

    async def _fail(self, safe: str, trace: str) -> Event:
        act = self._made(
            acts.StopFailed,
            round=self._round.number,
            reason=safe,
        )
        detail = {"reason": safe, "trace": trace[-20_000:]}
        # Nothing of the data lies about any more when the requester learns of it.
        await self._clear()
        await self._do(act, [(self._round.number, Event.FAILED, detail)])
        return Event.FAILED

    async def _report_failure(self, safe: str) -> None:
        if self.state in (State.ACCEPTED, State.READY, State.COLLECTED, State.CLEARED):
            await self._fail(safe, "")
            self.state = State.FAILED

    # Small things

    def _made(self, kind: type[A], **fields: Any) -> A:
        """Return an act of this stop, now."""
        return kind(
            id=new_id("act"),
            at=self._house.now(),
            journey=self.journey,
            station=self._house.settings.name,
            **fields,
        )

    async def _do(
        self,
        act: acts.StopAct,
        happened: list[tuple[int, Event, dict[str, Any]]],
        parcel: Sealed | None = None,
    ) -> None:
        """Make an act durable here, then tell central; unreachable, it waits in the outbox."""
        await self._house.outbox.send(self._queue(act, happened, parcel))

    def _queue(
        self,
        act: acts.StopAct,
        happened: list[tuple[int, Event, dict[str, Any]]],
        parcel: Sealed | None = None,
    ) -> Queued:
        small = bytes(parcel.data) if parcel is not None and parcel.file is None else None
        return self._house.store.queue(
            self.journey,
            self.attempt,
            happened,
            act,
            self._house.sign,
            self._topics,
            None if parcel is None else parcel.digest,
            small,
        )

    @cached_property
    def _topics(self) -> list[str]:
        """What everything done in this visit belongs to: the stop, and the dataset if it is here."""
        dataset = self._house.dataset_asked(self._notice)
        own = [stop_topic(self.journey, self.attempt)]
        return own if dataset is None else [dataset_topic(dataset), *own]

    async def _state(self) -> Bytes | Opening | None:
        notice = self._round.notice
        ref = notice.state if notice is not None else None
        if ref is None:
            return None
        check_state(self._study(), self.journey, self._round.number, ref)
        data: Bytes | None = ref.data
        if data is None:
            # The state of the round before is in the sandbox long since.
            data = await self._house.client.get_bytes(f"/v1/parcels/{ref.digest}", self._room)
        own = self._house.identity.seal_private
        if len(data) > LARGE:
            # Opened while it is written to the sandbox's memory, not before.
            return Opening(data, own, ref.digest)
        return unseal(data, own, ref.digest)

    def _study(self) -> StudyDocument:
        if self._admitted is not None:
            return self._admitted.study
        return own_study(self._house.approval_for(self._notice))

    @property
    def _train(self) -> Digest:
        return read_request(self._notice, self._study()).request.train

    @property
    def _name(self) -> str:
        return self._house.settings.name
