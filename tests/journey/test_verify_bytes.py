"""Evidence of which some bytes are not what they were: every change is noticed and its step named."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journey import world
from tests.journey.world import IDS, VKEY, Story, evidence_of, judge

from branchline.foundation.canonical import canonical_json
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.messages import Evidence, EvidenceItem
from branchline.journey.verify import (
    EVIDENCE,
    RECIPE,
    REQUEST,
    RESULT,
    TRAIN,
    Outcome,
    Report,
    verify_result,
)
from branchline.ledger.proof.note import key_of
from branchline.train.bundle import sign_bundle

replace = msgspec.structs.replace
ROUTES: dict[str, Callable[..., Story]] = {
    "parallel": world.parallel,
    "sequential": world.sequential,
}


@dataclass(frozen=True)
class Told:
    """A story with its evidence, made once."""

    story: Story
    evidence: Evidence

    def with_items(self, items: list[EvidenceItem]) -> Report:
        """Judge other entries."""
        return judge(self.story, replace(self.evidence, items=tuple(items)))

    def with_item(self, at: int, **changes: object) -> Report:
        """Judge one entry changed."""
        items = list(self.evidence.items)
        items[at] = replace(items[at], **changes)
        return self.with_items(items)

    @property
    def kinds(self) -> list[type[acts.Act]]:
        """The kind of act of each entry."""
        return [type(done.act) for done in self.story.done if done is not None]


@cache
def told(route: str) -> Told:
    """Tell a journey once for all tests; all three witnesses are needed, so every byte counts."""
    story = ROUTES[route](witness_quorum=3)
    return Told(story, evidence_of(story))


def failed(report: Report) -> list[str]:
    """Return the names of the steps that failed, and check that each says why."""
    assert all(step.reason for step in report.failed)
    return [step.name for step in report.failed]


def flipped(text: str, at: int) -> str:
    """Return a text with another character at a place."""
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize("route", ROUTES)
def test_a_true_result_passes_every_step(route: str) -> None:
    """An honest journey is verified, step by step, with what each step found."""
    report = judge(told(route).story, told(route).evidence)
    assert [(step.number, step.outcome) for step in report.steps] == [
        (number, Outcome.PASSED) for number in range(1, len(RECIPE) + 1)
    ]
    assert report.verified
    assert all(step.found for step in report.steps)
    report.require()


def test_the_report_names_marks_versions_and_who_was_out() -> None:
    """What a person wants to know stands in the report: environments, datasets, decisions."""
    report = judge(told("parallel").story, told("parallel").evidence)
    assert set(report.step("environment").found) == {"north", "south"}
    assert report.step("environment").found["north"]["reproducible"] is False
    assert report.step("datasets").found["south"]["version"] == world.parcel("south", "data")
    assert report.step("inputs").found["out"] == {"west": "stop.withheld"}
    assert report.step("study").found["approver"] == "ben"


def test_the_report_is_plain_json() -> None:
    """A report can be printed as one JSON object."""
    plain = judge(told("parallel").story, told("parallel").evidence).as_json()
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain
    assert plain["verified"] is True


@pytest.mark.parametrize("route", ROUTES)
def test_the_order_of_the_entries_in_the_file_means_nothing(route: str) -> None:
    """Only the ledger's order counts."""
    assert told(route).with_items(list(reversed(told(route).evidence.items))).verified


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_given_key_the_studys_is_taken(route: str) -> None:
    """The study pins the ledger's key."""
    assert judge(told(route).story, told(route).evidence, log_vkey=None).verified


IDLE = {acts.StopFinished, acts.JourneyDelivered}
"""Acts from which nothing that is proved follows, and which are the last ones of their party."""


@pytest.mark.parametrize("route", ROUTES)
def test_every_entry_that_counts_is_missed(route: str) -> None:
    """Each entry dropped breaks the steps that stand on it."""
    for at, kind in enumerate(told(route).kinds):
        items = list(told(route).evidence.items)
        del items[at]
        report = told(route).with_items(items)
        spare = _is_spare(told(route), at)
        assert report.verified is (kind in IDLE or spare), kind


