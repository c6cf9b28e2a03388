"""A simulated world for the tests of journeys: parties with keys, a study, a ledger, whole journeys.

Nothing is mocked: entries are signed, the ledger is a real one over SQLite, the train is a bundle.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from tests.ledger.disk import SimulatedDisk
from tests.train import locks

from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import rfc3339
from branchline.foundation.database import open_database, writing
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.enrolment import witness_vkey
from branchline.journey.messages import Evidence, EvidenceItem
from branchline.journey.request import JourneyRequest, Route
from branchline.journey.verify import Report, verify_evidence
from branchline.ledger.entry import Entry
from branchline.ledger.log import Log
from branchline.ledger.proof.cosignature import cosign
from branchline.ledger.proof.note import key_of
from branchline.ledger.topics import tag_of
from branchline.study.document import StudyDocument, parse_study
from branchline.train.archive import File, read_archive
from branchline.train.bundle import Bundle, pack_files, sign_bundle
from branchline.train.template import new_train

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORIGIN = "localhost/branchline"
STATIONS = ("north", "south", "west")
IDS = {name: Identity.create() for name in ("ada", "ben", "eve", *STATIONS, "central")}
"""ada proposes, signs the train and asks; ben approves; eve is a researcher of the study too."""

WITNESSES = {name: Identity.create() for name in STATIONS}
"""The keys with which the stations cosign."""

VKEY = key_of(ORIGIN, IDS["central"].public).text
PAYLOAD = b"what the requester opened"
CONTENT = digest_of(PAYLOAD)
REQUESTED = digest_of(b"the request, once it is signed")
"""Stands in a story for the leaf of its request, which is known when that is signed."""
TOPIC = b"the secret of a stop's own topic"
"""Stands in a story for the topic's secret, which each stop gets when it is signed."""


@cache
def bundle(route: str) -> Bundle:
    """Return the template's train for a route."""
    kind: Any = route
    texts = new_train("mean-age", route=kind)
    return pack_files({name: File(text.encode()) for name, text in texts.items()})


@cache
def locked_bundle(route: str) -> Bundle:
    """Return the same train with a lock, so that it runs in the image that the lock names."""
    files = read_archive(bundle(route).data)
    manifest = files["train.toml"].data.replace(
        b"python = [", b'lock = "branchline.lock"\npython = ['
    )
    lock = locks.lock("numpy==2.4.0", "pandas==3.0.0", "pyarrow==25.0.0")
    files |= {
        "train.toml": File(manifest),
        "branchline.lock": File(lock.text.encode()),
        "pylock.toml": File(locks.PYLOCK),
    }
    return pack_files(files)


def document(**changes: Any) -> StudyDocument:
    """Return the study, with some fields changed, as a program would read it."""
    plain: dict[str, Any] = {
        "v": 1,
        "id": "ages",
        "title": "How old patients are",
        "purpose": "To know it.",
        "protocol": "A mean.",
        "duo": ["HMB"],
        "people": [
            _party("ada", role="principal-investigator"),
            _party("ben", role="ethics-officer"),
            _party("eve", role="researcher"),
        ],
        "stations": [
            _party(name, datasets=["trial", "other"], witness=witness_vkey(ORIGIN, name, own))
            for name, own in WITNESSES.items()
        ],
        "central": {
            "origin": ORIGIN,
            "keys": msgspec.to_builtins(IDS["central"].public),
            "log_vkey": VKEY,
        },
        "proposer": "ada",
        "approver": "ben",
        "valid_from": "2026-11-01T00:00:00Z",
        "valid_until": "2027-11-01T00:00:00Z",
    }
    return msgspec.convert(plain | changes, StudyDocument)


def _party(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "keys": msgspec.to_builtins(IDS[name].public), **more}


@dataclass(frozen=True)
class Done:
    """An act and who signs it."""

    who: str
    act: acts.Act


