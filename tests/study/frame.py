"""A small study with its people, stations and decisions, for the tests of this room."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from branchline.foundation.digest import digest_of
from branchline.foundation.keys import Identity, PublicKeys
from branchline.study.decisions import Decision, DecisionKind
from branchline.study.document import StudyDocument, parse_study
from branchline.study.facts import DatasetFacts, Facts, RouteFacts, TrainFacts

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = ("ada", "ben", "cleo", "dora", "north", "south", "central", "stranger")
KEYS: dict[str, PublicKeys] = {name: Identity.create().public for name in NAMES}
TRAIN = digest_of(b"a train")


def draft(**changes: Any) -> dict[str, Any]:
    """Return a study document as plain JSON values, with some fields changed."""
    made: dict[str, Any] = {
        "v": 1,
        "id": "pancreatitis",
        "title": "Who gets pancreatitis after the procedure",
        "purpose": "Estimate the effect of the drug.",
        "protocol": "Logistic regression.",
        "duo": ["HMB", "NPUNCU"],
        "people": [
            _person("ada", "researcher"),
            _person("ben", "ethics-officer"),
            _person("cleo", "principal-investigator"),
            _person("dora", "data-protection-officer"),
        ],
        "stations": [_station("north", "trial"), _station("south", "trial")],
        "central": {
            "origin": "localhost/branchline",
            "keys": msgspec.to_builtins(KEYS["central"]),
            "log_vkey": "localhost/branchline+00000000+AAAA",
        },
        "proposer": "ada",
        "approver": "ben",
        "valid_from": "2026-11-01T00:00:00Z",
        "valid_until": "2027-11-01T00:00:00Z",
    }
    return made | changes


def study(**changes: Any) -> StudyDocument:
    """Return the study, read as a program would read it."""
    return parse_study(json.dumps(draft(**changes)))


def decision(kind: DecisionKind, by: str, about: StudyDocument, **more: Any) -> Decision:
    """Return a decision made a day ago."""
    return Decision(kind, about.digest, KEYS[by].id, NOW - timedelta(days=1), **more)


def approved(about: StudyDocument) -> tuple[Decision, ...]:
    """Return the decisions that make the study active at both stations."""
    sites = (
        decision("site-approved", name, about, station=name, datasets=("trial",))
        for name in ("north", "south")
    )
    return (decision("proposed", "ada", about), decision("approved", "ben", about), *sites)


def facts(**changes: Any) -> Facts:
    """Return facts that every gate accepts, with some of them changed."""
    about = changes.get("study") or study()
    dataset = (DatasetFacts("trial", ("HMB", "NCU")),)
    made: dict[str, Any] = {
        "study_digest": about.digest,
        "study": about,
        "decisions": approved(about),
        "requester": KEYS["ada"].id,
        "train": TrainFacts(TRAIN, KEYS["ada"].id),
        "route": RouteFacts("parallel", ("north", "south"), quorum=2),
        "datasets": {"north": dataset, "south": dataset},
    }
    return Facts(**(made | changes))


def _person(name: str, role: str) -> dict[str, Any]:
    return {"name": name, "role": role, "keys": msgspec.to_builtins(KEYS[name])}


def _station(name: str, *datasets: str) -> dict[str, Any]:
    return {"name": name, "keys": msgspec.to_builtins(KEYS[name]), "datasets": list(datasets)}
