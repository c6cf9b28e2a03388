"""A station's topics: no number is lost, and none is used twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.foundation.clock import SystemClock
from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import NotFound
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.stop import Event
from branchline.ledger.classes import ActorSecret, Sealed
from branchline.ledger.topics import tag_of
from branchline.station import topics
from branchline.station.store import Queued, StationStore

ME = Identity.create()
SECRET = ActorSecret(1, bytes(32))
JOURNEY = new_id("journey")
STOP, DATASET = topics.stop_topic(JOURNEY, 1), topics.dataset_topic("trial")


def sign(act: acts.Act, tags: tuple[str, ...]) -> Sealed:
    """Make an entry as the station does."""
    return acts.seal_act(act, ME, SECRET, tags)


def store(folder: Path) -> StationStore:
    """Open a station's store."""
    return StationStore(open_database(folder / "station.sqlite"), SystemClock())


def held(kept: StationStore) -> Queued:
    """Queue some act of a stop."""
    act = acts.StopHeld(id=new_id("act"), at=kept.now(), journey=JOURNEY, station="north", round=1)
    happened: list[tuple[int, Event, dict[str, object]]] = [(1, Event.HELD, {})]
    return kept.queue(JOURNEY, 1, happened, act, sign, [DATASET, STOP])


def voided(kept: StationStore) -> acts.ActVoided:
    """Return the word that an act was voided."""
    return acts.ActVoided(
        id=new_id("act"), at=kept.now(), journey=JOURNEY, kind="stop.held", reason="Refused"
    )


def test_an_act_takes_the_next_tag_of_each_topic(tmp_path: Path) -> None:
    """Its tags are those of the station, the dataset and the stop, in the order of their counters."""
    kept = store(tmp_path)
    for number in range(3):
        queued = held(kept)
        secrets = [kept.topic(name).secret for name in (topics.OWN, DATASET, STOP)]
        assert set(queued.entry.tags) == {tag_of(secret, number) for secret in secrets}
    assert {t.name: t.next for t in topics.topics(kept.engine)} == {
        topics.OWN: 3,
        DATASET: 3,
        STOP: 3,
    }
    assert topics.acts_of(kept.engine, DATASET)[2] == queued.act
    assert topics.one_topic(kept.engine, STOP).next == 3
    with pytest.raises(NotFound):
        topics.one_topic(kept.engine, "dataset/other")


def test_counters_outlive_the_process(tmp_path: Path) -> None:
    """A number taken by an earlier process is not taken again."""
    first = held(store(tmp_path)).entry.tags
    assert not set(first) & set(held(store(tmp_path)).entry.tags)


def test_what_is_not_stored_takes_no_number(tmp_path: Path) -> None:
    """If the act cannot be signed, the transaction leaves nothing."""
    kept = store(tmp_path)
    held(kept)

    def broken(act: acts.Act, tags: tuple[str, ...]) -> Sealed:
        raise OSError("no")

    act = acts.StopHeld(id=new_id("act"), at=kept.now(), journey=JOURNEY, station="n", round=1)
    with pytest.raises(OSError, match="no"):
        kept.queue(JOURNEY, 1, [], act, broken, [DATASET])
    assert [kept.topic(name).next for name in (topics.OWN, DATASET)] == [1, 1]


def test_a_refused_act_leaves_its_tags_to_the_word_of_it(tmp_path: Path) -> None:
    """The ledger is told that it was voided, at the very place it would have had."""
    kept = store(tmp_path)
    queued = held(kept)
    kept.refused(queued, "Too late", voided(kept), sign)
    (waits,) = kept.waiting()
    assert waits.entry.tags == queued.entry.tags
    assert isinstance(acts.read_act(waits.entry, ME.public), acts.ActVoided)
    assert kept.sent(queued.act) == (queued.entry, "Too late")


def test_a_lost_parcels_act_leaves_its_tags_too(tmp_path: Path) -> None:
    """The round runs again under new numbers, and the old ones are accounted for."""
    kept = store(tmp_path)
    queued = held(kept)
    kept.void(queued, voided(kept), sign)
    (waits,) = kept.waiting()
    assert waits.entry.tags == queued.entry.tags
    assert not set(held(kept).entry.tags) & set(queued.entry.tags)


def test_a_number_found_taken_is_passed_over(tmp_path: Path) -> None:
    """Only the topic whose tag stands in the ledger moves on; the act keeps its other places."""
    kept = store(tmp_path)
    queued = held(kept)
    taken = tag_of(kept.topic(DATASET).secret, 0)
    act = acts.read_act(queued.entry, ME.public)
    anew = kept.retag(queued, taken, act, sign)
    expected = {tag_of(kept.topic(DATASET).secret, 1)} | (set(queued.entry.tags) - {taken})
    assert set(anew.entry.tags) == expected
    assert kept.sent(queued.act)[0] == anew.entry
    assert topics.acts_of(kept.engine, DATASET) == [topics.ELSEWHERE, queued.act]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["act", "refuse", "void", "retag"]), max_size=6))
def test_every_number_stands_somewhere(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Whatever happens to acts, each number below a counter has exactly one entry to bear it."""
    kept = store(tmp_path_factory.mktemp("store"))
    elsewhere = 0
    for what in steps:
        queued = held(kept)
        if what == "refuse":
            kept.refused(queued, "Too late", voided(kept), sign)
        elif what == "void":
            kept.void(queued, voided(kept), sign)
        elif what == "retag":
            secret, number = kept.topic(DATASET).secret, kept.topic(DATASET).next - 1
            act = acts.read_act(queued.entry, ME.public)
            kept.retag(queued, tag_of(secret, number), act, sign)
            elsewhere += 1
    with writing(kept.engine) as connection:
        found = topics.topic(connection, DATASET)
    tags = [tag for waits in kept.waiting() for tag in waits.entry.tags]
    borne = [number for number in range(found.next) if tag_of(found.secret, number) in tags]
    assert len(borne) == found.next - elsewhere
    assert len(tags) == len(set(tags))