@dataclass(frozen=True)
class Story:
    """A journey as it came to the ledger.

    Args:
        study: The document's bytes.
        request: What the requester asked for.
        train: The bundle.
        payload: The result.
        done: Who did what, in the ledger's order; None is an entry of somebody else's.
    """

    study: bytes
    request: JourneyRequest
    train: Bundle
    payload: bytes
    done: tuple[Done | None, ...]

    def index(self, kind: type[acts.Act], **fields: Any) -> int:
        """Return where the first act of a kind with these fields stands."""
        for number, done in enumerate(self.done):
            same = done and all(getattr(done.act, k, None) == v for k, v in fields.items())
            if done and same and isinstance(done.act, kind):
                return number
        raise LookupError(kind)

    def locked(self) -> Story:
        """Return the same journey of a train with a lock, everywhere in the image it names."""
        train = locked_bundle(self.request.route.kind)
        request = msgspec.structs.replace(
            self.request, train=train.digest, author=sign_bundle(train, IDS["ada"])
        )
        story = replace(self, request=request, train=train)
        changes: dict[type[acts.Act], dict[str, Any]] = {
            acts.JourneyRequested: {"request": request},
            acts.JourneyPrepared: {"environment": locks.IMAGE},
            acts.StopAccepted: {"environment": locks.IMAGE, "reproducible": True},
        }
        for at, done in enumerate(self.done):
            if done is not None and type(done.act) in changes:
                story = story.changed(at, **changes[type(done.act)])
        return story

    def changed(self, at: int, /, **changes: Any) -> Story:
        """Return the story with another content of one act, signed by the same party."""
        done = self.done[at]
        assert done is not None
        act = msgspec.structs.replace(done.act, **changes)
        return self.with_done(at, Done(done.who, act))

    def with_done(self, at: int, done: Done) -> Story:
        """Return the story with another act at a place."""
        return replace(self, done=(*self.done[:at], done, *self.done[at + 1 :]))

    def without(self, at: int) -> Story:
        """Return the story without an act."""
        return replace(self, done=self.done[:at] + self.done[at + 1 :])

    def inserted(self, at: int, *done: Done) -> Story:
        """Return the story with more acts before a place."""
        return replace(self, done=(*self.done[:at], *done, *self.done[at:]))

    def moved(self, at: int, to: int) -> Story:
        """Return the story with an act elsewhere."""
        rest = list(self.done)
        rest.insert(to, rest.pop(at))
        return replace(self, done=tuple(rest))


class Teller:
    """Make acts with an id each and a second between them."""

    def __init__(self, journey: str = "") -> None:
        self.journey = journey or new_id("journey")
        self._at = NOW

    def __call__(self, who: str, kind: type[acts.Act], **fields: Any) -> Done:
        """Return an act of a party."""
        self._at += timedelta(seconds=1)
        if issubclass(kind, acts.JourneyAct):
            fields.setdefault("journey", self.journey)
        if issubclass(kind, acts.StopAct):
            fields.setdefault("station", who)
        return Done(who, kind(id=new_id("act"), at=rfc3339(self._at), **fields))


def parcel(*names: object) -> Digest:
    """Return the digest of some parcel or payload."""
    return digest_of(repr(names).encode())


def permitted(tell: Teller, study: StudyDocument, stations: Iterable[str]) -> list[Done]:
    """Return the acts that let a study run at some stations."""
    about: dict[str, Any] = {"study": study.id, "study_digest": study.digest}
    return [
        tell("ada", acts.StudyProposed, **about),
        tell("ben", acts.StudyApproved, **about),
        *(
            tell(
                name,
                acts.SiteApproved,
                **about,
                station=name,
                datasets={"trial": ("GRU",)},
                by="steward",
            )
            for name in stations
        ),
    ]


def request_of(tell: Teller, study: StudyDocument, route: Route) -> JourneyRequest:
    """Return ada's request for a journey with ada's train."""
    train = bundle(route.kind)
    return JourneyRequest(
        journey=tell.journey,
        study=study.id,
        study_digest=study.digest,
        train=train.digest,
        author=sign_bundle(train, IDS["ada"]),
        route=route,
        parameters={"column": "age", "bins": [1, 2.5]},
        datasets=dict.fromkeys(route.stations, "trial"),
    )


