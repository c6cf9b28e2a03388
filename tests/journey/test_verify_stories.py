"""Journeys that went wrong though every entry is authentic: the step that objects is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journey import world
from tests.journey.world import (
    CONTENT,
    IDS,
    Done,
    Story,
    Teller,
    accepted,
    combined,
    evidence_of,
    judge,
    parcel,
    released,
)

from branchline.foundation.canonical import canonical_json
from branchline.foundation.digest import Digest
from branchline.foundation.ids import new_id
from branchline.journey import acts
from branchline.journey.verify import Outcome
from branchline.ledger.proof.cosignature import cosign


def failed(story: Story, **changes: Any) -> list[str]:
    """Judge a story told from its beginning and return the steps that failed."""
    report = judge(story, **changes)
    assert all(step.reason for step in report.failed)
    assert report.verified is not bool(report.failed)
    return [step.name for step in report.failed]


def reason(story: Story, step: str) -> str:
    """Return why a step failed."""
    return judge(story).step(step).reason


def teller(story: Story) -> Teller:
    """Return a teller of the story's own journey."""
    return Teller(story.request.journey)


def about(story: Story) -> dict[str, Any]:
    """Return what acts about the story's study say."""
    return {"study": story.request.study, "study_digest": story.request.study_digest}


# The study


@pytest.mark.parametrize("station", ["north", "south"])
def test_a_missing_site_approval_is_noticed(station: str) -> None:
    """A contributor whose site never approved the study is named."""
    story = world.parallel()
    lacking = story.without(story.index(acts.SiteApproved, station=station))
    assert failed(lacking) == ["datasets"]
    assert station in reason(lacking, "datasets")


def test_a_site_approval_for_another_dataset_is_noticed() -> None:
    """A site approves dataset by dataset."""
    story = world.parallel()
    at = story.index(acts.SiteApproved, station="north")
    other = story.changed(at, datasets={"other": ("GRU",)})
    assert failed(other) == ["datasets"]


def test_a_site_approval_with_terms_that_forbid_is_noticed() -> None:
    """Use terms that do not fit the purpose fail the gates."""
    story = world.parallel()
    at = story.index(acts.SiteApproved, station="north")
    assert failed(story.changed(at, datasets={"trial": ("POA",)})) == ["request"]


def test_a_site_approval_after_the_acceptance_is_noticed() -> None:
    """An approval works forward only."""
    story = world.parallel()
    at = story.index(acts.SiteApproved, station="north")
    late = story.moved(at, story.index(acts.StopAccepted, station="north"))
    assert failed(late) == ["datasets"]


def test_a_site_that_joined_after_the_request_is_fine() -> None:
    """What counts is that it had approved when it accepted."""
    story = world.parallel()
    at = story.index(acts.SiteApproved, station="north")
    assert failed(story.moved(at, story.index(acts.JourneyRequested))) == []


def test_a_site_withdrawn_before_its_release_is_noticed() -> None:
    """Nothing may leave a site that has withdrawn."""
    story = world.parallel()
    gone = teller(story)("north", acts.SiteWithdrawn, **about(story), station="north", by="steward")
    at = story.index(acts.StopReleased, station="north")
    assert failed(story.inserted(at, gone)) == ["datasets"]
    assert failed(story.inserted(len(story.done), gone)) == []


def test_a_study_suspended_before_a_release_is_noticed() -> None:
    """Nothing runs without a study that permits it now."""
    story = world.parallel()
    stop = teller(story)("ben", acts.StudySuspended, **about(story))
    assert failed(story.inserted(story.index(acts.StopReleased), stop)) == ["datasets"]
    assert failed(story.inserted(story.index(acts.JourneyRequested), stop)) == ["study"]


@pytest.mark.parametrize("kind", [acts.StudyProposed, acts.StudyApproved])
def test_an_approval_after_the_request_is_noticed(kind: type[acts.Act]) -> None:
    """A study must be active before a journey is asked for."""
    story = world.parallel()
    assert failed(story.moved(story.index(kind), len(story.done) - 1))[0] == "study"


