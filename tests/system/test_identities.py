"""Wrong invitations, other people's keys, strangers' acts: refused with one sentence, recorded."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from tests.system import world as w
from tests.system.trains import MEAN
from yarl import URL

from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import SystemClock
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import (
    BranchlineError,
    Conflict,
    Corrupt,
    NotAllowed,
    NotFound,
    Refused,
)
from branchline.foundation.http.client import ApiClient
from branchline.foundation.http.signing import RequestSigner, content_digest
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.journey import acts, messages
from branchline.journey.enrolment import join
from branchline.ledger.classes import ActorSecret
from branchline.study.document import Person, StudyRefused, StudyStation

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SECRET = ActorSecret(1, bytes(32))
CLOCK = SystemClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """Two stations that are down: nothing here gets as far as running."""
    world = w.here(tmp_path_factory.mktemp("world"))
    try:
        await w.populate(world)
        await world.enrol_person("mallory")
        yield world
    finally:
        await world.close()


async def caught(work: Any) -> BranchlineError:
    """Return the error that something is refused with."""
    with pytest.raises(BranchlineError) as found:
        await work
    return found.value


# Invitations


async def test_a_used_invitation_is_refused(world: w.World) -> None:
    """An invitation lets one party in, once."""
    invitation = world.invite("bob", "person")
    await join(Identity.create(), invitation, CLOCK, secret=SECRET)
    error = await caught(join(Identity.create(), invitation, CLOCK, secret=SECRET))
    assert isinstance(error, NotAllowed)
    assert world.incidents()[-1] == error.refused == "The invitation was used already"


async def test_an_expired_invitation_is_refused(world: w.World) -> None:
    """After its time it is worth nothing."""
    error = await caught(
        join(
            Identity.create(),
            world.invite("late", "person", timedelta(seconds=-1)),
            CLOCK,
            secret=SECRET,
        )
    )
    assert error.refused.startswith("The invitation expired at ")
    assert world.incidents()[-1] == error.refused


@pytest.mark.parametrize(
    "changes", [{"name": "ella"}, {"name": "carol2"}, {"kind": "station"}, {"token": "x" * 32}]
)
async def test_an_invitation_is_for_its_name_and_kind(
    world: w.World, changes: dict[str, Any]
) -> None:
    """Somebody else's name, another kind or a made-up token are refused and recorded."""
    invitation = world.invite(new_id("p")[2:20], "person")
    wrong = msgspec.structs.replace(invitation, **changes)
    error = await caught(join(Identity.create(), wrong, CLOCK, secret=SECRET))
    assert isinstance(error, NotAllowed)
    assert world.incidents()[-1] == error.refused


async def test_an_invitation_to_another_service_is_noticed(world: w.World) -> None:
    """The party checks whom it met before it sends its token."""
    wrong = msgspec.structs.replace(world.invite("dora", "person"), central="x" * 43)
    before = len(world.incidents())
    assert isinstance(await caught(join(Identity.create(), wrong, CLOCK, secret=SECRET)), Corrupt)
    assert len(world.incidents()) == before


async def test_one_key_cannot_be_two_parties(world: w.World) -> None:
    """An enrolled key with a second invitation gets a sentence, not a server error."""
    error = await caught(
        join(world.pi.identity, world.invite("alias", "person"), CLOCK, secret=SECRET)
    )
    assert isinstance(error, Conflict)


# Requests


class Raw:
    """Requests made by hand: any header, any body, any signature."""

    def __init__(self, world: w.World, session: aiohttp.ClientSession) -> None:
        self._world, self._session = world, session

    def signed(self, identity: Identity, body: bytes, key: str, path: str) -> dict[str, str]:
        """Return a request's headers, signed now."""
        headers = {
            "content-digest": content_digest(body),
            "content-type": "application/json",
            "idempotency-key": key,
        }
        url = self._world.url + path
        RequestSigner(identity).sign("POST", url, headers, CLOCK.now())
        return headers

    async def post(
        self, body: bytes, headers: dict[str, str], path: str = "/v1/acts"
    ) -> tuple[int, dict[str, Any]]:
        """Send it and return the answer."""
        url = self._world.url + path
        async with self._session.post(url, data=io.BytesIO(body), headers=headers) as response:
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
            return response.status, answer


