"""No receipt, no data: what a station takes for proof that a stop is on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.station.ledgers import CENTRAL, ORIGIN, Ledger

from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import Identity
from branchline.journey.enrolment import witness_vkey
from branchline.journey.messages import Receipts
from branchline.ledger.entry import Entry, make_entry
from branchline.ledger.proof.cosignature import cosign
from branchline.ledger.proof.note import key_of
from branchline.ledger.topics import tag_of
from branchline.station.receipts import check_receipts
from branchline.study.document import CentralPin, Person, StudyDocument, StudyStation

NAMES = ("north", "south", "west", "east")
WITNESSES = {name: Identity.create() for name in NAMES}
ADA, ELLA, STATION = (Identity.create() for _ in range(3))
REQUEST = make_entry({"act": "journey.requested"}, ADA)
ACCEPTED = make_entry({"act": "stop.accepted"}, STATION, tags=[tag_of(b"k" * 32, 3)])


def study(**changes: object) -> StudyDocument:
    """Return a study of four stations, each an entity of its own; three must cosign."""
    stations = tuple(
        StudyStation(name, Identity.create().public, ("trial",), witness_vkey(ORIGIN, name, own))
        for name, own in WITNESSES.items()
    )
    plain: dict[str, object] = {
        "id": "ages",
        "title": "Ages",
        "purpose": "To know",
        "protocol": "Means",
        "duo": ("GRU",),
        "people": (
            Person("ada", "researcher", ADA.public),
            Person("ella", "ethics-officer", ELLA.public),
        ),
        "stations": stations,
        "central": CentralPin(ORIGIN, CENTRAL.public, key_of(ORIGIN, CENTRAL.public).text),
        "proposer": "ada",
        "approver": "ella",
        "valid_from": datetime(2026, 1, 1, tzinfo=UTC),
        "valid_until": datetime(2027, 1, 1, tzinfo=UTC),
    }
    return StudyDocument(**(plain | changes))  # type: ignore[arg-type]  # the fields are its own


STUDY = study()


@dataclass
class Case:
    """A ledger with a request and its acceptance in it."""

    ledger: Ledger

    def receipts(self, cosigners: Sequence[str], *positions: int) -> Receipts:
        """Return receipts at the latest checkpoint, cosigned by some."""
        note = self.ledger.log.checkpoint().decode()
        text = note.partition("\n\n")[0] + "\n"
        for name in cosigners:
            own = WITNESSES[name]
            note += cosign(text, f"{ORIGIN}/witness/{name}", own, 1_800_000_000).line
        made = self.ledger.log.prove_many(positions or (0, 2), at=note)
        return Receipts(receipts=tuple(each.text for each in made))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """The request at 0, somebody else's entry at 1, the acceptance at 2."""
    other = make_entry({"act": "other"}, ELLA)
    return Case(Ledger(tmp_path / "a", [REQUEST.leaf, other.leaf, ACCEPTED.leaf]))


def check(answer: Receipts, accepted: Entry = ACCEPTED, about: StudyDocument = STUDY) -> None:
    """Judge as the station north does."""
    check_receipts(answer, REQUEST, accepted, about, "north")


def test_a_quorum_with_ones_own_witness_is_enough(case: Case) -> None:
    """Three of four, north among them."""
    check(case.receipts(["north", "south", "east"]))
    check(case.receipts(NAMES))


@pytest.mark.parametrize("cosigners", [(), ("north",), ("north", "west")])
def test_without_the_quorum_no_data_are_bound(case: Case, cosigners: tuple[str, ...]) -> None:
    """One voice less than the study asks for is not enough, whoever it is."""
    with pytest.raises(Corrupt, match="the policy asks for two-thirds"):
        check(case.receipts(cosigners))


def test_without_ones_own_cosignature_no_data_are_bound(case: Case) -> None:
    """A quorum of the others may have seen another history than this station."""
    with pytest.raises(Corrupt, match=r"not cosigned by .*witness/north"):
        check(case.receipts(["south", "west", "east"]))


def test_another_entry_is_no_acceptance(case: Case) -> None:
    """The receipt must be of the very leaf: one with another tag of the dataset is another."""
    wrong = make_entry({"act": "stop.accepted"}, STATION, tags=[tag_of(b"k" * 32, 4)])
    with pytest.raises(Corrupt):
        check(case.receipts(NAMES), wrong)
    with pytest.raises(Corrupt):
        check(case.receipts(NAMES, 0, 1))


def test_the_acceptance_stands_after_the_request(tmp_path: Path) -> None:
    """What was accepted before it was asked for was not this."""
    turned = Case(Ledger(tmp_path / "a", [ACCEPTED.leaf, REQUEST.leaf]))
    with pytest.raises(Corrupt, match="does not stand after"):
        check(turned.receipts(NAMES, 1, 0))


def test_an_answer_of_another_shape_proves_nothing(case: Case) -> None:
    """Fewer receipts, more, or none of this form."""
    good = case.receipts(NAMES).receipts
    for receipts in ((), good[:1], (*good, good[0]), ("", ""), good[::-1]):
        with pytest.raises(Corrupt):
            check(Receipts(receipts=receipts))


def test_a_study_that_does_not_count_on_this_station_binds_no_data(case: Case) -> None:
    """A station whose witness is not pinned cannot tell what it has not seen."""
    bare = tuple(
        StudyStation(s.name, s.keys, s.datasets, "" if s.name == "north" else s.witness)
        for s in STUDY.stations
    )
    with pytest.raises(Corrupt, match="does not count on"):
        check(case.receipts(NAMES), about=study(stations=bare))


def test_the_log_alone_is_believed_by_nobody(case: Case) -> None:
    """Central's own key, used as a witness's, is none of the study's."""
    note = case.ledger.log.checkpoint().decode()
    text = note.partition("\n\n")[0] + "\n"
    for name in NAMES:
        note += cosign(text, f"{ORIGIN}/witness/{name}", CENTRAL, 1_800_000_000).line
    made = case.ledger.log.prove_many((0, 2), at=note)
    with pytest.raises(Corrupt):
        check(Receipts(receipts=tuple(each.text for each in made)))
