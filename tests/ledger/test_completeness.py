"""Completeness: whatever a sequencer does to a topic's entries, both readers say what it was."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.ledgers import Ledger

from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import Identity, PublicKeys
from branchline.ledger.completeness import (
    FullReader,
    Incident,
    Kind,
    LightReader,
    TopicReport,
    read_topic,
)
from branchline.ledger.entry import make_entry
from branchline.ledger.tiles import bundle_name
from branchline.ledger.topics import LOOK_AHEAD, tag_of

SECRET = bytes([3]) * 32
MOST = 12
STATION, OTHER, STRANGER = Identity.create(), Identity.create(), Identity.create()
ACTORS = {actor.id: actor.public for actor in (STATION, OTHER)}


def full(ledger: Ledger) -> FullReader:
    """Read all of a ledger."""
    return FullReader(ledger.read, ledger.checkpoint)


def light(ledger: Ledger, up_to: int) -> LightReader:
    """Read what a proof shows of the topic's first numbers."""
    tree = ledger.tag_tree()
    tags = [tag_of(SECRET, number) for number in range(up_to)]
    shown = {position for tag in tags for position in tree.positions(tag)}
    leaves = {position: ledger.leaves[position] for position in shown}
    return LightReader(tree.prove(tags), tree.head, leaves)


@cache
def own(number: int) -> bytes:
    """Return the topic's entry with a number, by one of its two actors."""
    actor = OTHER if number % 3 == 2 else STATION
    return make_entry(
        {"n": number}, actor, tags=[tag_of(SECRET, number), tag_of(bytes(32), number)]
    ).leaf


@cache
def foreign(number: int) -> bytes:
    """Return a stranger's entry with a tag of the topic."""
    return make_entry({"n": number}, STRANGER, tags=[tag_of(SECRET, number)]).leaf


@cache
def noise(number: int) -> bytes:
    """Return what concerns the topic in no way."""
    kinds = [
        make_entry({}, STATION).leaf,
        make_entry({}, STATION, tags=[tag_of(bytes([4]) * 32, number)]).leaf,
        b"not an entry",
        b"",
    ]
    return kinds[number % len(kinds)]


def read(ledger: Ledger, at_least: int = 0) -> TopicReport:
    """Read the topic both ways, which must agree."""
    report = read_topic(full(ledger), SECRET, ACTORS, at_least=at_least)
    shown = light(ledger, report.count + LOOK_AHEAD)
    assert read_topic(shown, SECRET, ACTORS, at_least=at_least) == report
    return report


@given(st.integers(0, MOST), st.lists(st.integers(0, 3), max_size=5), st.randoms())
def test_an_honest_ledger_is_complete(count: int, others: list[int], random: object) -> None:
    """All numbers once, in order, among whatever else: complete, and nothing to report."""
    leaves = [own(number) for number in range(count)]
    for at, other in enumerate(others):
        leaves.insert(at * 2, noise(other))
    report = read(Ledger(leaves), at_least=count)
    assert report.complete
    assert report.in_order
    assert not report.incidents
    assert (
        [entry.number for entry in report.entries]
        == list(range(count))
        == list(range(report.count))
    )
    assert [leaves[entry.position] for entry in report.entries] == [own(n) for n in range(count)]


acts = st.one_of(
    st.tuples(st.just("own"), st.integers(0, MOST - 1)),
    st.tuples(st.just("foreign"), st.integers(0, MOST - 1)),
    st.tuples(st.just("noise"), st.integers(0, 3)),
)
LEAVES = {"own": own, "foreign": foreign, "noise": noise}


@given(st.lists(acts, max_size=2 * MOST), st.integers(0, MOST))
def test_whatever_a_sequencer_does_is_named(history: list[tuple[str, int]], known: int) -> None:
    """Dropped, doubled, reordered and strangers' entries: each is reported, and nothing else."""
    ledger = Ledger(LEAVES[kind](number) for kind, number in history)
    report = read(ledger, at_least=known)
    where = {
        (kind, n): [at for at, act in enumerate(history) if act == (kind, n)]
        for kind in ("own", "foreign")
        for n in range(MOST)
    }
    bearing = {n: sorted(where["own", n] + where["foreign", n]) for n in range(MOST)}
    count = max([known, *(n + 1 for n in range(MOST) if bearing[n])])
    assert report.count == count
    assert report.covered == len(history)
    assert {(e.number, e.position) for e in report.entries} == {
        (n, at) for n in range(MOST) for at in where["own", n]
    }
    assert {i.number for i in report.incidents if i.kind is Kind.GAP} == {
        n for n in range(count) if not bearing[n]
    }
    assert {(i.number, i.positions) for i in report.incidents if i.kind is Kind.DUPLICATE} == {
        (n, tuple(bearing[n])) for n in range(MOST) if len(bearing[n]) > 1
    }
    assert {(i.number, i.positions) for i in report.incidents if i.kind is Kind.FOREIGN} == {
        (n, (at,)) for n in range(MOST) for at in where["foreign", n]
    }
    assert report.complete == all(len(bearing[n]) == 1 for n in range(count))