@pytest.mark.parametrize("who", ["ada", "eve", "north", "central"])
def test_an_approval_by_anybody_but_the_approver_is_noticed(who: str) -> None:
    """The proposer cannot approve, nor can anybody else."""
    story = world.parallel()
    at = story.index(acts.StudyApproved)
    done = story.done[at]
    assert done is not None
    assert failed(story.with_done(at, Done(who, done.act))) == ["study"]


def test_a_study_whose_approver_is_its_proposer_is_noticed() -> None:
    """A document that contradicts itself permits nothing, whatever was signed under it."""
    story = world.parallel()
    study = world.document(approver="ada")
    digest, acts_ = study.digest, []
    for done in story.done:
        if done is not None and isinstance(done.act, acts.StudyAct):
            who = "ada" if isinstance(done.act, acts.StudyApproved) else done.who
            done = Done(who, msgspec.structs.replace(done.act, study_digest=digest))
        elif done is not None and isinstance(done.act, acts.JourneyRequested):
            request = msgspec.structs.replace(done.act.request, study_digest=digest)
            done = Done(done.who, msgspec.structs.replace(done.act, request=request))
        acts_.append(done)
    request = msgspec.structs.replace(story.request, study_digest=digest)
    forged = replace(story, study=canonical_json(study), request=request, done=tuple(acts_))
    report = judge(forged)
    assert [step.name for step in report.failed] == ["checkpoint"]
    assert "proposer cannot approve" in report.step("checkpoint").reason


def test_a_decision_about_another_revision_is_noticed() -> None:
    """An approval is of one document, not of a name."""
    story = world.parallel()
    at = story.index(acts.StudyApproved)
    assert failed(story.changed(at, study_digest=parcel("another"))) == ["study"]
    assert failed(story.changed(at, study="others")) == ["study"]


# The request


@pytest.mark.parametrize("who", ["ben", "north", "central"])
def test_a_request_by_somebody_who_may_not_is_noticed(who: str) -> None:
    """Only the study's requesters ask for journeys."""
    story = world.parallel()
    at = story.index(acts.JourneyRequested)
    done = story.done[at]
    assert done is not None
    assert "request" in failed(story.with_done(at, Done(who, done.act)))


@pytest.mark.parametrize("at_time", ["2026-10-31T23:59:59Z", "2027-11-01T00:00:00Z", "yesterday"])
def test_a_request_outside_the_studys_time_is_noticed(at_time: str) -> None:
    """The gates are judged at the request's time."""
    story = world.parallel()
    assert failed(story.changed(story.index(acts.JourneyRequested), at=at_time)) == ["request"]


def test_two_requests_are_noticed() -> None:
    """A journey is asked for once."""
    story = world.parallel()
    at = story.index(acts.JourneyRequested)
    done = story.done[at]
    assert done is not None
    again = Done(done.who, msgspec.structs.replace(done.act, id=Teller()("ada", acts.Act).act.id))
    assert failed(story.inserted(at + 1, again))[0] == "study"


def test_a_request_below_the_studys_least_quorum_is_noticed() -> None:
    """The study's minimum of stations is a gate."""
    assert failed(world.parallel(minimum_stations=3)) == ["request"]


def test_a_train_signed_in_a_role_that_may_not_is_noticed() -> None:
    """The study says whose trains run."""
    assert failed(world.parallel(train_signers=["researcher"])) == ["request", "code"]


def test_a_train_that_the_study_does_not_name_is_noticed() -> None:
    """Where the study names its trains, others do not run."""
    assert failed(world.parallel(trains=[parcel("another train")])) == ["request"]
    assert failed(world.parallel(trains=[world.bundle("parallel").digest])) == []


# Environment and datasets