def _is_spare(case: Told, at: int) -> bool:
    """Tell whether an entry is the approval of a site that contributed nothing."""
    act = [done.act for done in case.story.done if done is not None][at]
    out = "west" if case.story.request.route.kind == "parallel" else "south"
    return isinstance(act, acts.SiteApproved) and act.station == out


def test_what_is_dropped_names_the_step() -> None:
    """A person learns which step lacks something."""
    case, expected = (
        told("parallel"),
        {
            acts.StudyProposed: ["study"],
            acts.StudyApproved: ["study"],
            acts.JourneyRequested: ["study"],
            acts.SiteApproved: ["datasets"],
            acts.JourneyPrepared: ["decisions"],
            acts.StopAccepted: ["environment", "datasets", "decisions"],
            acts.StopWithheld: ["decisions", "completeness"],
            acts.StopReleased: ["decisions", "inputs", "completeness"],
            acts.StopHeld: ["completeness"],
            acts.JourneyCombined: ["decisions", "chain"],
        },
    )
    for kind, steps in expected.items():
        items = list(case.evidence.items)
        del items[next(i for i, k in enumerate(case.kinds) if k is kind)]
        assert failed(case.with_items(items)) == steps, kind


@pytest.mark.parametrize("route", ROUTES)
@settings(max_examples=120)
@given(data=st.data())
def test_every_flipped_byte_of_an_entry_is_noticed(route: str, data: st.DataObject) -> None:
    """No byte of a signature, a disclosure or a receipt may change."""
    case = told(route)
    at = data.draw(st.integers(0, len(case.evidence.items) - 1))
    item = case.evidence.items[at]
    part = data.draw(st.sampled_from(["jws", "disclosure", "receipt"]))
    if part == "receipt":
        place = data.draw(st.integers(0, len(item.receipt) - 1))
        report, step = case.with_item(at, receipt=flipped(item.receipt, place)), None
    elif part == "jws":
        place = data.draw(st.integers(0, len(item.entry.jws) - 1))
        entry = replace(item.entry, jws=flipped(item.entry.jws, place))
        report, step = case.with_item(at, entry=entry), "ledger"
    else:
        which = data.draw(st.integers(0, len(item.entry.disclosures) - 1))
        texts = list(item.entry.disclosures)
        texts[which] = flipped(texts[which], data.draw(st.integers(0, len(texts[which]) - 1)))
        entry = replace(item.entry, disclosures=tuple(texts))
        report, step = case.with_item(at, entry=entry), "signatures"
    assert not report.verified
    assert failed(report)[0] == step if step else failed(report)[0] in ("checkpoint", "ledger")


@pytest.mark.parametrize("route", ROUTES)
def test_a_field_held_back_is_noticed(route: str) -> None:
    """An entry must come whole: also what has a default value counts."""
    case = told(route)
    for at, item in enumerate(case.evidence.items):
        for kept in range(len(item.entry.disclosures)):
            texts = item.entry.disclosures
            entry = replace(item.entry, disclosures=texts[:kept] + texts[kept + 1 :])
            assert failed(case.with_item(at, entry=entry)) == ["signatures"]


@pytest.mark.parametrize("part", ["entry", "receipt"])
def test_swapped_parts_are_noticed(part: str) -> None:
    """An entry with another's receipt is not in the ledger."""
    case = told("parallel")
    items = list(case.evidence.items)
    for at in range(len(items) - 1):
        other = getattr(items[at + 1], part)
        assert failed(case.with_item(at, **{part: other})) == ["ledger"]


def test_other_keys_than_the_pinned_are_noticed() -> None:
    """The keys that come along are worth nothing: the study's count."""
    case, strange = told("parallel"), Identity.create().public
    for at in range(len(case.evidence.items)):
        assert failed(case.with_item(at, keys=strange)) == ["signatures"]
        sealed = replace(case.evidence.items[at].keys, seal=strange.seal)
        assert failed(case.with_item(at, keys=sealed)) == ["signatures"]


