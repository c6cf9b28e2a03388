"""Acts and messages: typed, signed, read strictly."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Corrupt
from branchline.foundation.ids import id_from_bytes
from branchline.foundation.keys import Identity, PublicKeys
from branchline.journey import acts, messages
from branchline.journey.machine import Phase, StopPhase
from branchline.journey.request import JourneyRequest, Route
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ActorSecret
from branchline.ledger.entry import Entry, make_entry

ME, OTHER = Identity.create(), Identity.create()
KINDS: list[type[acts.Act]] = sorted(get_args(acts.AnyAct), key=lambda kind: kind.__name__)
MESSAGES: list[type[messages.Message]] = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if issubclass(kind, messages.Message) and kind is not messages.Message
]

names = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,20}\Z")
texts = st.text(max_size=30)
digests: st.SearchStrategy[Digest] = st.binary(max_size=8).map(digest_of)
ids = st.builds(
    id_from_bytes, st.sampled_from(["act", "journey"]), st.binary(min_size=16, max_size=16)
)
requests = st.builds(
    JourneyRequest,
    journey=ids,
    study=names,
    study_digest=digests,
    train=digests,
    author=texts,
    route=st.builds(
        Route,
        kind=st.sampled_from(["parallel", "sequential"]),
        stations=st.lists(names, min_size=1, max_size=3).map(tuple),
    ),
    parameters=st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts | st.none(), max_size=3),
    datasets=st.dictionaries(names, names, max_size=3),
)


def of_field(name: str, kind: Any) -> st.SearchStrategy[Any]:
    """Return values for one field of an act."""
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "id": ids,
        "journey": ids,
        "hosted": ids,
        "source": ids,
        "project": ids,
        "party": names,
        "offset": st.integers(0, 2**40),
        "visibility": st.sampled_from(get_args(acts.Visibility)),
        "role": st.sampled_from(get_args(acts.Role)),
        "changes": st.dictionaries(texts, st.tuples(texts, texts), max_size=3),
        # A journey's request whole; where a station accepts it, the digest of its leaf.
        "request": digests if "sha256" in str(getattr(kind, "pattern", "")) else requests,
        "keys": st.just(ME.public),
        "entity": names | st.none(),
        "study": names,
        "inputs": st.dictionaries(names, digests, max_size=3),
        "suppressed": st.lists(texts, max_size=3).map(tuple),
        "round": st.integers(0, 10_000),
        "reproducible": st.booleans(),
        "datasets": st.dictionaries(names, st.lists(texts, max_size=2).map(tuple), max_size=3),
    }
    if name in by_name:
        return by_name[name]
    if isinstance(kind, msgspec.inspect.UnionType):
        return digests | st.none()
    if isinstance(kind, msgspec.inspect.BytesType):
        return st.binary(max_size=40)
    pattern = getattr(kind, "pattern", None) or ""
    return digests if "sha256" in pattern else names if pattern else texts


def acts_of(kind: type[acts.Act]) -> st.SearchStrategy[acts.Act]:
    """Return acts of a kind."""
    fields = {
        field.name: of_field(field.name, msgspec.inspect.type_info(field.type))
        for field in msgspec.structs.fields(kind)
    }
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(data=st.data())
def test_every_act_is_read_as_it_was_signed(kind: type[acts.Act], data: st.DataObject) -> None:
    """An act of any kind survives its ledger entry, and the wire, whole."""
    act = data.draw(acts_of(kind))
    entry = acts.sign_act(act, ME)
    wired = msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
    assert acts.read_act(wired, ME.public) == act
    assert acts.expect_act(entry, ME.public, kind) == act
    assert len(entry.disclosures) == len(act.__struct_fields__) + 1


def test_no_two_kinds_share_a_word() -> None:
    """Each act has a word of its own on the wire, and every kind is among those that are read."""
    words = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(words)) == len(words)
    assert set(KINDS) == _leaves(acts.Act)


def _leaves(kind: type[acts.Act]) -> set[type[acts.Act]]:
    below = kind.__subclasses__()
    return {leaf for sub in below for leaf in _leaves(sub)} if below else {kind}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(data=st.data())
def test_an_act_is_its_signers(kind: type[acts.Act], data: st.DataObject) -> None:
    """Neither another party's keys nor another kind are accepted."""
    entry = acts.sign_act(data.draw(acts_of(kind)), ME)
    with pytest.raises(Corrupt):
        acts.read_act(entry, OTHER.public)
    other = acts.JourneyFailed if kind is not acts.JourneyFailed else acts.StopFailed
    with pytest.raises(Corrupt, match="expected a"):
        acts.expect_act(entry, ME.public, other)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(data=st.data())
