"""Whose cosignatures a study asks for: its policy on the ledger, from its document alone."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.note import parse_key
from branchline.ledger.proof.policy import (
    NONE,
    Group,
    Policy,
    WitnessLine,
    default_policy,
    dishonest_tolerated,
)
from branchline.study.document import CHOSEN, WITH_OUTSIDE, StudyDocument


def policy_of(study: StudyDocument) -> Policy:
    """Return which checkpoints of the ledger count in a study.

    Each legal entity among its stations has one voice. How many voices are needed follows from
    their number (see ``ledger.proof.policy.default_policy``) unless the study gives another. The
    witnesses from outside that it names have to cosign as well, every one of them.

    Raises:
        Refused: The document pins a key that is none.
    """
    policy = _of_stations(study)
    outside = [parse_cosigner_key(text) for text in study.outsiders()]
    if not outside:
        return policy
    members = [] if policy.quorum == NONE else [policy.quorum]
    members += [key.name for key in outside]
    return Policy(
        policy.logs,
        (*policy.witnesses, *(WitnessLine(key.name, key) for key in outside)),
        (*policy.groups, Group(WITH_OUTSIDE, len(members), tuple(members))),
        WITH_OUTSIDE,
    )


def _of_stations(study: StudyDocument) -> Policy:
    policy = default_policy(
        parse_key(study.central.log_vkey),
        {
            entity: [parse_cosigner_key(station.witness) for station in stations]
            for entity, stations in study.witnesses().items()
        },
    )
    if study.witness_quorum is None:
        return policy
    *groups, quorum = policy.groups
    chosen = msgspec.structs.replace(quorum, name=CHOSEN, threshold=study.witness_quorum)
    return msgspec.structs.replace(policy, groups=(*groups, chosen), quorum=CHOSEN)


def threshold_of(study: StudyDocument) -> int:
    """Return how many legal entities have to cosign; 0 where no station is a witness.

    The witnesses from outside come on top.
    """
    groups = _of_stations(study).groups
    return groups[-1].threshold if groups else 0


def resists(study: StudyDocument) -> int:
    """Return how many dishonest witnesses cannot help the ledger to show two histories.

    Among the stations: it is not counted upon that those from outside are honest.
    -1 where even honest ones could be shown two, as where nobody cosigns.
    """
    return dishonest_tolerated(len(study.witnesses()), threshold_of(study))


def witness_of(study: StudyDocument, station: str) -> str:
    """Return the name that a station's witness has in the study's policy; empty if it is none."""
    found = study.station(station)
    return "" if found is None or not found.witness else found.witness.partition("+")[0]


def cosigners(study: StudyDocument, names: Collection[str]) -> dict[str, list[str]]:
    """Return the stations behind witnesses of the study's policy, by legal entity."""
    return {
        entity: own
        for entity, stations in study.witnesses().items()
        if (own := [s.name for s in stations if s.witness.partition("+")[0] in names])
    }


def outside_names(study: StudyDocument) -> list[str]:
    """Return the names of the witnesses from outside that must cosign."""
    return [text.partition("+")[0] for text in study.outsiders()]