def test_an_environment_that_cannot_be_built_again_is_noticed() -> None:
    """A study may demand reproducible environments."""
    strict = world.parallel(allow_not_reproducible=False)
    assert failed(strict) == ["environment", "datasets"]
    assert failed(strict.locked()) == []


def test_nobody_can_claim_that_an_environment_can_be_built_again() -> None:
    """Whether it can follows from the train, not from what a station says."""
    claimed = world.parallel(allow_not_reproducible=False)
    for station in world.STATIONS:
        at = claimed.index(acts.StopAccepted, station=station)
        claimed = claimed.changed(at, reproducible=True)
    assert failed(claimed) == ["environment"]
    assert "the train names none" in reason(claimed, "environment")


@pytest.mark.parametrize("tell_of", [world.parallel, world.sequential])
def test_another_environment_than_the_trains_is_noticed(tell_of: Callable[[], Story]) -> None:
    """Every contributor ran in the image that the train's own lock names."""
    story = tell_of().locked()
    assert failed(story) == []
    at = story.index(acts.StopAccepted, station="north")
    other = story.changed(at, environment=parcel("another"))
    assert failed(other) == ["environment"]
    assert "'north' ran in" in reason(other, "environment")


@pytest.mark.parametrize("environment", [None, parcel("another")])
def test_an_aggregator_in_another_environment_is_noticed(environment: Digest | None) -> None:
    """What combined the outputs is part of what made the result."""
    story = world.parallel().locked()
    at = story.index(acts.JourneyPrepared)
    other = story.changed(at, environment=environment)
    assert failed(other) == ["environment"]
    assert "aggregator" in reason(other, "environment")


def test_another_dataset_than_requested_is_noticed() -> None:
    """A station binds what was asked for."""
    story = world.parallel()
    at = story.index(acts.StopAccepted, station="south")
    other = story.changed(at, dataset="other")
    assert failed(other) == ["datasets"]
    assert "'other'" in reason(other, "datasets")


# Decisions


@pytest.mark.parametrize("tell_of", [world.parallel, world.sequential])
def test_an_act_in_anothers_name_is_noticed(tell_of: Callable[[], Story]) -> None:
    """Every act of the journey is by the one party whose act it is."""
    story = tell_of()
    first = story.index(acts.JourneyRequested)
    for at, done in list(enumerate(story.done))[first + 1 :]:
        if done is not None:
            who = "eve" if done.who != "eve" else "ada"
            assert "decisions" in failed(story.with_done(at, Done(who, done.act))), done.act


def test_a_station_speaking_for_another_is_noticed() -> None:
    """North cannot release for south."""
    story = world.parallel()
    at = story.index(acts.StopReleased, station="south")
    done = story.done[at]
    assert done is not None
    assert failed(story.with_done(at, Done("north", done.act))) == ["decisions"]


def test_a_withheld_station_smuggled_in_is_noticed() -> None:
    """What west withheld cannot be combined, with a parcel of its own or another's."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=1)
    done = story.done[at]
    assert done is not None
    assert isinstance(done.act, acts.JourneyCombined)
    for digest in (parcel("west", 1), parcel("north", 1)):
        smuggled = story.changed(at, inputs=done.act.inputs | {"west": digest})
        assert "inputs" in failed(smuggled)
        assert "'west'" in reason(smuggled, "inputs")


def test_a_release_after_withholding_is_noticed() -> None:
    """Once withheld, a station's later release does not bring it back."""
    story = world.parallel()
    tell = teller(story)
    at = story.index(acts.JourneyCombined, round=1)
    both = ("north", "south", "west")
    story = story.with_done(at, combined(tell, 1, both, final=False))
    assert failed(story.inserted(at, released(tell, "west", 1))) == ["decisions", "inputs"]


