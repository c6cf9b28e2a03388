"""What a result's evidence says, read step by step: each reading checks what it needs, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from branchline.foundation.digest import Digest, digest_of, payload_digest_of
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.erasing import check_disclosed
from branchline.journey.messages import Evidence, EvidenceItem
from branchline.journey.permit import as_decision, keys_in
from branchline.journey.request import JourneyRequest
from branchline.ledger.entry import Entry
from branchline.ledger.proof.checkpoint import Checkpoint
from branchline.ledger.proof.policy import Policy
from branchline.ledger.proof.receipt import Receipt, parse_receipt
from branchline.study.document import StudyDocument, parse_study
from branchline.study.lifecycle import Standing, decide
from branchline.study.witnesses import policy_of
from branchline.train.bundle import OpenBundle, open_bundle


@dataclass(frozen=True)
class Placed:
    """An act with its place in the ledger, the key id that signed it, and what was erased of it."""

    position: int
    act: acts.Act
    kid: str
    entry: Entry
    erased: tuple[str, ...] = ()


Detail = dict[str, Any]
"""What a step found, as plain JSON values."""

Release = tuple[int, acts.StopReleased]
"""What a station released, with the entry's position."""


@dataclass(frozen=True)
class Case:
    """Everything a verification looks at.

    Args:
        evidence: The entries with their keys and receipts, the study, the author's signature.
        request: The requester's own copy of what was asked for.
        bundle: The train's bytes.
        payload: The result's bytes.
        log_vkey: The ledger's key as the verifier knows it; None to take the study's.
    """

    evidence: Evidence
    request: JourneyRequest
    bundle: bytes
    payload: bytes
    log_vkey: str | None = None

    @cached_property
    def study(self) -> StudyDocument:
        """The study's document, which must be the one the request names, byte for byte.

        Raises:
            Corrupt: Another document, or another spelling of it.
            StudyRefused: It contradicts itself, an approver who is the proposer included.
        """
        got, expected = digest_of(self.evidence.study), self.request.study_digest
        if got != expected:
            raise Corrupt(f"The study's document is {got}; the request names {expected}")
        return parse_study(self.evidence.study)

    @cached_property
    def trusted_vkey(self) -> str:
        """The ledger's key that is trusted."""
        return self.log_vkey if self.log_vkey is not None else self.study.central.log_vkey

    @cached_property
    def policy(self) -> Policy:
        """Which checkpoints count: those that as many witnesses as the study asks for cosigned.

        Raises:
            Refused: The study pins a key that is none.
        """
        return policy_of(self.study)

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """The receipt of every entry, in the evidence's order; not verified."""
        if not self.evidence.items:
            raise Corrupt("The evidence holds no entries")
        return tuple(parse_receipt(item.receipt) for item in self.evidence.items)

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """Every entry as the act it is, in the ledger's order.

        Raises:
            Corrupt: By a stranger, changed, held back in part, or about something else.
        """
        pairs = zip(self.receipts, self.evidence.items, strict=True)
        read = (self._read(receipt.index, item) for receipt, item in pairs)
        return tuple(sorted(read, key=lambda placed: placed.position))

    def _read(self, position: int, item: EvidenceItem) -> Placed:
        kid = read_kid(item.entry.jws)
        keys = keys_in(self.study, kid)
        if item.keys != keys:
            raise Corrupt(f"Entry {position} comes with other keys than the study pins")
        act = acts.read_act(item.entry, keys)
        try:
            erased = check_disclosed(item.entry, act, keys, self.evidence.erasures)
        except Corrupt as error:
            raise Corrupt(f"Entry {position}, {said(act)}, {error.refused}") from error
        self._check_subject(position, act)
        return Placed(position, act, kid, item.entry, tuple(sorted(erased)))

    def _check_subject(self, position: int, act: acts.Act) -> None:
        """Refuse an act that is neither about this study nor about this journey."""
        if isinstance(act, acts.JourneyAct | acts.ActVoided | acts.EntryErased):
            if act.journey != self.request.journey:
                raise Corrupt(
                    f"Entry {position}, {said(act)}, is about {act.journey}; "
                    f"expected {self.request.journey}"
                )
        elif not isinstance(act, acts.StudyAct):
            raise Corrupt(f"Entry {position}, {said(act)}, is about no study and no journey")

    @cached_property
    def opened(self) -> OpenBundle:
        """The train, which must be the one requested.

        Raises:
            Corrupt: It is another one.
            Refused: It is none.
        """
        return open_bundle(self.bundle, self.request.train)

    @cached_property
    def about_study(self) -> tuple[Placed, ...]:
        """The acts about the study, in the ledger's order."""
        return tuple(p for p in self.placed if isinstance(p.act, acts.StudyAct))

    @cached_property
    def about_journey(self) -> tuple[Placed, ...]:
        """The acts of the journey, in the ledger's order."""
        return tuple(p for p in self.placed if isinstance(p.act, acts.JourneyAct))

    @cached_property
    def requested(self) -> Placed:
        """The requester's act.

        Raises:
            Corrupt: There is none, or more than one.
        """
        found = [p for p in self.placed if isinstance(p.act, acts.JourneyRequested)]
        if len(found) != 1:
            raise Corrupt(f"The evidence holds {len(found)} requests of the journey; expected one")
        return found[0]

    @cached_property
    def standings(self) -> tuple[tuple[int, Standing], ...]:
        """Where the study stood after each decision about it, with that decision's position.

        Raises:
            NotAllowed, Conflict: A decision by somebody who may not, or that does not fit.
        """
        standing, found, digest = Standing(), [], self.study.digest
        for placed in self.about_study:
            decision = as_decision(placed.act, placed.kid, placed.entry)
            standing, _ = decide(standing, self.study, decision, digest=digest)
            found.append((placed.position, standing))
        return tuple(found)

    def standing_at(self, position: int) -> Standing:
        """Return where the study stood when the entry at a position was recorded."""
        before = [standing for at, standing in self.standings if at < position]
        return before[-1] if before else Standing()

    def decided_before(self, position: int) -> list[Placed]:
        """Return the acts about the study that stand before a position."""
        return [p for p in self.about_study if p.position < position]

    @cached_property
    def combinations(self) -> tuple[tuple[int, acts.JourneyCombined], ...]:
        """The combined rounds with their positions, in the ledger's order."""
        return tuple(
            (p.position, p.act)
            for p in self.about_journey
            if isinstance(p.act, acts.JourneyCombined)
        )

    def preparations(self) -> list[acts.JourneyPrepared]:
        """Return every start of the aggregator; none on a sequential route."""
        return [p.act for p in self.about_journey if isinstance(p.act, acts.JourneyPrepared)]

    def of_station(self, station: str) -> Iterator[tuple[int, acts.StopAct]]:
        """Yield a station's part of the journey with positions, in the ledger's order."""
        for placed in self.about_journey:
            if isinstance(placed.act, acts.StopAct) and placed.act.station == station:
                yield placed.position, placed.act

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        """What stations released, in the ledger's order."""
        return tuple(
            (p.position, p.act) for p in self.about_journey if isinstance(p.act, acts.StopReleased)
        )

    @cached_property
    def contributors(self) -> tuple[str, ...]:
        """The stations that the result is made of, in the route's order.

        Raises:
            Corrupt: None, or one that is not on the route.
        """
        if self.request.route.kind == "parallel":
            named = {station for _, act in self.combinations for station in act.inputs}
        else:
            named = {act.station for _, act in self.releases}
        strangers = named - set(self.request.route.stations)
        if strangers or not named:
            who = f"{min(strangers)!r}, which is not on the route" if strangers else "no station"
            raise Corrupt(f"The result is made of what came from {who}")
        return tuple(s for s in self.request.route.stations if s in named)

    def acceptances(self) -> dict[str, list[tuple[int, acts.StopAccepted]]]:
        """Return for each contributor the acceptances under which it released.

        Raises:
            Corrupt: A contributor released nothing, or accepted nothing before.
        """
        found: dict[str, list[tuple[int, acts.StopAccepted]]] = {s: [] for s in self.contributors}
        for position, act in self.releases:
            if act.station in found:
                accepted = self._accepted(act.station, position)
                if accepted not in found[act.station]:
                    found[act.station].append(accepted)
        if silent := [station for station, its in found.items() if not its]:
            raise Corrupt(f"Station {silent[0]!r} is in the result but released nothing")
        return found

    def _accepted(self, station: str, before: int) -> tuple[int, acts.StopAccepted]:
        found = [
            (position, act)
            for position, act in self.of_station(station)
            if isinstance(act, acts.StopAccepted) and position < before
        ]
        if not found:
            raise Corrupt(f"Station {station!r} released without having accepted the train")
        return found[-1]

    @property
    def host(self) -> PublicKeys:
        """The keys of who combines: central, or the station that the study names."""
        station = self.study.station(self.study.aggregator)
        return self.study.central.keys if station is None else station.keys

    @property
    def payload_digest(self) -> Digest:
        """The digest of the result's bytes."""
        return payload_digest_of(self.payload)


def said(act: acts.Act) -> str:
    """Name an act in a sentence."""
    return f"{type(act).__struct_config__.tag!r}"


def same_checkpoint(checkpoints: list[Checkpoint]) -> Checkpoint:
    """Return the one checkpoint of all receipts.

    Raises:
        Refused: There are several, which could be of different histories.
    """
    if len(set(checkpoints)) != 1:
        sizes = ", ".join(sorted({str(c.size) for c in checkpoints}))
        raise Refused(f"The receipts are of several checkpoints (sizes {sizes}); expected one")
    return checkpoints[0]