@pytest_asyncio.fixture(loop_scope="module")
async def raw(world: w.World) -> AsyncIterator[Raw]:
    """A client that follows no rule."""
    async with aiohttp.ClientSession() as session:
        yield Raw(world, session)


async def prepared(world: w.World) -> tuple[bytes, str]:
    """Return a message that asks for a journey, and its key."""
    request = await world.request(MEAN)
    act = acts.JourneyRequested(
        id=new_id("act"), at=world.pi.at(), journey=request.journey, request=request
    )
    message = messages.ActMessage(entry=acts.sign_act(act, world.pi.identity))
    return msgspec.json.encode(message), act.id


async def test_a_replayed_request_is_refused_and_a_repeated_act_gets_its_answer(
    world: w.World, raw: Raw
) -> None:
    """The same bytes twice are a replay; the same act signed anew is a repetition."""
    body, key = await prepared(world)
    headers = raw.signed(world.pi.identity, body, key, "/v1/acts")
    status, first = await raw.post(body, headers)
    assert status == 200
    status, problem = await raw.post(body, headers)
    assert (status, problem["error"]) == (401, "stale-signature")
    assert world.incidents()[-1] == "This signed request was already received"
    anew = raw.signed(world.pi.identity, body, key, "/v1/acts")
    assert await raw.post(body, anew) == (200, first)
    assert [act.id for _, act in world.history()].count(key) == 1


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("body changed", 403),
        ("path changed", 403),
        ("unsigned", 403),
        ("another's key", 422),
        ("stranger", 403),
        ("wrong idempotency key", 400),
        ("idempotency key not signed", 403),
        ("unknown field", 400),
        ("not JSON", 400),
        ("oversized", 400),
    ],
)
async def test_a_request_that_is_not_right_is_refused(
    world: w.World, raw: Raw, name: str, status: int
) -> None:
    """Each with one sentence; and none of them leaves an act behind."""
    body, key = await prepared(world)
    path, identity, own = "/v1/acts", world.pi.identity, key
    if name == "another's key":
        identity = world.members["mallory"].identity
    elif name == "stranger":
        identity = Identity.create()
    elif name == "wrong idempotency key":
        key = new_id("act")
    elif name == "unknown field":
        body = body[:-1] + b',"more":1}'
    elif name == "not JSON":
        body = b"\x80pickle"
    elif name == "oversized":
        body = body[:-1] + b'," ":"' + b"x" * (1 << 20) + b'"}'
    headers = raw.signed(identity, body, key, path)
    if name == "body changed":
        body = body.replace(b'"parcels":{}', b'"parcels":{ }')
    elif name == "path changed":
        path = "/v1/acts?more=1"
    elif name == "unsigned":
        headers = {k: v for k, v in headers.items() if not k.startswith("signature")}
        headers = {k: v for k, v in headers.items() if k.lower() not in _SIGNATURES}
    elif name == "idempotency key not signed":
        headers["idempotency-key"] = new_id("act")
    answered, problem = await raw.post(body, headers, path)
    assert answered == status, problem
    assert problem["refused"]
    assert world.incidents()[-1] == problem["refused"]
    # Stations may act meanwhile: it is this act that must not be there.
    assert not {own, key} & {act.id for _, act in world.history()}


_SIGNATURES = ("signature", "signature-input")


# Acts


async def test_nobody_speaks_for_another_station(world: w.World) -> None:
    """A station's act about another's stop is refused and recorded."""
    journey = await world.depart(MEAN)
    error = await caught(
        world.tell(
            acts.StopDeclined, journey, world.members["south"], station="north", by="x", reason="y"
        )
    )
    assert isinstance(error, NotAllowed)
    assert world.incidents()[-1] == error.refused == "south spoke for north"