def test_a_release_before_withholding_may_not_be_combined() -> None:
    """The last word of a station before the combining counts."""
    story = world.parallel()
    tell = teller(story)
    at = story.index(acts.StopWithheld)
    combined_at = story.index(acts.JourneyCombined, round=1)
    story = story.with_done(combined_at, combined(tell, 1, world.STATIONS, final=False))
    assert failed(story.inserted(at, released(tell, "west", 1))) == ["decisions", "inputs"]


@pytest.mark.parametrize("kept", [("north",), ("south",), ()])
def test_a_released_station_left_out_is_noticed(kept: tuple[str, ...]) -> None:
    """The aggregator combines all that was released, not what it likes."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=2)
    left = story.with_done(at, combined(teller(story), 2, kept, final=True))
    assert "decisions" in failed(left)


def test_a_parcel_of_another_round_is_noticed() -> None:
    """Round 2 is made of round 2."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=2)
    inputs = {"north": parcel("north", 1), "south": parcel("south", 2)}
    assert failed(story.changed(at, inputs=inputs)) == ["decisions", "inputs"]


def test_a_stranger_among_the_inputs_is_noticed() -> None:
    """Only stations of the route contribute."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=1)
    strange = story.changed(at, inputs={"east": parcel("east", 1)})
    assert failed(strange) == ["environment", "datasets", "decisions", "inputs"]


def test_a_journey_that_has_not_arrived_is_noticed() -> None:
    """The evidence must reach the journey's end."""
    story = world.parallel()
    end = story.index(acts.JourneyCombined, round=2)
    short = replace(story, done=story.done[:end])
    assert failed(short) == ["decisions", "chain", "result"]
    cancelled = teller(story)("ada", acts.JourneyCancelled)
    assert "decisions" in failed(replace(story, done=(*story.done[:end], cancelled)))


def test_an_entry_of_another_journey_is_noticed() -> None:
    """What belongs to another journey does not count here."""
    story, other = world.parallel(), Teller()
    strange = story.inserted(12, accepted(other, "north"))
    assert failed(strange) == ["signatures"]
    assert other.journey in reason(strange, "signatures")


def test_an_entry_about_neither_study_nor_journey_is_noticed() -> None:
    """A train's own entry does not belong into a result's evidence."""
    story = world.parallel()
    train = teller(story)(
        "ada", acts.TrainPacked, train=story.request.train, name="mean-age", version="1"
    )
    assert failed(story.inserted(6, train)) == ["signatures"]


def test_entries_in_another_order_are_noticed() -> None:
    """A ledger in which effects stand before their causes is noticed wherever that is."""
    story = world.parallel()
    moves = [
        (story.index(acts.JourneyPrepared), story.index(acts.JourneyCombined)),
        (story.index(acts.JourneyRequested), len(story.done) - 1),
        (story.index(acts.JourneyCombined, round=1), story.index(acts.StopReleased)),
        (story.index(acts.StopReleased, round=2), story.index(acts.StopReleased, round=1)),
        (story.index(acts.JourneyDelivered), story.index(acts.JourneyCombined)),
    ]
    for at, to in moves:
        assert {"study", "order"} & set(failed(story.moved(at, to))), story.done[at]


def test_swapped_neighbours_that_depend_on_each_other_are_noticed() -> None:
    """Any two neighbours of the ledger, swapped, verify only if neither waited for the other."""
    story, free = world.parallel(), []
    for at in range(len(story.done) - 1):
        pair = (story.done[at], story.done[at + 1])
        if not all(pair):
            continue
        if judge(story.moved(at, at + 1)).verified:
            free.append(tuple(type(done.act).__name__ for done in pair if done))
    assert set(free) == {
        ("SiteApproved", "SiteApproved"),
        ("StopAccepted", "StopAccepted"),
        ("StopReleased", "StopWithheld"),
        ("StopWithheld", "StopReleased"),
        ("StopFinished", "StopReleased"),
        ("StopReleased", "StopHeld"),
        ("JourneyCombined", "StopFinished"),  # of west, which was out already
        ("StopFinished", "JourneyDelivered"),
    }


