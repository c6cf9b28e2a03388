"""The study document: the frame that permits, with every party's keys pinned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from branchline.foundation.canonical import digest_of_json, parse_json
from branchline.foundation.digest import Digest, WireDigest
from branchline.foundation.errors import BranchlineError, Refused
from branchline.foundation.ids import Name
from branchline.foundation.keys import PublicKeys
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.note import COSIGNATURE
from branchline.ledger.proof.policy import MAJORITY, NONE, TWO_THIRDS
from branchline.study.duo import parse_term

Role = Literal[
    "researcher",
    "principal-investigator",
    "station-administrator",
    "data-steward",
    "output-checker",
    "ethics-officer",
    "data-protection-officer",
    "auditor",
    "central-operator",
    "challenge-host",
    "instructor",
    "learner",
]
APPROVERS: frozenset[Role] = frozenset(
    {"ethics-officer", "data-protection-officer", "principal-investigator"}
)
PROPOSERS: frozenset[Role] = frozenset({"researcher", "principal-investigator"})
NO_PART: frozenset[Role] = frozenset({"output-checker", "central-operator"})
"""Roles that judge or carry a study's outputs, and so are not members of it."""
JUDGES: frozenset[Role] = NO_PART | {
    "ethics-officer",
    "data-protection-officer",
    "auditor",
    "station-administrator",
    "data-steward",
}
"""Roles that decide or watch, and so do not ask."""

CHOSEN = "chosen"
"""The name of the witnesses' quorum where a study gives its number itself."""
WITH_OUTSIDE = "with-outside"
"""The name of the quorum where a study counts on witnesses that are no stations, too."""
QUORUMS = frozenset({MAJORITY, TWO_THIRDS, NONE, CHOSEN, WITH_OUTSIDE})
"""Names that stand for quorums in a policy on the ledger."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Text = Annotated[str, msgspec.Meta(max_length=10_000)]
Vkey = Annotated[str, msgspec.Meta(min_length=1, max_length=3000)]
_WORKERS: tuple[Role, ...] = ("researcher", "principal-investigator")


class StudyRefused(Refused):
    """A study document that is not acceptable."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name a person in one role, with the keys that act for him."""

    name: Name
    role: Role
    keys: PublicKeys


class StudyStation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name a station and the datasets it is asked for, and pin its keys.

    witness: the key with which it cosigns the ledger; empty = it is no witness.
    entity: the legal entity that runs it; absent = one of its own. Two stations of one entity
        are one voice among the witnesses.
    """

    name: Name
    keys: PublicKeys
    datasets: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    witness: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    entity: Name | None = None


class CentralPin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pin the central service: its origin, keys and ledger key."""

    origin: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    keys: PublicKeys
    log_vkey: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class EthicsVote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cite an ethics committee's vote and its end."""

    body: Text
    number: Text
    valid_until: Moment


class StudyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe what a study permits; immutable, named by its digest.

    duo: the purpose in DUO's words (see ``duo``).
    aggregator: "central" or the name of a station.
    train_signers, requesters: roles whose people sign trains and request journeys.
    trains: the only trains permitted; absent = any that is properly signed.
    minimum_group: the least records behind any output; a station may ask for more.
    minimum_stations: the least quorum of a parallel route, and length of a sequential one.
    witness_quorum: how many legal entities must cosign the ledger before anything counts;
        absent = as many as the number of entities asks for (see ``witnesses``).
    outside: verifier keys of witnesses that are no stations; every one of them must cosign, beside
        the stations' quorum. Absent, not empty, where there is none: so that documents from before
        there were any keep their digests.
    """

    id: Name
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    purpose: Text
    protocol: Text
    duo: tuple[str, ...]
    people: tuple[Person, ...]
    stations: Annotated[tuple[StudyStation, ...], msgspec.Meta(min_length=1)]
    central: CentralPin
    proposer: Name
    approver: Name
    valid_from: Moment
    valid_until: Moment
    aggregator: Name = "central"
    train_signers: tuple[Role, ...] = _WORKERS
    trains: tuple[WireDigest, ...] | None = None
    requesters: tuple[Role, ...] = _WORKERS
    minimum_group: Annotated[int, msgspec.Meta(ge=2)] = 10
    minimum_stations: Annotated[int, msgspec.Meta(ge=1)] = 1
    allow_not_reproducible: bool = True
    ethics_vote: EthicsVote | None = None
    witness_quorum: Annotated[int, msgspec.Meta(ge=1)] | None = None
    outside: Annotated[tuple[Vkey, ...], msgspec.Meta(min_length=1)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    v: Literal[1] = 1

    def person(self, name: str) -> Person | None:
        """Return the person of that name."""
        return next((p for p in self.people if p.name == name), None)

    def person_with(self, key: str) -> Person | None:
        """Return the person whose key id this is."""
        return next((p for p in self.people if p.keys.id == key), None)

    def station(self, name: str) -> StudyStation | None:
        """Return the station of that name."""
        return next((s for s in self.stations if s.name == name), None)

    def witnesses(self) -> dict[str, tuple[StudyStation, ...]]:
        """Return the stations that cosign the ledger, by legal entity, in the document's order."""
        found: dict[str, tuple[StudyStation, ...]] = {}
        for station in self.stations:
            if station.witness:
                entity = station.entity or station.name
                found[entity] = (*found.get(entity, ()), station)
        return found

    def outsiders(self) -> tuple[str, ...]:
        """Return the keys of the witnesses that are no stations and must cosign."""
        return () if self.outside is msgspec.UNSET else self.outside

    @property
    def digest(self) -> Digest:
        """The study's name by content: the digest of its canonical JSON."""
        return digest_of_json(self)