def test_an_unknown_field_in_an_act_is_refused(kind: type[acts.Act], data: st.DataObject) -> None:
    """Also a signed act is read strictly."""
    plain = msgspec.to_builtins(data.draw(acts_of(kind)))
    with pytest.raises(Corrupt, match="not an act known here"):
        acts.read_act(make_entry(plain | {"more": 1}, ME), ME.public)
    with pytest.raises(Corrupt, match="not an act known here"):
        acts.read_act(make_entry(plain | {"act": "stop.unheard-of"}, ME), ME.public)


@pytest.mark.parametrize(
    "changes",
    [{"station": "Up"}, {"station": "a\n"}, {"parcel": "sha256:00"}, {"id": "x"}, {"round": "1"}],
)
def test_a_malformed_field_in_an_act_is_refused(changes: dict[str, Any]) -> None:
    """Names, digests, ids and numbers are checked while reading."""
    plain: dict[str, Any] = {
        "act": "stop.forwarded",
        "id": id_from_bytes("act", bytes(16)),
        "at": "",
        "journey": id_from_bytes("journey", bytes(16)),
        "station": "north",
        "round": 1,
        "parcel": digest_of(b""),
        "content": digest_of(b""),
    }
    acts.read_act(make_entry(plain, ME), ME.public)
    with pytest.raises(Corrupt):
        acts.read_act(make_entry(plain | changes, ME), ME.public)


# Messages


def example(kind: Any) -> Any:
    """Return one value of a message's field, as plain JSON."""
    if isinstance(kind, msgspec.inspect.StructType):
        return as_json(EXAMPLES[kind.cls]) if kind.cls in EXAMPLES else plain(kind.cls)
    if isinstance(kind, msgspec.inspect.EnumType):
        return next(iter(kind.cls)).value
    if isinstance(kind, msgspec.inspect.LiteralType):
        return kind.values[0]
    if isinstance(kind, msgspec.inspect.UnionType):
        return example(kind.types[0])
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return [example(kind.item_type)]
    if isinstance(kind, msgspec.inspect.DictType):
        return {example(kind.key_type): example(kind.value_type)}
    if isinstance(kind, msgspec.inspect.StrType):
        pattern = kind.pattern or ""
        known = {"sha256": digest_of(b""), "a-z2-7": id_from_bytes("journey", bytes(16))}
        return next((value for key, value in known.items() if key in pattern), "north")
    simple: dict[type[Any], Any] = {msgspec.inspect.IntType: 1, msgspec.inspect.BytesType: "AA=="}
    return next((value for known, value in simple.items() if isinstance(kind, known)), None)


def as_json(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


def plain(kind: type[Any]) -> dict[str, Any]:
    """Return an example of a message with every field, as plain JSON."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.encode_name: example(field.type) for field in info.fields}


EXAMPLES: dict[Any, Any] = {
    PublicKeys: ME.public,
    Entry: make_entry({"a": 1}, ME),
    Beside: acts.seal_act(
        acts.JourneyFailed(id=id_from_bytes("act", bytes(16)), at="", journey="", reason="No"),
        ME,
        ActorSecret(1, bytes(32)),
    ).beside,
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_is_read_strictly(kind: type[messages.Message]) -> None:
    """A message with all its fields is read and written back; one field more is refused."""
    made = plain(kind)
    read = msgspec.json.decode(msgspec.json.encode(made), type=kind)
    assert as_json(read) == made
    with pytest.raises(msgspec.ValidationError, match="more"):
        msgspec.json.decode(msgspec.json.encode(made | {"more": 1}), type=kind)


@pytest.mark.parametrize("kind", MESSAGES)
def test_no_message_reads_with_a_field_of_another_type(kind: type[messages.Message]) -> None:
    """Each field is typed: a list of lists fits none of them."""
    made = plain(kind)
    for name in made:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(msgspec.json.encode(made | {name: [[[]]]}), type=kind)


def test_the_phases_on_the_wire_are_those_of_the_machine() -> None:
    """What a requester sees are the machine's own words."""
    assert {phase.value for phase in Phase} >= {"requested", "arrived", "failed"}
    status = plain(messages.StopStatus) | {"phase": StopPhase.HELD.value}
    read = msgspec.json.decode(msgspec.json.encode(status), type=messages.StopStatus)
    assert read.phase is StopPhase.HELD


def test_two_notices_are_the_same_by_what_they_ask_for() -> None:
    """A notice pushed twice has one key; another round, attempt or kind has another."""
    base = msgspec.json.decode(msgspec.json.encode(plain(messages.Notice)), type=messages.Notice)
    assert msgspec.structs.replace(base, receipt="other").key == base.key
    for changes in ({"round": 7}, {"attempt": 7}, {"kind": "end"}, {"to": "west"}):
        assert msgspec.structs.replace(base, **changes).key != base.key
