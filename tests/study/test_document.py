"""A study document is read strictly, and nobody holds two roles that exclude each other."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.study.frame import KEYS, draft, study

from branchline.foundation.errors import NotFound
from branchline.foundation.keys import Identity
from branchline.ledger.proof.cosignature import cosigner_key, ml_dsa_key
from branchline.study.document import CentralPin, StudyRefused, parse_study
from branchline.study.draft import Pin, study_from_draft


def _people(**roles: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "role": role, "keys": msgspec.to_builtins(KEYS[name])}
        for name, role in roles.items()
    ]


OUTSIDE, SAME_NAME = (
    cosigner_key("auditor.example/witness", Identity.create().public).text for _ in range(2)
)
OTHER_TYPE = ml_dsa_key("auditor.example/witness", MLDSA44PrivateKey.generate()).text


def _stations(*witnesses: str) -> list[dict[str, Any]]:
    stations: list[dict[str, Any]] = draft()["stations"]
    return [{**s, "witness": w} for s, w in zip(stations, witnesses, strict=True)]


def test_a_sound_document_is_named_by_its_content() -> None:
    """The same document has the same digest, another title another one."""
    assert study().digest == study().digest
    assert study().digest != study(title="Another").digest


def test_writing_and_reading_keeps_the_digest() -> None:
    """What was read and written again is still the same study."""
    once = study()
    assert parse_study(msgspec.json.encode(once)).digest == once.digest


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"approver": "ada"}, "the proposer cannot approve"),
        ({"approver": "nobody"}, "not among its people"),
        ({"proposer": "ben", "approver": "cleo"}, "a proposer is one of"),
        ({"people": _people(ada="researcher", ben="researcher")}, "an approver is one of"),
        ({"people": _people(ada="researcher", ben="output-checker")}, "an approver is one of"),
        (
            {"people": _people(ada="researcher", ben="ethics-officer", cleo="output-checker")},
            "no member of a study",
        ),
        (
            {"people": _people(ada="researcher", ben="ethics-officer", cleo="central-operator")},
            "no member of a study",
        ),
        (
            {"people": _people(ada="researcher", ben="ethics-officer", north="auditor")},
            "a name is used twice",
        ),
        (
            {
                "people": [
                    *_people(ada="researcher"),
                    {**_people(ada="ethics-officer")[0], "name": "ben"},
                ]
            },
            "the same key",
        ),
        (
            {
                "people": [
                    *_people(ada="researcher"),
                    {**_people(north="ethics-officer")[0], "name": "ben"},
                ]
            },
            "the same key",
        ),
        (
            {
                "people": [
                    *_people(ada="researcher"),
                    {**_people(central="ethics-officer")[0], "name": "ben"},
                ]
            },
            "the same key",
        ),
        ({"requesters": ["ethics-officer"]}, "neither signs trains nor requests"),
        ({"train_signers": ["auditor"]}, "neither signs trains nor requests"),
        ({"requesters": ["station-administrator"]}, "neither signs trains nor requests"),
        ({"aggregator": "west"}, "neither 'central' nor a station"),
        ({"valid_until": "2026-11-01T00:00:00Z"}, "ends before it begins"),
        ({"duo": []}, "not in DUO codes"),
        ({"duo": ["DUO:00000044"]}, "not in DUO codes"),
        ({"minimum_stations": 3}, "more stations than it names"),
        ({"stations": _stations("key", "key")}, "the same witness key"),
        ({"stations": _stations("one", "two"), "witness_quorum": 3}, "3 entities that cosign"),
        ({"stations": _stations("one", ""), "witness_quorum": 2}, "names 1"),
        ({"witness_quorum": 1}, "names 0"),
        ({"stations": [{**s, "entity": "majority"} for s in _stations("one", "two")]}, "a quorum"),
        ({"stations": _stations("one", "two"), "witness_quorum": 0}, ">= 1"),
        ({"outside": ["nonsense"]}, "no key for cosignatures"),
        ({"outside": [OUTSIDE, OUTSIDE]}, "named twice"),
        ({"outside": [OUTSIDE, SAME_NAME]}, "a name that another"),
        ({"outside": [OTHER_TYPE]}, "not of Ed25519"),
        ({"outside": []}, "length"),
        ({"stations": _stations(OUTSIDE, "two"), "outside": [OUTSIDE]}, "that of a station"),
        ({"stations": _stations(SAME_NAME, "two"), "outside": [OUTSIDE]}, "a name that another"),
        ({"stations": []}, "length"),
        ({"valid_from": "2026-11-01T00:00:00"}, "timezone"),
        ({"minimum_group": 1}, ">= 2"),
        ({"v": 2}, "Invalid enum value 2"),
        ({"surprise": 1}, "unknown field"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(
    changes: dict[str, Any], sentence: str
) -> None:
    """Each contradiction is named, one person in two excluding roles among them."""
    with pytest.raises(StudyRefused, match=sentence):
        parse_study(json.dumps(draft(**changes)))


@pytest.mark.parametrize("field", sorted(draft()))
def test_a_missing_field_is_refused(field: str) -> None:
    """No field that matters has a silent default; only the version may be left out."""
    left = {name: value for name, value in draft().items() if name != field}
    if field == "v":
        assert parse_study(json.dumps(left)) == study()
    else:
        with pytest.raises(StudyRefused, match=field):
            parse_study(json.dumps(left))


DRAFT = """
id = "pancreatitis"
title = "Who gets pancreatitis after the procedure"
purpose = "Estimate the effect of the drug."
protocol = "Logistic regression."
duo = ["HMB", "NPUNCU"]
proposer = "ada"
approver = "ben"
valid_from = 2026-11-01T00:00:00Z
valid_until = "2027-11-01T00:00:00Z"
people = [
  { name = "ada", role = "researcher" }, { name = "ben", role = "ethics-officer" },
  { name = "cleo", role = "principal-investigator" },
  { name = "dora", role = "data-protection-officer" },
]
stations = [{ name = "north", datasets = ["trial"] }, { name = "south", datasets = ["trial"] }]
"""


def _lookup(name: str) -> Pin:
    if name not in KEYS:
        raise NotFound(f"{name!r} is not enrolled")
    return Pin(KEYS[name])


def test_a_draft_becomes_the_document_with_pinned_keys() -> None:
    """Names in the draft are replaced by the keys that were enrolled."""
    pin = msgspec.convert(draft()["central"], CentralPin)
    assert study_from_draft(DRAFT, _lookup, pin).digest == study().digest


@pytest.mark.parametrize(
    "change",
    ["v = 1\n", "surprise = 1\n", 'minimum_group = "ten"\n', "central = 1\n", "= 1\n"],
)
def test_a_draft_cannot_fill_in_what_is_pinned(change: str) -> None:
    """Pins, unknown fields and wrong types in a draft are refused."""
    pin = msgspec.convert(draft()["central"], CentralPin)
    with pytest.raises(StudyRefused):
        study_from_draft(change + DRAFT, _lookup, pin)


def test_a_draft_cannot_bring_its_own_keys_or_strangers() -> None:
    """Keys come from enrolment only."""
    pin = msgspec.convert(draft()["central"], CentralPin)
    assert tomllib.loads(DRAFT)
    with pytest.raises(StudyRefused, match="keys of its own"):
        study_from_draft(
            DRAFT.replace('name = "ada", role', 'name = "ada", keys = {}, role'), _lookup, pin
        )
    with pytest.raises(NotFound, match="zoe"):
        study_from_draft(DRAFT.replace('"cleo"', '"zoe"'), _lookup, pin)


def test_a_draft_pins_witnesses_and_its_author_may_say_whose_they_are() -> None:
    """Witness keys come from enrolment; who runs a station may be corrected by who proposes."""
    pin = msgspec.convert(draft()["central"], CentralPin)
    enrolled = {name: Pin(KEYS[name], f"witness of {name}", "one-group") for name in KEYS}
    announced = study_from_draft(DRAFT, enrolled.__getitem__, pin)
    assert {e: [s.name for s in ss] for e, ss in announced.witnesses().items()} == {
        "one-group": ["north", "south"]
    }
    corrected = DRAFT.replace('{ name = "south",', '{ name = "south", entity = "another",')
    entities = study_from_draft(corrected, enrolled.__getitem__, pin).witnesses()
    assert list(entities) == ["one-group", "another"]
    with pytest.raises(StudyRefused, match="keys of its own"):
        own = DRAFT.replace('{ name = "south",', '{ name = "south", witness = "mine",')
        study_from_draft(own, enrolled.__getitem__, pin)
