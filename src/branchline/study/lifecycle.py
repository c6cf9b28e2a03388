"""The life of a study: a table of (state, event) → (state, instructions), and its replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from branchline.foundation.digest import Digest
from branchline.foundation.errors import Conflict, NotAllowed
from branchline.study.decisions import Decision, DecisionKind, objection
from branchline.study.document import StudyDocument


class State(StrEnum):
    """Where a study stands; journeys run in ``active`` only."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Instruction(StrEnum):
    """What the programs do when a study moves."""

    PIN_DOCUMENT = "pin-document"
    TELL_APPROVER = "tell-approver"
    ASK_STATIONS = "ask-stations"
    OPEN_STATION = "open-station"
    STOP_STATION = "stop-station"
    STOP_JOURNEYS = "stop-journeys"
    TELL_EVERYONE = "tell-everyone"


_I = Instruction
_STOP = (_I.STOP_JOURNEYS, _I.TELL_EVERYONE)
Move = tuple[State, tuple[Instruction, ...]]

#: A site may decide once the study is approved; its first approval makes the study active. While a
#: study is suspended sites may still come and go: it is not opened by that.
TABLE: Mapping[tuple[State, DecisionKind], Move] = {
    (State.DRAFT, "proposed"): (State.PROPOSED, (_I.PIN_DOCUMENT, _I.TELL_APPROVER)),
    (State.PROPOSED, "approved"): (State.APPROVED, (_I.ASK_STATIONS, _I.TELL_EVERYONE)),
    (State.PROPOSED, "closed"): (State.CLOSED, (_I.TELL_EVERYONE,)),
    (State.APPROVED, "site-approved"): (State.ACTIVE, (_I.OPEN_STATION,)),
    (State.APPROVED, "suspended"): (State.SUSPENDED, _STOP),
    (State.APPROVED, "closed"): (State.CLOSED, _STOP),
    (State.ACTIVE, "site-approved"): (State.ACTIVE, (_I.OPEN_STATION,)),
    (State.ACTIVE, "site-withdrawn"): (State.ACTIVE, (_I.STOP_STATION,)),
    (State.ACTIVE, "suspended"): (State.SUSPENDED, _STOP),
    (State.ACTIVE, "closed"): (State.CLOSED, _STOP),
    (State.SUSPENDED, "site-approved"): (State.SUSPENDED, ()),
    (State.SUSPENDED, "site-withdrawn"): (State.SUSPENDED, (_I.STOP_STATION,)),
    (State.SUSPENDED, "resumed"): (State.ACTIVE, (_I.TELL_EVERYONE,)),
    (State.SUSPENDED, "closed"): (State.CLOSED, _STOP),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold where a study stands.

    Args:
        state: Its state.
        sites: Per station that approved and has not withdrawn, the decision that holds.
    """

    state: State = State.DRAFT
    sites: Mapping[str, Decision] = field(default_factory=dict)


def move(state: State, event: DecisionKind) -> Move:
    """Return the next state and what to do.

    Raises:
        Conflict: The event is not in the table for this state.
    """
    found = TABLE.get((state, event))
    if found is None:
        raise Conflict(f"A study that is {state.value} cannot be {event}")
    return found


def decide(
    standing: Standing,
    document: StudyDocument,
    decision: Decision,
    *,
    digest: Digest | None = None,
) -> tuple[Standing, tuple[Instruction, ...]]:
    """Apply one decision.

    Raises:
        NotAllowed: Made by someone who may not, or about something else.
        Conflict: It does not fit the study's state.
    """
    problem = objection(document, decision, digest=digest)
    if problem:
        raise NotAllowed(problem)
    if decision.kind == "site-withdrawn" and decision.station not in standing.sites:
        raise Conflict(f"Station {decision.station!r} has not approved the study")
    state, instructions = move(standing.state, decision.kind)
    sites = dict(standing.sites)
    if decision.kind == "site-approved":
        sites[str(decision.station)] = decision
    elif decision.kind == "site-withdrawn":
        sites.pop(str(decision.station), None)
    return replace(standing, state=state, sites=sites), instructions


def standing_of(document: StudyDocument, decisions: Iterable[Decision]) -> Standing:
    """Replay decisions, in the ledger's order, into where the study stands.

    Raises:
        NotAllowed: A decision by someone who may not make it.
        Conflict: A decision that does not fit what came before.
    """
    standing, digest = Standing(), document.digest
    for decision in decisions:
        standing, _ = decide(standing, document, decision, digest=digest)
    return standing