# The chain and the result


def test_more_rounds_than_requested_are_noticed() -> None:
    """The request bounds the rounds."""
    story = world.parallel()
    tell = teller(story)
    end = story.index(acts.JourneyCombined, round=2)
    done: list[Done] = []
    for number in (2, 3, 4):
        done += [released(tell, name, number) for name in ("north", "south")] if number > 2 else []
        done.append(combined(tell, number, ("north", "south"), final=number == 4))
    long = story.without(end).inserted(end, *done)
    assert failed(long) == ["decisions", "chain"]


@pytest.mark.parametrize("state", [None, parcel("state")])
def test_a_round_with_neither_or_both_outcomes_is_noticed(state: Any) -> None:
    """A round has a next state or the result."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=2)
    result = None if state is None else parcel("result")
    assert failed(story.changed(at, state=state, result=result)) == ["decisions", "chain"]


def test_another_content_is_noticed() -> None:
    """The last combined act names the payload."""
    story = world.parallel()
    at = story.index(acts.JourneyCombined, round=2)
    assert "result" in failed(story.changed(at, content=parcel("another")))
    at = story.index(acts.JourneyDelivered)
    assert failed(story.changed(at, content=parcel("another"))) == ["decisions"]


def test_a_sequence_out_of_its_order_is_noticed() -> None:
    """Stations of a sequence come in the route's order."""
    story = world.sequential()
    at = story.index(acts.StopReleased, station="west")
    early = story.moved(at, story.index(acts.StopReleased, station="north"))
    assert {"decisions", "chain", "order"} <= set(failed(early))


def test_a_forwarded_output_that_was_not_released_is_noticed() -> None:
    """Sealing anew may not change what is inside."""
    story = world.sequential()
    at = story.index(acts.StopForwarded)
    changed = story.changed(at, content=parcel("more"))
    assert failed(changed) == ["decisions", "chain"]


def test_a_sequence_that_ended_early_is_noticed() -> None:
    """The last station of the route has to be asked before there is a result."""
    story = world.sequential()
    end = story.index(acts.StopAccepted, station="west")
    short = replace(story, done=story.done[:end], payload=b"")
    assert failed(short) == ["decisions", "chain", "result"]


def test_a_sequential_train_on_a_parallel_route_is_noticed() -> None:
    """The train says how it travels."""
    story = world.parallel()
    report = judge(replace(story, train=world.bundle("sequential")))
    assert [step.name for step in report.failed] == ["code"]


@given(st.data())
def test_whatever_a_party_changes_in_its_own_act_is_judged(data: st.DataObject) -> None:
    """A changed digest in any honest act either matters to a step or to nothing proved."""
    story = world.parallel()
    at = data.draw(st.sampled_from([i for i, d in enumerate(story.done) if d is not None]))
    done = story.done[at]
    assert done is not None
    names = [n for n, v in msgspec.structs.asdict(done.act).items() if str(v).startswith("sha256:")]
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    report = judge(story.changed(at, **{name: parcel("another")}))
    final = isinstance(done.act, acts.JourneyDelivered) or (
        isinstance(done.act, acts.JourneyCombined) and done.act.result is not None
    )
    assert report.verified is not (
        name in ("study_digest", "parcel", "request") or (name == "content" and final)
    )


def test_a_station_accepts_this_request_and_no_other() -> None:
    """What was accepted is the leaf of the very request in the ledger."""
    story = world.parallel()
    at = story.index(acts.StopAccepted, station="north")
    report = judge(story.changed(at, request=parcel("another request")))
    assert [step.name for step in report.failed] == ["decisions"]
    assert "accepted the request" in report.step("decisions").reason


