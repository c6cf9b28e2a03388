"""Whether a study permits a journey: the same judgement at central and, independently, at a station.

Both gather facts from the signed acts they were shown; neither takes the other's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from branchline.foundation.clock import parse_time
from branchline.foundation.errors import Corrupt, NotAllowed
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import PublicKeys
from branchline.journey import acts
from branchline.journey.request import JourneyRequest
from branchline.ledger.entry import Entry
from branchline.study.decisions import Decision, DecisionKind
from branchline.study.document import StudyDocument
from branchline.study.facts import DatasetFacts, Facts, RouteFacts, TrainFacts
from branchline.study.gates import evaluate, permits
from branchline.study.lifecycle import Standing, standing_of

_KINDS: dict[type[acts.Act], DecisionKind] = {
    acts.StudyProposed: "proposed",
    acts.StudyApproved: "approved",
    acts.StudySuspended: "suspended",
    acts.StudyResumed: "resumed",
    acts.StudyClosed: "closed",
    acts.SiteApproved: "site-approved",
    acts.SiteWithdrawn: "site-withdrawn",
}
"""The acts that decide about a study."""


class NotPermitted(NotAllowed):
    """A study does not permit what was asked for; the sentence lists every reason."""

    code = "not-permitted"


def keys_in(study: StudyDocument, kid: str) -> PublicKeys:
    """Return the keys of a key id, if the study pins them.

    Raises:
        Corrupt: Nobody in the study has this key.
    """
    parties: Iterable[PublicKeys] = (
        *(person.keys for person in study.people),
        *(station.keys for station in study.stations),
        study.central.keys,
    )
    for keys in parties:
        if keys.id == kid:
            return keys
    raise Corrupt(f"An entry is signed by key {kid[:12]}, which is nobody's in study {study.id!r}")


def parties_of(studies: Iterable[StudyDocument]) -> dict[str, PublicKeys]:
    """Return the keys of everybody whom studies pin, by name."""
    found: dict[str, PublicKeys] = {}
    for study in studies:
        found |= {person.name: person.keys for person in study.people}
        found |= {station.name: station.keys for station in study.stations}
        found["central"] = study.central.keys
    return found


def decision_of(study: StudyDocument, entry: Entry) -> Decision:
    """Read a decision about a study from its entry, signature checked by the keys it pins.

    Raises:
        Corrupt: Not authentic, by a stranger, or not a decision.
    """
    kid = read_kid(entry.jws)
    act = acts.read_act(entry, keys_in(study, kid))
    return as_decision(act, kid, entry)


def as_decision(act: acts.Act, kid: str, entry: Entry) -> Decision:
    """Turn an act about a study into a decision.

    Raises:
        Corrupt: The act is about something else.
    """
    kind = _KINDS.get(type(act))
    if kind is None or not isinstance(act, acts.StudyAct):
        raise Corrupt("An entry about a study is no decision about it")
    return Decision(
        kind=kind,
        study=act.study_digest,
        by=kid,
        at=parse_time(act.at),
        entry=entry.id,
        station=getattr(act, "station", None),
        datasets=tuple(act.datasets) if isinstance(act, acts.SiteApproved) else (),
    )


def standing(study: StudyDocument, entries: Iterable[Entry]) -> Standing:
    """Replay the decisions about a study into where it stands.

    Raises:
        Corrupt: An entry is not authentic.
        NotAllowed, Conflict: A decision that may not be, or does not fit.
    """
    return standing_of(study, (decision_of(study, entry) for entry in entries))


def facts_of(
    study: StudyDocument,
    decisions: Iterable[Decision],
    request: JourneyRequest,
    requester: str,
    signer: str,
    *,
    reproducible: bool,
    use_terms: Mapping[str, Mapping[str, tuple[str, ...]]],
) -> Facts:
    """Gather what a journey is judged by.

    Args:
        study: The study as the evaluator has it.
        decisions: The decisions about it, signatures checked.
        request: The journey's request.
        requester: Key id that signed the request.
        signer: Key id that signed the train.
        reproducible: Whether the train's environment can be built again.
        use_terms: For each station judged here, its datasets' use terms by name.
    """
    route = request.route
    return Facts(
        study_digest=request.study_digest,
        study=study,
        decisions=tuple(decisions),
        requester=requester,
        train=TrainFacts(request.train, signer, reproducible),
        route=RouteFacts(
            kind=route.kind,
            stations=route.stations,
            quorum=route.quorum,
            aggregator=study.aggregator if route.kind == "parallel" else None,
        ),
        datasets={
            station: (DatasetFacts(request.datasets[station], terms[request.datasets[station]]),)
            for station, terms in use_terms.items()
            if request.datasets.get(station) in terms
        },
    )


def require_permit(facts: Facts, now: datetime) -> None:
    """Refuse unless every gate passes.

    Raises:
        NotPermitted: With the reasons of all that do not.
    """
    results = evaluate(facts, now)
    if permits(results):
        return
    reasons = [reason for result in results for reason in result.reasons]
    raise NotPermitted(
        "The study does not permit this journey: " + "; ".join(dict.fromkeys(reasons)),
        advice="Look at 'branchline study show'",
    )


def announced_terms(
    entries: Iterable[tuple[acts.Act, Entry]],
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the use terms that stations signed with their approvals, by station and dataset."""
    return {
        act.station: dict(act.datasets) for act, _ in entries if isinstance(act, acts.SiteApproved)
    }
