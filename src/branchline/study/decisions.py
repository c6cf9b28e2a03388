"""What people and stations decide about a study, and who may decide what."""

from __future__ import annotations

from typing import Literal

import msgspec

from branchline.foundation.digest import Digest, WireDigest
from branchline.foundation.ids import Name
from branchline.study.document import Moment, StudyDocument

DecisionKind = Literal[
    "proposed", "approved", "site-approved", "site-withdrawn", "suspended", "resumed", "closed"
]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record one decision about a study.

    kind: what was decided.
    study: digest of the document decided about.
    by: key id of the person or station that signed the decision.
    at: when.
    entry: the ledger entry that carries it.
    station, datasets: for a site's decision, which station, and for which of its datasets.
    """

    kind: DecisionKind
    study: WireDigest
    by: str
    at: Moment
    entry: str | None = None
    station: Name | None = None
    datasets: tuple[Name, ...] = ()


def objection(
    document: StudyDocument, decision: Decision, *, digest: Digest | None = None
) -> str | None:
    """Return why this decision does not count; None if it does.

    Args:
        document: The study, already checked.
        decision: The decision; its signature was checked where it came in.
        digest: The document's digest, if it is at hand.
    """
    if decision.study != (digest or document.digest):
        return "The decision is about another study, or another revision of it"
    if decision.kind in ("site-approved", "site-withdrawn"):
        return _site_objection(document, decision)
    if decision.station is not None or decision.datasets:
        return "Only a site's decision names a station or datasets"
    person = document.person_with(decision.by)
    if person is None:
        return "The decision is by nobody of the study"
    if person.name not in _deciders(document, decision.kind):
        return f"{person.name!r} may not decide that the study is {decision.kind}"
    return None


def _deciders(document: StudyDocument, kind: DecisionKind) -> set[str]:
    if kind == "proposed":
        return {document.proposer}
    if kind in ("approved", "resumed"):
        return {document.approver}
    # Anyone whose task is protection may stop a study; only its approver starts it again.
    guards = {"ethics-officer", "data-protection-officer"}
    stopping = {p.name for p in document.people if p.role in guards} | {document.approver}
    return stopping | {document.proposer}


def _site_objection(document: StudyDocument, decision: Decision) -> str | None:
    station = document.station(decision.station or "")
    if station is None:
        return "The decision names no station of the study"
    if decision.by != station.keys.id:
        return f"A decision for station {station.name!r} is signed by another party"
    strangers = set(decision.datasets) - set(station.datasets)
    if strangers:
        return f"Station {station.name!r} is not asked for dataset {min(strangers)!r}"
    if decision.kind == "site-approved" and not decision.datasets:
        return "A site's approval names the datasets it is for"
    if decision.kind == "site-withdrawn" and decision.datasets:
        return "A site withdraws altogether, not dataset by dataset"
    return None