def test_an_entry_given_twice_is_noticed() -> None:
    """Nothing counts double."""
    items = list(told("parallel").evidence.items)
    assert failed(told("parallel").with_items([*items, items[9]])) == ["ledger"]


def test_receipts_of_two_checkpoints_are_noticed() -> None:
    """Two sizes of a ledger could be two histories."""
    case = told("parallel")
    longer = world.Story(
        case.story.study,
        case.story.request,
        case.story.train,
        case.story.payload,
        (*case.story.done, None, None),
    )
    entries = iter([item.entry for item in case.evidence.items])
    grown = world.gather(longer, [None if d is None else next(entries) for d in longer.done])
    report = case.with_item(3, receipt=grown.items[3].receipt)
    assert failed(report) == ["ledger"]
    assert "several checkpoints" in report.step("ledger").reason


def test_no_entries_at_all_are_noticed() -> None:
    """Empty evidence proves nothing."""
    assert failed(told("parallel").with_items([])) == ["checkpoint"]


def test_another_ledger_is_noticed() -> None:
    """A ledger signed with another key is not the one that is trusted."""
    story = told("parallel").story
    report = judge(story, evidence_of(story, log_key="eve"))
    assert failed(report) == ["checkpoint"]
    assert {s.outcome for s in report.steps[1:]} == {Outcome.NOT_REACHED}
    other = replace(evidence_of(story, log_key="eve"), log_vkey=VKEY)
    assert failed(judge(story, other)) == ["checkpoint"]
    assert failed(judge(story, other, log_vkey=None)) == ["checkpoint"]


def test_a_trusted_key_that_is_another_is_noticed() -> None:
    """Whoever knows the ledger's key is not talked into the study's."""
    case = told("parallel")
    key = key_of(world.ORIGIN, IDS["eve"].public).text
    for vkey in (key, "nonsense", "a+b+c", ""):
        assert failed(judge(case.story, case.evidence, log_vkey=vkey)) == ["checkpoint"]


def test_a_flipped_result_is_noticed() -> None:
    """Each byte of the payload counts, and only the step about it fails."""
    for route in ROUTES:
        case = told(route)
        changed = bytes([case.story.payload[0] ^ 1]) + case.story.payload[1:]
        for payload in (changed, b"", case.story.payload + b"\0"):
            assert failed(judge(case.story, case.evidence, payload=payload)) == ["result"]


def test_a_flipped_train_is_noticed() -> None:
    """Each byte of the bundle counts, and only the step about it fails."""
    case = told("parallel")
    data = case.story.train.data
    for at in (0, 700, len(data) - 1):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert failed(judge(case.story, case.evidence, bundle=changed)) == ["code"]


def test_a_changed_request_is_noticed() -> None:
    """The requester's copy must be what was signed, parameters included."""
    case, request = told("parallel"), told("parallel").story.request
    for changes in (
        {"parameters": {"column": "sex", "bins": [1, 2.5]}},
        {"parameters": {"column": "age", "bins": [1, 2.5], "more": None}},
        {"datasets": request.datasets | {"west": "other"}},
        {"route": replace(request.route, quorum=1)},
        {"author": sign_bundle(case.story.train, IDS["ada"])[:-4] + "AAAA"},
    ):
        assert "request" in failed(
            judge(case.story, case.evidence, request=replace(request, **changes))
        )


def test_a_request_for_another_train_is_noticed() -> None:
    """Neither the signed request nor the bundle fits it."""
    case = told("parallel")
    other = replace(case.story.request, train=world.bundle("sequential").digest)
    assert failed(judge(case.story, case.evidence, request=other)) == ["request", "code"]


def test_a_request_for_another_journey_is_noticed() -> None:
    """Entries of one journey prove nothing of another."""
    case = told("parallel")
    other = replace(case.story.request, journey=told("sequential").story.request.journey)
    assert failed(judge(case.story, case.evidence, request=other)) == ["signatures"]


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_changed_study_is_noticed(at: int) -> None:
    """The study's document is named by digest, byte for byte."""
    case = told("parallel")
    study = bytearray(case.evidence.study)
    study[at] ^= 1
    evidence = replace(case.evidence, study=bytes(study))
    assert failed(judge(case.story, evidence)) == ["checkpoint"]