@given(st.permutations(range(MOST)))
def test_a_reordering_is_told_and_loses_nothing(order: list[int]) -> None:
    """Another order is complete all the same, and said to be another order."""
    report = read(Ledger(own(number) for number in order))
    assert report.complete
    assert report.in_order == (order == sorted(order))
    assert [entry.number for entry in report.entries] == list(range(MOST))


def test_what_never_was_is_complete() -> None:
    """Of a topic without entries nothing is missing."""
    for leaves in ([], [noise(1), noise(2)]):
        report = read_topic(full(Ledger(leaves)), SECRET, ACTORS)
        assert (report.complete, report.count, report.entries) == (True, 0, ())


@pytest.mark.parametrize(("number", "seen"), [(15, True), (16, False)])
def test_sixteen_absent_numbers_end_a_topic(number: int, seen: bool) -> None:
    """Both readers look sixteen numbers ahead, no fewer and no more."""
    ledger = Ledger([make_entry({}, STATION, tags=[tag_of(SECRET, number)]).leaf])
    assert [entry.number for entry in read(ledger).entries] == [number] * seen


def test_an_end_cut_off_is_noticed_by_who_keeps_the_counter() -> None:
    """The last entries can be left out only towards those who do not know how many there are."""
    ledger = Ledger(own(number) for number in range(5))
    assert read(ledger).complete
    report = read(ledger, at_least=7)
    assert not report.complete
    assert report.incidents == (Incident(Kind.GAP, 5), Incident(Kind.GAP, 6))


def test_a_tag_occupied_by_a_stranger_is_an_incident() -> None:
    """Who was refused a number took the next: nothing is missing, and the stranger is shown."""
    report = read(Ledger([own(0), foreign(1), own(2)]))
    assert report.complete
    assert [incident.says for incident in report.incidents] == [
        "The entry 1 bears the tag number 1, but none of the topic's actors signed it"
    ]


def test_an_actor_whose_signature_does_not_hold_is_foreign() -> None:
    """Naming an actor's key is not enough."""
    header, payload, _ = own(0).split(b".")
    forged = b".".join((header, payload, own(1).rsplit(b".", 1)[1]))
    report = read(Ledger([forged]))
    assert [incident.kind for incident in report.incidents] == [Kind.FOREIGN]


def test_a_changed_file_is_no_ledger() -> None:
    """The full reader hashes every entry against the checkpoint's root before it believes one."""
    ledger = Ledger(own(number) for number in range(3))
    path = bundle_name(0, 3).path
    ledger.files[path] = ledger.files[path].replace(own(1), own(4))
    with pytest.raises(Corrupt):
        full(ledger)


def test_a_head_that_lies_is_noticed_at_the_entry() -> None:
    """An entry that a proof names is looked at: it has to bear the tag, and has to be shown."""
    ledger = Ledger([own(0), own(1)])
    shown = light(ledger, 2 + LOOK_AHEAD)
    shown._leaves = {0: own(0), 1: own(3)}
    with pytest.raises(Corrupt, match="bear the tag"):
        read_topic(shown, SECRET, ACTORS)
    shown._leaves = {0: own(0)}
    with pytest.raises(Corrupt, match="not shown"):
        read_topic(shown, SECRET, ACTORS)


def test_a_proof_too_short_settles_nothing() -> None:
    """A proof has to show that the next sixteen are absent; one less does not do."""
    ledger = Ledger([own(0), *(noise(1 + 4 * number) for number in range(200))])
    assert read_topic(light(ledger, 1 + LOOK_AHEAD), SECRET, ACTORS).complete
    with pytest.raises(Corrupt, match="settle"):
        read_topic(light(ledger, LOOK_AHEAD), SECRET, ACTORS)


def test_actors_are_those_handed_in() -> None:
    """Without anybody who may write, every entry is foreign."""
    nobody: dict[str, PublicKeys] = {}
    report = read_topic(full(Ledger([own(0)])), SECRET, nobody)
    assert not report.entries
    assert [incident.kind for incident in report.incidents] == [Kind.FOREIGN]


def test_every_incident_has_its_sentence() -> None:
    """It names what it is by, with the number and the entries concerned."""
    ledger = Ledger([own(0), foreign(1), own(3), own(3)])
    incidents = {incident.kind.value: incident for incident in read(ledger).incidents}
    assert {kind: incident.says for kind, incident in incidents.items()} == {
        "gap": "No entry bears the tag number 2, but later ones are there",
        "duplicate": "The entries 2, 3 bear the same tag, number 3",
        "foreign": "The entry 1 bears the tag number 1, but none of the topic's actors signed it",
    }


def test_two_numbers_on_one_entry_are_not_in_order() -> None:
    """One stands where the other does, and not after it."""
    both = make_entry({}, STATION, tags=[tag_of(SECRET, 0), tag_of(SECRET, 1)]).leaf
    report = read(Ledger([both]))
    assert report.complete
    assert not report.in_order