async def test_a_stranger_cannot_tell_a_journey_from_none(world: w.World) -> None:
    """Acts upon somebody else's journey are answered as if there were none."""
    mallory = world.members["mallory"]
    journey, nothing = await world.depart(MEAN), new_id("journey")
    for kind, more in (
        (acts.JourneyCancelled, {}),
        (acts.StopSkipped, {"station": "north"}),
        (acts.StopRetried, {"station": "north"}),
        (acts.JourneyDelivered, {"content": digest_of(b"")}),
        (acts.StopDeclined, {"station": "north", "by": "x", "reason": "y"}),
        (acts.JourneyFailed, {"reason": "x"}),
    ):
        answers = [await caught(world.tell(kind, j, mallory, **more)) for j in (journey, nothing)]
        assert isinstance(answers[1], NotFound)
        assert w.same_answer(answers[0], answers[1], journey, nothing), kind
    for path in ("", "/evidence", "/events"):
        answers = [
            await caught(mallory.client.get_bytes(f"/v1/journeys/{j}{path}"))
            for j in (journey, nothing)
        ]
        assert isinstance(answers[1], NotFound)
        assert w.same_answer(answers[0], answers[1], journey, nothing), path
    assert (await world.status(journey)).phase == "travelling"


@pytest.mark.parametrize("kind", [acts.JourneyPrepared, acts.JourneyCombined, acts.JourneyFailed])
async def test_a_requester_is_not_the_aggregators_host(
    world: w.World, kind: type[acts.JourneyAct]
) -> None:
    """Not even on his own journey."""
    journey = await world.depart(MEAN)
    more: dict[type, dict[str, Any]] = {
        acts.JourneyPrepared: {"recipient": world.pi.identity.public.seal, "custody": b""},
        acts.JourneyCombined: {
            "round": 1,
            "state": None,
            "result": digest_of(b""),
            "content": digest_of(b""),
            "inputs": {},
        },
        acts.JourneyFailed: {"reason": "x"},
    }
    error = await caught(world.tell(kind, journey, **more[kind]))
    assert isinstance(error, NotAllowed)
    assert world.incidents()[-1] == error.refused


async def test_an_acts_id_is_used_once(world: w.World) -> None:
    """Another act under a known id is a conflict, on the same journey or on another."""
    first, second = await world.depart(MEAN), await world.depart(MEAN)
    ids = [act.id for _, act in world.history(journey=first)]
    for journey in (first, second):
        cancel = acts.JourneyCancelled(id=ids[0], at=world.pi.at(), journey=journey)
        assert isinstance(await caught(world.pi.act(cancel)), Conflict)
        assert (await world.status(journey)).phase == "travelling"


async def test_a_party_cannot_enrol_by_an_act(world: w.World) -> None:
    """Acts that have a route of their own are taken in nowhere else."""
    act = acts.PartyEnrolled(
        id=new_id("act"),
        at=world.pi.at(),
        name="ghost",
        kind="person",
        keys=Identity.create().public,
    )
    assert isinstance(await caught(world.pi.act(act)), Refused)


async def test_many_at_once_under_one_id_are_one_act(world: w.World) -> None:
    """Ten copies of one act, each signed anew, racing: one entry, one answer."""
    request = await world.request(MEAN)
    act = acts.JourneyRequested(
        id=new_id("act"), at=world.pi.at(), journey=request.journey, request=request
    )
    entry = acts.sign_act(act, world.pi.identity)
    answers = await asyncio.gather(*(world.pi.send(entry, act.id) for _ in range(10)))
    assert len({answer.position for answer in answers}) == 1
    assert [a.id for _, a in world.history()].count(act.id) == 1


async def test_a_parcel_is_what_its_digest_says(world: w.World) -> None:
    """A parcel under another digest is refused, and one never brought cannot be named."""
    client = world.members["north"].client
    with pytest.raises(Corrupt):
        await client.put_bytes(f"/v1/parcels/{digest_of(b'one')}", b"other")
    with pytest.raises(NotFound):
        await client.get_bytes(f"/v1/parcels/{digest_of(b'one')}")