def test_another_authors_signature_is_noticed() -> None:
    """The evidence and the request name one signature."""
    case = told("parallel")
    evidence = replace(case.evidence, author=sign_bundle(case.story.train, IDS["eve"]))
    assert failed(judge(case.story, evidence)) == ["request"]


@given(st.binary(max_size=60), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_nonsense_is_noticed_and_never_breaks(
    study: bytes, jws: str, disclosure: str, receipt: str
) -> None:
    """Whatever stands in the evidence, the answer is a report that does not verify."""
    case = told("parallel")
    for changes in ({"study": study}, {"author": jws}, {"log_vkey": receipt}):
        assert not judge(case.story, replace(case.evidence, **changes), log_vkey=None).verified
    entry = case.evidence.items[6].entry
    assert not case.with_item(6, receipt=receipt).verified
    assert not case.with_item(6, entry=replace(entry, jws=jws)).verified
    assert not case.with_item(6, entry=replace(entry, disclosures=(disclosure,))).verified


# The folder


def test_a_folder_is_verified_as_it_was_written(tmp_path: Path) -> None:
    """What is written is what is verified."""
    case = told("sequential")
    _write(tmp_path, case)
    assert verify_result(tmp_path, log_vkey=VKEY).verified
    assert verify_result(tmp_path).as_json() == judge(case.story, case.evidence).as_json()


@pytest.mark.parametrize(("name", "step"), [(RESULT, "result"), (TRAIN, "code")])
def test_a_flipped_byte_in_a_file_is_noticed(tmp_path: Path, name: str, step: str) -> None:
    """Each file is bound by digest."""
    _write(tmp_path, told("parallel"))
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / name).write_bytes(data)
    report = verify_result(tmp_path)
    assert failed(report) == [step]
    with pytest.raises(Corrupt, match=step):
        report.require()


@pytest.mark.parametrize("name", [RESULT, EVIDENCE, REQUEST, TRAIN])
def test_a_file_that_lacks_is_named(tmp_path: Path, name: str) -> None:
    """Without one of the files there is nothing to verify."""
    _write(tmp_path, told("parallel"))
    (tmp_path / name).unlink()
    with pytest.raises(Refused, match=name):
        verify_result(tmp_path)


@pytest.mark.parametrize("name", [EVIDENCE, REQUEST])
def test_unknown_fields_in_a_file_are_refused(tmp_path: Path, name: str) -> None:
    """Files are read strictly."""
    _write(tmp_path, told("parallel"))
    plain = msgspec.json.decode((tmp_path / name).read_bytes())
    (tmp_path / name).write_bytes(canonical_json(plain | {"more": 1}))
    with pytest.raises(Refused, match="more"):
        verify_result(tmp_path)


def _write(folder: Path, case: Told) -> None:
    story = case.story
    (folder / EVIDENCE).write_bytes(canonical_json(case.evidence))
    (folder / REQUEST).write_bytes(canonical_json(story.request))
    (folder / TRAIN).write_bytes(story.train.data)
    (folder / RESULT).write_bytes(story.payload)


# What it costs


def test_a_hundred_entries_take_less_than_a_second() -> None:
    """Verification is fast enough to be done every time."""
    story = world.parallel()
    tell = world.Teller(story.request.journey)
    before = story.index(acts.JourneyPrepared) + 1
    long = story.inserted(
        before,
        *(tell("north", acts.CustodyReturned, station="north", sealed=b"") for _ in range(90)),
    )
    evidence = evidence_of(long)
    assert len(evidence.items) > 100
    began = time.process_time()
    assert judge(long, evidence).verified
    assert time.process_time() - began < 1.0


def test_verification_needs_no_server_and_no_database() -> None:
    """Importing the verifier brings in neither HTTP nor SQL nor numbers."""
    code = (
        "import sys, branchline.journey.verify\n"
        "heavy = {'aiohttp', 'sqlalchemy', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