def parse_study(data: bytes | str) -> StudyDocument:
    """Read a study document strictly and check that it makes sense.

    Raises:
        StudyRefused: Not of the form, or it names strangers, or one person in roles that exclude
            each other.
    """
    try:
        document = parse_json(data, StudyDocument, what="study document")
    except Refused as error:
        raise StudyRefused(error.refused, advice=error.advice) from error
    return check_study(document)


def check_study(document: StudyDocument) -> StudyDocument:
    """Return a study document unchanged if it makes sense.

    Raises:
        StudyRefused: The first contradiction found.
    """
    problem = contradiction(document)
    if problem:
        raise StudyRefused(f"The study {document.id!r} is not acceptable: {problem}")
    return document


def contradiction(document: StudyDocument) -> str | None:
    """Return what is wrong with a document, in words; None if nothing is."""
    names = [*(p.name for p in document.people), *(s.name for s in document.stations), "central"]
    if _doubled(names):
        return "a name is used twice among people, stations and central"
    keys = [p.keys for p in document.people] + [s.keys for s in document.stations]
    keys.append(document.central.keys)
    if _doubled(k.sign for k in keys) or _doubled(k.seal for k in keys):
        return "two parties have the same key, so one could act as the other"
    for station in document.stations:
        if _doubled(station.datasets):
            return f"station {station.name!r} names a dataset twice"
    if document.aggregator != "central" and document.station(document.aggregator) is None:
        return f"the aggregator {document.aggregator!r} is neither 'central' nor a station of it"
    if document.valid_from >= document.valid_until:
        return "it ends before it begins"
    unknown = [term for term in document.duo if parse_term(term) is None]
    if unknown or not document.duo:
        return f"the purpose is not in DUO codes: {', '.join(unknown)[:80] or 'none is given'}"
    if document.minimum_stations > len(document.stations):
        return "it asks for more stations than it names"
    return _witness_problem(document) or _people_problem(document)


def _witness_problem(document: StudyDocument) -> str | None:
    witnesses = document.witnesses()
    if _doubled(station.witness for stations in witnesses.values() for station in stations):
        return "two stations have the same witness key, so one could speak for the other"
    if taken := QUORUMS & set(witnesses):
        return f"no legal entity can be named {min(taken)!r}, which names a quorum"
    if problem := _outside_problem(document):
        return problem
    if (document.witness_quorum or 0) > len(witnesses):
        return (
            f"it asks for {document.witness_quorum} entities that cosign the ledger and names "
            f"{len(witnesses)}"
        )
    return None


def _outside_problem(document: StudyDocument) -> str | None:
    try:
        keys = [parse_cosigner_key(text) for text in document.outsiders()]
    except BranchlineError as error:
        return f"a witness from outside has no key for cosignatures: {error.refused}"
    if any(key.type != COSIGNATURE for key in keys):
        return "the key of a witness from outside is not of Ed25519"
    stations = {s.witness for own in document.witnesses().values() for s in own}
    names = {text.partition("+")[0] for text in stations} | QUORUMS | set(document.witnesses())
    if _doubled(key.text for key in keys) or stations & {key.text for key in keys}:
        return "a witness from outside is named twice, or is that of a station"
    if _doubled(key.name for key in keys) or names & {key.name for key in keys}:
        return "a witness from outside has a name that another witness or entity has"
    return None


def _people_problem(document: StudyDocument) -> str | None:
    proposer, approver = document.person(document.proposer), document.person(document.approver)
    if proposer is None or approver is None:
        missing = document.proposer if proposer is None else document.approver
        return f"{missing!r} is not among its people"
    if proposer.name == approver.name:
        return "the proposer cannot approve"
    if approver.role not in APPROVERS:
        return f"an approver is one of {', '.join(sorted(APPROVERS))}, not a {approver.role}"
    if proposer.role not in PROPOSERS:
        return f"a proposer is one of {', '.join(sorted(PROPOSERS))}, not a {proposer.role}"
    for person in document.people:
        if person.role in NO_PART:
            return f"a {person.role} is no member of a study"
    judges = {*document.train_signers, *document.requesters} & JUDGES
    if judges:
        return f"a {min(judges)} neither signs trains nor requests journeys"
    return None


def _doubled(values: Iterable[str]) -> bool:
    values = list(values)
    return len(values) != len(set(values))
