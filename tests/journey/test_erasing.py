"""Erasures: only the signer's own word counts, and a journey without its people is the same journey."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.journey import world
from tests.journey.test_verify_bytes import ROUTES, failed, told
from tests.journey.world import IDS, judge

from branchline.foundation.errors import Conflict, Refused
from branchline.foundation.ids import new_id
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import Identity
from branchline.journey import acts, machine
from branchline.journey.erasing import erased_parts, erasing, stripped, stripped_evidence
from branchline.journey.messages import EvidenceItem
from branchline.ledger.entry import Entry, disclosed_name, read_leaf

replace = msgspec.structs.replace
BY_KID = {identity.id: identity for identity in IDS.values()}


def word(entry: Entry, signer: Identity, **changes: Any) -> Entry:
    """Sign that an entry's fields about people were erased."""
    plain: dict[str, Any] = {"entry": entry.id, "part": acts.PEOPLE, "journey": None, "study": None}
    act = acts.EntryErased(id=new_id("act"), at="", **(plain | changes))
    return acts.sign_act(act, signer)


def with_people(route: str) -> Iterator[tuple[EvidenceItem, acts.Act]]:
    """Yield the evidence's items that say anything of people."""
    for item in told(route).evidence.items:
        act = acts.read_act(item.entry, item.keys)
        if acts.people_in(act):
            yield item, act


@pytest.mark.parametrize("route", ROUTES)
def test_a_result_verifies_when_all_people_were_erased(route: str) -> None:
    """Every step passes, and the report says which fields of which entries were erased."""
    case = told(route)
    said = [word(item.entry, BY_KID[item.keys.id]) for item, _ in with_people(route)]
    assert said
    left = stripped_evidence(case.evidence, said)
    assert len(left.erasures) == len(said)
    for item in left.items:
        assert not {"by", "reason"} & {disclosed_name(text) for text in item.entry.disclosures}
    report = judge(case.story, left)
    assert report.verified, failed(report)
    assert len(report.step("signatures").found["erased"]) == len(said)
    assert stripped_evidence(left, said) is left
    assert stripped_evidence(case.evidence, []) is case.evidence
    assert "erased" not in judge(case.story, case.evidence).step("signatures").found


@pytest.mark.parametrize("route", ROUTES)
def test_a_field_kept_back_without_its_signers_word_is_noticed(route: str) -> None:
    """No word, a stranger's, another entry's, of another class, or of a field not about people."""
    case = told(route)
    item, _ = next(with_people(route))
    signer, stranger = BY_KID[item.keys.id], Identity.create()
    rest, _ = acts.CLASSES.parted(item.entry)
    others = [each for each in case.evidence.items if each.entry.id != item.entry.id]

    def report_of(entry: Entry, *words: Entry) -> Any:
        at = case.evidence.items.index(item)
        items = list(case.evidence.items)
        items[at] = replace(item, entry=entry)
        return judge(case.story, replace(case.evidence, items=tuple(items), erasures=words))

    right = word(item.entry, signer)
    assert report_of(rest, right).verified
    wrong: list[tuple[Entry, ...]] = [
        (),
        (word(item.entry, stranger),),
        (word(others[0].entry, signer),),
        (word(item.entry, signer, part="core"),),
        (others[0].entry,),
    ]
    for words in wrong:
        assert "signatures" in failed(report_of(rest, *words))
    without_id = acts.CLASSES.without(rest, acts.TECHNICAL)
    core = tuple(t for t in rest.disclosures if disclosed_name(t) != "at")
    assert "signatures" in failed(report_of(Entry(rest.jws, core), right))
    if without_id.disclosures != rest.disclosures:
        assert "signatures" in failed(report_of(without_id, right))


def test_only_the_signers_word_takes_anything_out() -> None:
    """A stranger's word, one about another entry, and what is no word leave a copy as it is."""
    (item, _), (other, _), *_ = with_people("parallel")
    signer = BY_KID[item.keys.id]
    for words in (
        [],
        [word(item.entry, Identity.create())],
        [word(other.entry, signer)],
        [word(item.entry, signer, part="technical")],
        [item.entry, other.entry],
    ):
        assert stripped(item.entry, item.keys, words) is item.entry
        assert erased_parts(item.entry, item.keys, words) == {}
    right = word(item.entry, signer)
    left = stripped(item.entry, item.keys, [right])
    assert left == acts.CLASSES.parted(item.entry)[0]
    assert erased_parts(left, item.keys, [right]) == {"people": right}


def test_a_wish_that_cannot_be_is_refused_before_it_is_sent() -> None:
    """Another class, an entry that says nothing of people, one that was erased before."""
    item, act = next(with_people("parallel"))
    about: dict[str, Any] = {"id": new_id("act"), "at": ""}
    made = erasing(item.entry, item.keys, "people", [], **about)
    assert made.entry == item.entry.id
    assert (made.journey, made.study) == (
        getattr(act, "journey", None),
        getattr(act, "study", None),
    )
    with pytest.raises(Refused, match="what happened stays on record"):
        erasing(item.entry, item.keys, "core", [], **about)
    said = [word(item.entry, BY_KID[item.keys.id])]
    with pytest.raises(Conflict, match="before"):
        erasing(item.entry, item.keys, "people", said, **about)
    silent = next(i for i in told("parallel").evidence.items if not _says_anything(i))
    with pytest.raises(Refused, match="no fields about people"):
        erasing(silent.entry, silent.keys, "people", [], **about)


def _says_anything(item: EvidenceItem) -> bool:
    return bool(acts.people_in(acts.read_act(item.entry, item.keys)))


@pytest.mark.parametrize("route", ROUTES)
def test_no_rule_of_a_journey_depends_on_a_field_about_people(route: str) -> None:
    """Replayed without them, a journey goes the same way; only what is told of reasons differs."""
    whole: machine.Journey | None = None
    closed: machine.Journey | None = None
    seen = 0
    for item in told(route).evidence.items:
        act = acts.read_act(item.entry, item.keys)
        rest = acts.read_act(acts.CLASSES.parted(item.entry)[0], item.keys)
        if isinstance(act, acts.JourneyRequested):
            assert rest == act
            whole = closed = machine.begin(act, read_kid(item.entry.jws))
        elif isinstance(act, acts.JourneyAct):
            assert whole is not None
            assert closed is not None
            assert isinstance(rest, acts.JourneyAct)
            whole, closed = machine.step(whole, act), machine.step(closed, rest)
            seen += rest != act
        if whole is not None and closed is not None:
            assert _without_reasons(whole) == _without_reasons(closed)
    assert seen


def _without_reasons(journey: machine.Journey) -> machine.Journey:
    stops = {name: replace(stop, reason="") for name, stop in journey.stops.items()}
    return replace(journey, reason="", stops=stops)


def test_the_number_of_fields_does_not_show_in_an_entry() -> None:
    """Acts of few and of many fields are padded with decoys alike: to 8, or to 16."""
    sizes: dict[int, set[int]] = {}
    for route in ROUTES:
        for done in ROUTES[route]().done:
            if done is not None:
                entry = world.sign(done)
                fields = len(entry.disclosures)
                sizes.setdefault(len(read_leaf(entry.leaf).digests), set()).add(fields)
    assert set(sizes) == {8, 16}
    assert all(len(fields) > 1 for fields in sizes.values())
