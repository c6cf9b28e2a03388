"""A journey's acts in W3C PROV-O (REC-prov-o-20130430), as JSON-LD that needs nothing from afar."""

from __future__ import annotations

from typing import Any

from branchline.journey import acts
from branchline.journey.verify_case import Case, Placed, said

CONTEXT: dict[str, Any] = {
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "bl": "urn:branchline:term:",
    "label": "rdfs:label",
    "endedAtTime": {"@id": "prov:endedAtTime", "@type": "xsd:dateTime"},
    "wasAssociatedWith": {"@id": "prov:wasAssociatedWith", "@type": "@id"},
    "wasGeneratedBy": {"@id": "prov:wasGeneratedBy", "@type": "@id"},
    "wasDerivedFrom": {"@id": "prov:wasDerivedFrom", "@type": "@id"},
    "used": {"@id": "prov:used", "@type": "@id"},
    "act": "bl:act",
    "position": "bl:position",
}
"""Every term used; nothing is fetched to read it."""


def provenance(case: Case) -> dict[str, Any]:
    """Return a journey's acts as activities, parties as agents, and what they made as entities.

    Identifiers are names by content: an act is its ledger entry's digest, a parcel, payload or
    dataset version its own. So two descriptions of one journey say the same of the same things.

    Args:
        case: A verified case.
    """
    graph: dict[str, dict[str, Any]] = {}
    for placed in case.placed:
        _add_act(graph, case, placed)
    return {"@context": CONTEXT, "@graph": list(graph.values())}


def entry_iri(placed: Placed) -> str:
    """Name an act by its ledger entry."""
    return f"urn:branchline:entry:{placed.entry.id}"


def party_iri(kid: str) -> str:
    """Name a party by its key."""
    return f"urn:branchline:key:{kid}"


def _add_act(graph: dict[str, dict[str, Any]], case: Case, placed: Placed) -> None:
    activity, act = entry_iri(placed), placed.act
    agent = party_iri(placed.kid)
    graph.setdefault(
        agent,
        {"@id": agent, "@type": "prov:Agent", "label": name_of(case, placed.kid)},
    )
    used, made = _things(case, act)
    graph[activity] = {
        "@id": activity,
        "@type": "prov:Activity",
        "act": said(act).strip("'"),
        "position": placed.position,
        "endedAtTime": act.at,
        "wasAssociatedWith": agent,
        **({"used": sorted(used)} if used else {}),
    }
    for thing in sorted(used):
        graph.setdefault(thing, {"@id": thing, "@type": "prov:Entity"})
    for thing in sorted(made):
        entity = graph.setdefault(thing, {"@id": thing, "@type": "prov:Entity"})
        entity["wasGeneratedBy"] = activity
        if used:
            entity["wasDerivedFrom"] = sorted(used)


def _things(case: Case, act: acts.Act) -> tuple[set[str], set[str]]:
    """Return what an act used and what it made."""
    if isinstance(act, acts.JourneyRequested):
        return {_train(act.request.train), _study(act.request.study_digest)}, set()
    if isinstance(act, acts.StopAccepted):
        return {_dataset(act.dataset_version), _train(case.request.train)}, set()
    if isinstance(act, acts.StopReleased | acts.StopForwarded):
        return _accepted_dataset(case, act), {_parcel(act.parcel), _payload(act.content)}
    if isinstance(act, acts.JourneyCombined):
        made = {_payload(act.content)}
        made |= {_parcel(digest) for digest in (act.state, act.result) if digest is not None}
        return {_parcel(digest) for digest in act.inputs.values()}, made
    if isinstance(act, acts.JourneyDelivered):
        return {_payload(act.content)}, set()
    if isinstance(act, acts.StudyAct):
        return {_study(act.study_digest)}, set()
    return set(), set()


def _accepted_dataset(case: Case, act: acts.StopAct) -> set[str]:
    versions = [
        accepted.dataset_version
        for _, accepted in case.of_station(act.station)
        if isinstance(accepted, acts.StopAccepted)
    ]
    return {_dataset(version) for version in versions[-1:]}


def name_of(case: Case, kid: str) -> str:
    """Return the name under which the study pins a key."""
    person = case.study.person_with(kid)
    if person is not None:
        return person.name
    names = [s.name for s in case.study.stations if s.keys.id == kid]
    return names[0] if names else "central"


def _train(digest: str) -> str:
    return f"urn:branchline:train:{digest}"


def _study(digest: str) -> str:
    return f"urn:branchline:study:{digest}"


def _dataset(digest: str) -> str:
    return f"urn:branchline:dataset:{digest}"


def _parcel(digest: str) -> str:
    return f"urn:branchline:parcel:{digest}"


def _payload(digest: str) -> str:
    return f"urn:branchline:payload:{digest}"