@pytest.mark.parametrize("path", ["../keys", "..%2fkeys", "%2e%2e/central.sqlite", "/etc/passwd"])
async def test_only_the_ledgers_files_are_public(world: w.World, path: str) -> None:
    """No path leads out of the ledger's folder."""
    async with aiohttp.ClientSession() as session:
        url = URL(f"{world.url}/ledger/{path}", encoded=True)
        async with session.get(url) as response:
            assert response.status == 404


# Studies


async def test_a_study_cannot_pin_other_keys(world: w.World) -> None:
    """Keys that are nobody's here, or another service's, are refused."""
    stranger = Identity.create().public
    people = world.approved.people
    south = world.pinned("south").witness
    documents = [
        world.document("foreign-1", stations=(StudyStation("north", stranger, ("trial",)),)),
        world.document(
            "foreign-2",
            people=(Person("alice", "principal-investigator", stranger), people[1]),
            stations=(world.pinned("north"),),
        ),
        world.document(
            "foreign-3",
            central=msgspec.structs.replace(world.approved.central, keys=stranger),
        ),
        world.document(
            "foreign-4",
            stations=(msgspec.structs.replace(world.pinned("north"), witness=south),),
        ),
        world.document(
            "foreign-5", stations=(msgspec.structs.replace(world.pinned("north"), witness=""),)
        ),
    ]
    for document in documents:
        error = await caught(world.propose(document))
        assert "pins" in error.refused
        assert world.incidents()[-1] == error.refused


async def test_a_proposer_cannot_approve(world: w.World) -> None:
    """Separation of duties: not in the document, and not by the act."""
    with pytest.raises(BranchlineError):
        await world.propose(world.document("own-1", approver="alice"))
    document = world.document("own-2")
    await world.propose(document)
    error = await caught(world.decide(acts.StudyApproved, world.pi, document))
    assert isinstance(error, NotAllowed)


async def test_a_study_proposed_twice_gets_a_sentence(world: w.World) -> None:
    """The same revision again is a conflict, not a server error."""
    assert isinstance(await caught(world.propose(world.approved)), Conflict)


@pytest.mark.parametrize("what", ["unapproved", "over", "not begun", "suspended"])
async def test_no_journey_without_a_study_that_permits_it_now(world: w.World, what: str) -> None:
    """Central refuses the request and records that it did."""
    now = world.clock.now()
    names: dict[str, dict[str, Any]] = {"unapproved": {}, "suspended": {}}
    dates: dict[str, dict[str, Any]] = {
        "over": {"valid_until": now - timedelta(hours=1)},
        "not begun": {"valid_from": now + timedelta(hours=1)},
    }
    document = world.document(f"gate-{what.replace(' ', '-')}", **(names | dates)[what])
    await world.propose(document)
    if what != "unapproved":
        await world.decide(acts.StudyApproved, world.ethics, document)
        for station in world.homes:
            await world.approve_at(station, document)
    if what == "suspended":
        await world.decide(acts.StudySuspended, world.ethics, document)
    request = msgspec.structs.replace(
        await world.request(MEAN), study=document.id, study_digest=document.digest
    )
    error = await caught(world.ask(request))
    assert isinstance(error, NotAllowed), error
    assert world.incidents()[-1] == error.refused


async def test_a_document_that_is_not_canonical_is_refused(world: w.World) -> None:
    """One study has one digest."""
    document = world.document("spaced")
    data = canonical_json(document) + b" "
    act = acts.StudyProposed(
        id=new_id("act"), at=world.pi.at(), study="spaced", study_digest=digest_of(data)
    )
    message = messages.StudyMessage(entry=acts.sign_act(act, world.pi.identity), document=data)
    with pytest.raises(Refused):
        await world.pi.client.call("POST", "/v1/studies", body=message, answer=messages.Recorded)
    assert issubclass(StudyRefused, Refused)


async def test_a_stranger_has_no_inbox(world: w.World) -> None:
    """A key that is not enrolled is told nothing."""
    client = ApiClient(world.url, Identity.create())
    with pytest.raises(NotAllowed):
        async for _ in client.events("/v1/inbox"):
            pass
    await client.close()
