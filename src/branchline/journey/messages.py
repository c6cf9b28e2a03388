"""What programs say to each other: strict schemas for every message, version 1.

Unknown fields are refused; octets ride in JSON as base64 only while they are small.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from branchline.foundation.digest import Digest, WireDigest, WirePayloadDigest
from branchline.foundation.ids import Id, Name
from branchline.foundation.keys import PublicKeys
from branchline.journey.machine import Phase, StopPhase
from branchline.ledger.beside import Beside
from branchline.ledger.entry import Entry

INLINE = 48 << 10
"""Parcels up to this many bytes ride inside a message; larger ones are fetched."""

PartyKind = Literal["person", "station", "central"]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every message has in common: it is read strictly."""


class Hello(Message, frozen=True):
    """What a central service says of itself to anybody."""

    versions: tuple[int, ...]
    program: str
    origin: str
    keys: PublicKeys
    log_vkey: str
    now: str


class EnrolMessage(Message, frozen=True):
    """Join with an invitation; signed with the new key itself."""

    invitation: Annotated[str, msgspec.Meta(max_length=128)]
    name: Name
    kind: PartyKind
    keys: PublicKeys
    entry: Entry
    beside: Beside | None = None


class Party(Message, frozen=True):
    """A party as the registry knows it; the witness key and the legal entity as it announced them."""

    name: Name
    kind: PartyKind
    keys: PublicKeys
    witness: str = ""
    entity: Name | None = None


class Recorded(Message, frozen=True):
    """Where an act stands in the ledger, durably."""

    position: int
    entry: WireDigest


class ActMessage(Message, frozen=True):
    """An act, with what lies beside its entry and the small parcels it speaks of."""

    entry: Entry
    beside: Beside | None = None
    parcels: dict[WirePayloadDigest, bytes] = {}


class StudyMessage(Message, frozen=True):
    """A study put forward: the act and the document it names."""

    entry: Entry
    document: bytes
    beside: Beside | None = None


class TrainMessage(Message, frozen=True):
    """A bundle sent to central: the act, the author's signature, and the bundle's bytes."""

    entry: Entry
    author: str
    bundle: bytes
    beside: Beside | None = None


class StudyView(Message, frozen=True):
    """A study with everything decided about it."""

    document: bytes
    entries: tuple[Entry, ...]


class ParcelRef(Message, frozen=True):
    """A parcel: its digest, whose act names it, and its bytes when they are few."""

    digest: WirePayloadDigest
    entry: Entry
    station: str = ""
    data: bytes | None = None


NoticeKind = Literal["visit", "round", "forward", "end", "custody", "prepare", "combine"]


class Notice(Message, frozen=True):
    """What central tells a party to do now; told again until it is done.

    Args:
        kind: ``visit`` a train has come; ``round`` go on with the next; ``forward`` seal the last
            output to somebody else; ``end`` clear away; ``custody`` give the aggregator's key
            back; ``prepare`` and ``combine`` for the station that hosts the aggregator.
        journey: Which.
        attempt: Of the visit.
        round: Which.
        request: The requester's act.
        position: Where that act stands in the ledger.
        receipt: Its receipt.
        retried: For a further attempt: the requester's act that asks for it.
        prepared: The act that names the aggregator's recipient; None on a sequential route.
        state: The present state; None before the first.
        inputs: For ``combine``: what the stations released.
        to: Sequential: the name of whom the output is sealed to; empty for the aggregator.
        custody: For ``custody``: a statement of central naming its new recipient.
        phase: For ``end``: how the journey ended.
    """

    kind: NoticeKind
    journey: Id
    attempt: int = 1
    round: int = 0
    request: Entry | None = None
    position: int | None = None
    receipt: str = ""
    prepared: Entry | None = None
    retried: Entry | None = None
    state: ParcelRef | None = None
    inputs: tuple[ParcelRef, ...] = ()
    to: str = ""
    custody: str = ""
    phase: str = ""

    @property
    def key(self) -> tuple[str, str, int, int, str]:
        """What makes two notices the same one."""
        return (self.kind, self.journey, self.attempt, self.round, self.to)


