"""The policy on the ledger follows from the study's document alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.study.frame import draft

from branchline.foundation.canonical import canonical_json
from branchline.foundation.keys import Identity
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import key_of
from branchline.ledger.proof.policy import MAJORITY, NONE, TWO_THIRDS, parse_policy
from branchline.study.document import CHOSEN, StudyDocument, parse_study
from branchline.study.witnesses import (
    cosigners,
    outside_names,
    policy_of,
    resists,
    threshold_of,
    witness_of,
)

ORIGIN = "localhost/branchline"
CENTRAL = Identity.create()


def study(*entities: str | None, silent: int = 0, **changes: Any) -> StudyDocument:
    """Return a study of one station for each entity named, the last ``silent`` no witnesses."""
    stations = []
    for number, entity in enumerate(entities):
        keys, name = Identity.create().public, f"station-{number}"
        vkey = cosigner_key(f"{ORIGIN}/witness/{name}", Identity.create().public).text
        station = {"name": name, "keys": msgspec.to_builtins(keys), "datasets": ["trial"]}
        if number < len(entities) - silent:
            station |= {"witness": vkey, "entity": entity}
        stations.append(station)
    central = {
        "origin": ORIGIN,
        "keys": msgspec.to_builtins(CENTRAL.public),
        "log_vkey": key_of(ORIGIN, CENTRAL.public).text,
    }
    return parse_study(json.dumps(draft(stations=stations, central=central, **changes)))


@pytest.mark.parametrize(
    ("count", "name", "threshold", "tolerated"),
    [
        (1, MAJORITY, 1, 0),
        (2, MAJORITY, 2, 1),
        (3, MAJORITY, 2, 0),
        (4, TWO_THIRDS, 3, 1),
        (5, TWO_THIRDS, 4, 2),
        (6, TWO_THIRDS, 5, 3),
        (7, TWO_THIRDS, 5, 2),
        (10, TWO_THIRDS, 7, 3),
    ],
)
def test_the_number_of_voices_needed_follows_from_the_entities(
    count: int, name: str, threshold: int, tolerated: int
) -> None:
    """Each station of its own is one entity; below four a majority is enough."""
    made = study(*(None for _ in range(count)))
    assert (policy_of(made).quorum, threshold_of(made)) == (name, threshold)
    assert resists(made) == tolerated


def test_two_stations_of_one_entity_are_one_voice() -> None:
    """The first two belong together: both of them are no more than one of them."""
    made = study("group", "group", None)
    a, b, c = (witness_of(made, f"station-{n}") for n in range(3))
    policy = policy_of(made)
    assert not policy.satisfied_by({a, b})
    assert policy.satisfied_by({a, c})
    assert policy.satisfied_by({b, c})
    assert cosigners(made, {a, c}) == {"group": ["station-0"], "station-2": ["station-2"]}


def test_a_study_may_give_the_number_itself() -> None:
    """All, or one: both are the study's own choice, and the policy says so."""
    for number in (1, 4):
        made = study(None, None, None, None, witness_quorum=number)
        assert (policy_of(made).quorum, threshold_of(made)) == (CHOSEN, number)
        assert resists(made) == {1: -1, 4: 3}[number]


def test_without_witnesses_nothing_is_asked_for() -> None:
    """Stations that announced no key are no witnesses; such a study is told from the others."""
    made = study(None, None, silent=2)
    assert (policy_of(made).quorum, threshold_of(made), resists(made)) == (NONE, 0, -1)
    assert witness_of(made, "station-0") == ""
    assert witness_of(made, "nobody") == ""


def test_the_policy_is_the_documents() -> None:
    """The same document gives the same policy, by its digest; another key another one."""
    made = study(None, None, None)
    assert policy_of(made).digest == policy_of(parse_study(msgspec.json.encode(made))).digest
    assert policy_of(made).digest != policy_of(study(None, None, None)).digest


def outside_keys(count: int) -> list[str]:
    """Return verifier keys of witnesses that are no stations."""
    return [
        cosigner_key(f"auditor-{n}.example/witness", Identity.create().public).text
        for n in range(count)
    ]


@pytest.mark.parametrize("stations", [0, 1, 3, 4])
def test_witnesses_from_outside_have_to_cosign_beside_the_stations(stations: int) -> None:
    """Every one of them, whatever the stations' quorum; and the policy can be written and read."""
    keys = outside_keys(2)
    names = [key.partition("+")[0] for key in keys]
    made = study(None, None, None, None, silent=4 - stations, outside=keys)
    policy = policy_of(made)
    assert parse_policy(policy.text.encode()) == policy
    own = [witness_of(made, f"station-{n}") for n in range(stations)]
    quorum = own[: threshold_of(made)]
    assert policy.satisfied_by([*quorum, *names])
    assert not policy.satisfied_by([*own, names[0]])
    assert not policy.satisfied_by([*quorum[1:], *names]) or not stations
    assert outside_names(made) == names
    assert threshold_of(made) == threshold_of(study(None, None, None, None, silent=4 - stations))


def test_a_study_without_them_keeps_its_digest() -> None:
    """The field is absent from documents that do not use it, as from those of earlier versions."""
    made = study(None)
    assert b"outside" not in canonical_json(made)
    assert parse_study(canonical_json(made)).digest == made.digest
    chosen = study(None, None, witness_quorum=1, outside=outside_keys(1))
    assert parse_study(canonical_json(chosen)) == chosen
    assert policy_of(chosen).groups[-2].name == CHOSEN