def accepted(tell: Teller, name: str, **changes: Any) -> Done:
    """Return a station's acceptance."""
    fields: dict[str, Any] = {
        "by": "policy",
        "request": REQUESTED,
        "topic": TOPIC,
        "dataset": "trial",
        "dataset_version": parcel(name, "data"),
        "environment": parcel("environment"),
        "reproducible": False,
    }
    return tell(name, acts.StopAccepted, **(fields | changes))


def released(tell: Teller, name: str, round_: int, **changes: Any) -> Done:
    """Return a station's release of one round."""
    fields: dict[str, Any] = {
        "round": round_,
        "parcel": parcel(name, round_),
        "content": parcel(name, round_, "content"),
        "findings": parcel("findings"),
        "by": "policy",
        "record": parcel("record"),
    }
    return tell(name, acts.StopReleased, **(fields | changes))


def withheld(tell: Teller, name: str, round_: int) -> Done:
    """Return a station's word that it keeps an output back."""
    return tell(
        name,
        acts.StopWithheld,
        round=round_,
        by="policy",
        reason="Fewer records than the station's minimum",
        findings=parcel("findings"),
    )


def combined(
    tell: Teller, round_: int, stations: Iterable[str], *, final: bool, **changes: Any
) -> Done:
    """Return the aggregator's act over a round."""
    fields: dict[str, Any] = {
        "round": round_,
        "inputs": {name: parcel(name, round_) for name in stations},
        "state": None if final else parcel("state", round_),
        "result": parcel("result") if final else None,
        "content": CONTENT if final else parcel("state", round_, "content"),
    }
    return tell("central", acts.JourneyCombined, **(fields | changes))


def parallel(**about_study: Any) -> Story:
    """Tell of two rounds over three stations, of which west withholds its first output."""
    tell, study = Teller(), document(**about_study)
    request = request_of(tell, study, Route("parallel", STATIONS, rounds=3, quorum=2))
    done = [
        *permitted(tell, study, STATIONS),
        None,
        tell("ada", acts.JourneyRequested, request=request),
        tell("central", acts.JourneyPrepared, recipient="age1", custody=b"sealed"),
        *(accepted(tell, name) for name in STATIONS),
        None,
        released(tell, "south", 1, suppressed=("counts",)),
        withheld(tell, "west", 1),
        released(tell, "north", 1),
        combined(tell, 1, ("north", "south"), final=False),
        tell("west", acts.StopFinished),
        released(tell, "north", 2),
        tell("south", acts.StopHeld, round=2),
        released(tell, "south", 2, by="a person"),
        combined(tell, 2, ("north", "south"), final=True),
        tell("north", acts.StopFinished, record=parcel("record")),
        tell("ada", acts.JourneyDelivered, content=CONTENT),
        None,
    ]
    return _story(study, request, done)


def sequential(**about_study: Any) -> Story:
    """Tell of a sequence north, south, west in which south fails, is sent to again, and declines."""
    tell, study = Teller(), document(**about_study)
    route = Route("sequential", STATIONS, quorum=2)
    request = request_of(tell, study, route)
    done = [
        *permitted(tell, study, STATIONS),
        tell("ada", acts.JourneyRequested, request=request),
        accepted(tell, "north"),
        released(tell, "north", 1),
        None,
        accepted(tell, "south"),
        tell("south", acts.StopFailed, round=1, reason="train-error"),
        tell("ada", acts.StopRetried, station="south"),
        tell("south", acts.StopDeclined, by="steward", reason="Not today"),
        tell("ada", acts.StopSkipped, station="south"),
        tell(
            "north",
            acts.StopForwarded,
            round=1,
            parcel=parcel("anew"),
            content=parcel("north", 1, "content"),
        ),
        accepted(tell, "west"),
        released(tell, "west", 1, content=CONTENT),
        tell("ada", acts.JourneyDelivered, content=CONTENT),
    ]
    return _story(study, request, done)