class WitnessCall(Message, frozen=True):
    """Central asks a witness to cosign; pushed on the same line as notices.

    Args:
        kind: Tells it from a notice.
        request: What is asked, as the body of ``POST add-checkpoint`` (C2SP tlog-witness).
        first: Position of the first of the entries.
        entries: The entries since the witness's last cosignature, where they are few; the witness
            fetches the others from the ledger's files.
    """

    kind: Literal["witness"]
    request: bytes
    first: int = 0
    entries: tuple[bytes, ...] = ()


def is_witness_call(data: bytes) -> bool:
    """Tell whether what was pushed is a call to cosign; anything else is a notice."""
    return data.startswith(b'{"kind":"witness",')


class WitnessAnswer(Message, frozen=True):
    """A witness answers, as HTTP would spell it.

    Args:
        size: Of the checkpoint that was to be cosigned.
        status: 200, or why not (C2SP tlog-witness, "add-checkpoint").
        body: Signature lines, a size, or a sentence.
    """

    size: int
    status: int
    body: str


class SeenCheckpoint(Message, frozen=True):
    """The latest checkpoint that a witness has cosigned, verbatim; empty if it has cosigned none."""

    checkpoint: str


class ReceiptsWanted(Message, frozen=True):
    """Ask for receipts at one checkpoint that a study's witnesses, and the caller's own, cosigned.

    Args:
        study: Digest of the study whose policy counts.
        acts: The acts, by their ids.
    """

    study: WireDigest
    acts: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=16)]


class Receipts(Message, frozen=True):
    """Receipts at one checkpoint, in the order asked for."""

    receipts: tuple[str, ...]


class StopStatus(Message, frozen=True):
    """One stop as the requester sees it."""

    station: str
    phase: StopPhase
    attempt: int
    round: int
    reason: str
    since: str


class JourneyStatus(Message, frozen=True):
    """A journey as the requester sees it."""

    journey: Id
    study: str
    train: WireDigest
    phase: Phase
    round: int
    rounds: int
    stops: tuple[StopStatus, ...]
    reason: str
    result: Digest | None
    content: Digest | None
    since: str


class JourneyList(Message, frozen=True):
    """The journeys that concern a party."""

    journeys: tuple[JourneyStatus, ...]


class EvidenceItem(Message, frozen=True):
    """An entry, the key that signed it, and its receipt."""

    entry: Entry
    keys: PublicKeys
    receipt: str


class Evidence(Message, frozen=True):
    """Everything a requester needs to verify a result offline.

    Args:
        study: The study's document.
        author: The signature of the train's author.
        items: The entries about the study and the journey.
        log_vkey: The ledger's key.
        erasures: For every field that was erased, the entry by which its signer said so.
    """

    study: bytes
    author: str
    items: tuple[EvidenceItem, ...]
    log_vkey: str
    erasures: tuple[Entry, ...] = ()


class Erasure(Message, frozen=True):
    """That fields were erased: the signed act, and where it stands in the ledger."""

    position: int
    entry: Entry


class Erasures(Message, frozen=True):
    """What was erased since, oldest first; not more than fits an answer."""

    erasures: tuple[Erasure, ...]


ERASED = b'{"kind":"erased"}'
"""Pushed on the line of notices: something was erased, and the reader is to ask what."""


class BesideWanted(Message, frozen=True):
    """Ask for what lies beside some entries, by the entries' digests."""

    entries: Annotated[tuple[WireDigest, ...], msgspec.Meta(min_length=1, max_length=64)]


class BesideFound(Message, frozen=True):
    """What lies beside those entries of which anything does."""

    found: dict[WireDigest, Beside]