def test_steps_that_stand_on_a_failed_one_are_not_reached() -> None:
    """A report says what was not looked at, and why."""
    story = world.parallel()
    report = judge(story.without(story.index(acts.StudyApproved)))
    left = {s.name: s.reason for s in report.steps if s.outcome is Outcome.NOT_REACHED}
    assert set(left) == {"request", "code", "environment", "datasets", "decisions"}
    assert "'study'" in left["code"]
    assert report.step("result").found == {"content": CONTENT}


# Witnesses and completeness


def test_the_report_names_who_cosigned() -> None:
    """A person reads which institutions vouch for the checkpoint, and how many liars it resists."""
    found = judge(world.parallel()).step("checkpoint").found
    assert found["cosigned_by"] == {name: [name] for name in world.STATIONS}
    assert (found["needed"], found["entities"], found["dishonest_resisted"]) == (2, 3, 0)
    assert found["from"] == found["until"] == "2026-11-21T12:00:00.000Z"


def test_a_quorum_is_enough_and_less_is_not() -> None:
    """Two of three entities will do; one does not, and the report says which one it was."""
    story = world.parallel()
    assert judge(story, evidence_of(story, cosigners=["north", "west"])).verified
    report = judge(story, evidence_of(story, cosigners=["north"]))
    assert [step.name for step in report.failed] == ["checkpoint"]
    assert (
        "cosigned by north: 1 of 3 legal entities; the study asks for 2" in report.failed[0].reason
    )


def test_the_study_may_ask_for_all() -> None:
    """The number stands in the document, and so does who has to be among them."""
    story = world.parallel(witness_quorum=3)
    report = judge(story, evidence_of(story, cosigners=["north", "south"]))
    assert "2 of 3" in report.failed[0].reason
    assert judge(story).verified


def test_cosignatures_by_strangers_count_for_nothing() -> None:
    """Whoever is not pinned in the study is no witness of it, whatever his line is called."""
    story = world.parallel()
    evidence = evidence_of(story, cosigners=["north"])
    checkpoint = evidence.items[0].receipt.partition("\n\n")[2]
    text = checkpoint.partition("\n\n")[0] + "\n"
    forged = cosign(text, f"{world.ORIGIN}/witness/south", IDS["eve"], 1_800_000_000).line
    items = tuple(msgspec.structs.replace(i, receipt=i.receipt + forged) for i in evidence.items)
    report = judge(story, msgspec.structs.replace(evidence, items=items))
    assert "cosigned by north: 1 of 3" in report.failed[0].reason


def test_an_entry_left_out_is_missed_although_nothing_follows_from_it() -> None:
    """A start, a held output: each lone entry leaves a gap in its stop's numbers."""
    story = world.parallel()
    at = story.index(acts.StopReleased, station="north")
    started = Done("north", acts.StopStarted(
        id=new_id("act"), at="2026-11-21T12:01:00.000Z", journey=story.request.journey,
        station="north", record=parcel("limits"),
    ))  # fmt: skip
    whole = story.inserted(at, started)
    evidence = evidence_of(whole)
    assert judge(whole, evidence).verified
    kinds = [type(done.act) for done in whole.done if done is not None]
    items = list(evidence.items)
    del items[kinds.index(acts.StopStarted)]
    report = judge(whole, msgspec.structs.replace(evidence, items=tuple(items)))
    assert [step.name for step in report.failed] == ["completeness"]
    assert "An entry of station 'north' is missing: number 1" in report.failed[0].reason


def test_a_voided_act_takes_its_number() -> None:
    """What central refused leaves no gap: the word of it stands there."""
    story = world.parallel()
    at = story.index(acts.StopReleased, station="north")
    voided = Done("north", acts.ActVoided(
        id=new_id("act"), at="2026-11-21T12:01:00.000Z", journey=story.request.journey,
        kind="stop.held", reason="Too late",
    ))  # fmt: skip
    assert judge(story.inserted(at, voided)).verified
    stranger = msgspec.structs.replace(voided.act, journey=new_id("journey"))
    report = judge(story.inserted(at, Done("north", stranger)))
    assert report.failed[0].name == "signatures"