def _story(study: StudyDocument, request: JourneyRequest, done: Sequence[Done | None]) -> Story:
    data = canonical_json(study)
    assert parse_study(data) == study
    return Story(data, request, bundle(request.route.kind), PAYLOAD, tuple(done))


def sign(done: Done) -> Entry:
    """Return an act as its ledger entry."""
    return acts.sign_act(done.act, IDS[done.who])


def sign_all(story: Story) -> list[Entry | None]:
    """Return a story's acts as entries; what was accepted is the request that was signed."""
    numbered = _numbered(story)
    first = [n for n, d in enumerate(story.done) if d and isinstance(d.act, acts.JourneyRequested)]
    entries: dict[int, Entry] = {}
    for number in (*first, *(n for n in range(len(story.done)) if n not in first)):
        done = story.done[number]
        if done is None:
            continue
        act: acts.Act = done.act
        tags: tuple[str, ...] = ()
        if number in numbered:
            secret, place = numbered[number]
            tags = (tag_of(secret, place),)
            if isinstance(act, acts.StopAccepted) and act.topic == TOPIC:
                act = msgspec.structs.replace(act, topic=secret)
        if first and isinstance(act, acts.StopAccepted) and act.request == REQUESTED:
            act = msgspec.structs.replace(act, request=entries[first[0]].id)
        entries[number] = acts.sign_act(act, IDS[done.who], tags)
    return [entries.get(number) for number in range(len(story.done))]


def _numbered(story: Story) -> dict[int, tuple[bytes, int]]:
    """Return the secret and the number of each entry of a stop that was let in."""
    found: dict[int, tuple[bytes, int]] = {}
    stops: dict[str, tuple[bytes, int]] = {}
    for number, done in enumerate(story.done):
        if done is None or not isinstance(done.act, acts.JourneyAct):
            continue
        if isinstance(done.act, acts.StopAccepted):
            stops[done.who] = (secrets.token_bytes(32), 0)
        if done.who in stops:
            found[number] = stops[done.who]
            stops[done.who] = (stops[done.who][0], stops[done.who][1] + 1)
    return found


def evidence_of(
    story: Story, log_key: str = "central", cosigners: Iterable[str] = STATIONS
) -> Evidence:
    """Write a story to a ledger of its own and gather what a requester gets of it."""
    return gather(story, sign_all(story), log_key, cosigners)


def gather(
    story: Story,
    entries: Sequence[Entry | None],
    log_key: str = "central",
    cosigners: Iterable[str] = STATIONS,
) -> Evidence:
    """Put entries into a new ledger, in order, and return them with their receipts."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(Path(folder) / "ledger.db")
        log = Log(engine, SimulatedDisk(), ORIGIN, IDS[log_key])
        with writing(engine) as connection:
            for entry in entries:
                log.append(connection, b"somebody else's" if entry is None else entry.leaf)
        log.integrate()
        note = cosigned(log.checkpoint().decode(), cosigners)
        receipts = log.prove_many(range(len(entries)), at=note)
        engine.dispose()
    items = [
        EvidenceItem(entry=entry, keys=IDS[done.who].public, receipt=receipt.text)
        for entry, done, receipt in zip(entries, story.done, receipts, strict=True)
        if entry is not None and done is not None
    ]
    return Evidence(
        study=story.study, author=story.request.author, items=tuple(items), log_vkey=log.vkey
    )


def cosigned(note: str, cosigners: Iterable[str], at: datetime = NOW) -> str:
    """Return a checkpoint with the cosignatures of some stations."""
    text = note.partition("\n\n")[0] + "\n"
    return note + "".join(
        cosign(text, f"{ORIGIN}/witness/{name}", WITNESSES[name], int(at.timestamp())).line
        for name in cosigners
    )


def judge(story: Story, evidence: Evidence | None = None, **changes: Any) -> Report:
    """Verify a story, or other evidence for it."""
    given: dict[str, Any] = {
        "evidence": evidence or evidence_of(story),
        "request": story.request,
        "bundle": story.train.data,
        "payload": story.payload,
        "log_vkey": VKEY,
    }
    return verify_evidence(**(given | changes))
