"""Server and client over real loopback HTTP: what is admitted, refused, mapped, pushed."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from branchline.foundation.clock import FixedClock
from branchline.foundation.errors import (
    BranchlineError,
    Conflict,
    Corrupt,
    NotAllowed,
    NotFound,
    Refused,
    Unavailable,
)
from branchline.foundation.http import client as http_client
from branchline.foundation.http.api import Call, Caller, Route, openapi
from branchline.foundation.http.client import ApiClient, check_address
from branchline.foundation.http.events import KEEP_ALIVE, write_event
from branchline.foundation.http.server import ApiServer, listen, tls_context
from branchline.foundation.http.signing import RequestSigner, StaleSignature, content_digest
from branchline.foundation.keys import Identity, PublicKeys

ME, STRANGER = Identity.create(), Identity.create()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEPT = bytes(range(256)) * 9000


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body."""

    text: str
    number: int = 0


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes back."""

    by: str
    text: str
    key: str = ""


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A self-signed body."""

    name: str
    kind: str
    keys: PublicKeys


PROBLEMS: dict[str, type[BranchlineError]] = {
    "refused": Refused,
    "not-allowed": NotAllowed,
    "not-found": NotFound,
    "conflict": Conflict,
    "corrupt": Corrupt,
}


@dataclass
class House:
    """A server with everything around it.

    Args:
        url: Where it listens.
        clock: Its time.
        refusals: What it recorded.
        calls: How often a handler was reached.
        busy: How often it still answers that it is not available.
    """

    url: str = ""
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    calls: int = 0
    busy: int = 0

    async def ask(self, call: Call) -> Answer:
        """Answer a question."""
        self.calls += 1
        if self.busy:
            self.busy -= 1
            raise Unavailable("Busy")
        key = call.request.headers.get("Idempotency-Key", "")
        return Answer(call.by.name, call.body.text, key)

    async def join(self, call: Call) -> Answer:
        """Let somebody in."""
        self.calls += 1
        return Answer(call.by.name, call.body.name)

    async def fail(self, call: Call) -> None:
        """Raise what the path says."""
        raise PROBLEMS[call.path("kind")]("It is so", advice="Do that", detail={"n": 1})

    async def octets(self, call: Call) -> bytes:
        """Send a stream back."""
        return await call.request.read()

    async def kept(self, call: Call) -> bytes:
        """Hand out what is kept."""
        return KEPT

    async def there(self, call: Call) -> None:
        """Say yes."""

    async def closed(self, call: Call) -> None:
        """Say that it is none of the caller's business."""
        raise NotAllowed("It is not yours")

    async def nothing(self, call: Call) -> None:
        """Answer nothing, to anybody."""
        assert call.caller is None

    async def events(self, call: Call) -> web.StreamResponse:
        """Push three events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(call.request)
        for data in (KEEP_ALIVE, write_event(b'{"n":1}'), KEEP_ALIVE, write_event(b'{"n":2}')):
            await response.write(data)
        return response

    @property
    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/ask", self.ask, "Ask.", body=Question, answer=Answer, limit=2000),
            Route("POST", "/join", self.join, "Join.", "self-signed", body=Join, answer=Answer),
            Route("GET", "/fail/{kind}", self.fail, "Fail."),
            Route("PUT", "/octets", self.octets, "Echo.", body=bytes, answer=bytes),
            Route("GET", "/kept", self.kept, "Fetch.", answer=bytes),
            Route("HEAD", "/kept", self.there, "Ask whether it is there."),
            Route("HEAD", "/closed", self.closed, "Tell nobody."),
            Route("GET", "/public", self.nothing, "Be there.", "public"),
            Route("GET", "/events", self.events, "Push.", answer=str),
        ]


def find_caller(key_id: str) -> Caller | None:
    """Know one party."""
    return Caller("me", "person", ME.public) if key_id == ME.id else None


@asynccontextmanager
async def serving() -> AsyncIterator[House]:
    """Serve a house on a free port."""
    house = House()
    server = ApiServer(
        house.routes, find_caller, house.clock, lambda *refusal: house.refusals.append(refusal)
    )
    runner, port = await listen(server.app, "127.0.0.1", 0, None)
    house.url = f"http://127.0.0.1:{port}"
    try:
        yield house
    finally:
        await runner.cleanup()


@asynccontextmanager
async def calling(
    house: House, who: Identity = ME, clock: FixedClock | None = None, retry: float = 0.0
) -> AsyncIterator[ApiClient]:
    """Call a house as somebody."""
    client = ApiClient(house.url, who, clock=clock or house.clock, retry_seconds=retry)
    try:
        yield client
    finally:
        await client.close()


async def raw(house: House, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Send a request by hand and return the status and the problem."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, house.url + path, **more) as answer,
    ):
        data = await answer.read()
        if answer.status >= 400:
            assert answer.content_type in ("application/problem+json", "text/plain")
        return answer.status, msgspec.json.decode(data) if data[:1] == b"{" else {}


def signed(house: House, method: str, path: str, body: bytes | None, who: Identity = ME) -> Any:
    """Return the headers of a signed request."""
    headers = {"content-type": "application/json"}
    if body is not None:
        headers["content-digest"] = content_digest(body)
    RequestSigner(who).sign(method, house.url + path, headers, house.clock.now())
    return headers


async def test_a_signed_call_is_answered() -> None:
    """The handler sees who called, the typed body and the idempotency key."""
    async with serving() as house, calling(house) as client:
        question = Question("how", 3)
        answer = await client.call("POST", "/ask", body=question, answer=Answer, key="k1")
        assert answer == Answer("me", "how", "k1")
        assert house.refusals == []


@pytest.mark.parametrize("kind", PROBLEMS)
async def test_problems_come_back_as_the_errors_they_were(kind: str) -> None:
    """A client raises what the server raised, sentence, advice and detail included."""
    async with serving() as house, calling(house) as client:
        with pytest.raises(PROBLEMS[kind]) as caught:
            await client.call("GET", f"/fail/{kind}")
        assert type(caught.value) is PROBLEMS[kind]
        assert caught.value.as_json() == {
            "error": kind,
            "refused": "It is so",
            "advice": "Do that",
            "detail": {"n": 1},
        }
        assert [refusal[1] for refusal in house.refusals] == (
            [] if kind == "not-found" else [ME.id]
        )


async def test_what_is_temporary_is_tried_again_and_not_recorded() -> None:
    """A busy server is asked again with the same key; being busy is no refusal."""
    async with serving() as house, calling(house, retry=5) as client:
        house.busy = 2
        answer = await client.call("POST", "/ask", body=Question("x"), answer=Answer, key="k")
        assert (answer.key, house.calls, house.refusals) == ("k", 3, [])
        house.busy = 100
        client._retry_seconds = 0
        with pytest.raises(Unavailable, match="Busy"):
            await client.call("POST", "/ask", body=Question("x"), answer=Answer)


async def test_an_unreachable_server_is_a_sentence() -> None:
    """No traceback of a library reaches a person."""
    async with serving() as house:
        pass
    async with calling(house) as client:
        with pytest.raises(Unavailable, match="cannot be reached"):
            await client.call("GET", "/public")
        with pytest.raises(Unavailable, match="cannot be reached"):
            async for _ in client.events("/events"):
                pass


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"text":"a","more":1}', "unknown field"),
        (b'{"text":1}', "text"),
        (b"", "not acceptable"),
        (b"{", "not acceptable"),
        (b'{"text":"\xff"}', "not acceptable"),
        (b'{"text":"' + b"a" * 2000 + b'"}', "at most 2000"),
    ],
)
async def test_bodies_are_read_strictly_and_bounded(body: bytes, why: str) -> None:
    """Unknown fields, other types, broken JSON and large bodies never reach a handler."""
    async with serving() as house:
        headers = signed(house, "POST", "/ask", body)
        status, problem = await raw(house, "POST", "/ask", data=body, headers=headers)
        assert status == 400
        assert why in problem["refused"]
        assert house.calls == 0


async def test_a_body_without_a_stated_length_is_bounded_too() -> None:
    """A chunked body ends at the limit, whatever it claims."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"a" * 1000

    async with serving() as house:
        headers = signed(house, "POST", "/ask", b"a")
        status, problem = await raw(house, "POST", "/ask", data=endless(), headers=headers)
        assert (status, "more than the 2000" in problem["refused"]) == (400, True)


async def test_a_request_sent_again_is_refused_and_recorded() -> None:
    """A signature is good for one request."""
    async with serving() as house:
        body = msgspec.json.encode(Question("once"))
        headers = signed(house, "POST", "/ask", body)
        assert (await raw(house, "POST", "/ask", data=body, headers=headers))[0] == 200
        status, problem = await raw(house, "POST", "/ask", data=body, headers=headers)
        assert (status, house.calls) == (401, 1)
        assert "already received" in problem["refused"]
        assert [path for path, _, _ in house.refusals] == ["/ask"]


async def test_a_replay_after_a_restart_is_refused() -> None:
    """Nonces are forgotten with the process; so nothing signed before it began is accepted."""
    async with serving() as house:
        body = msgspec.json.encode(Question("old"))
        house.clock.advance(-5)
        headers = signed(house, "POST", "/ask", body)
        house.clock.advance(5)
        status, problem = await raw(house, "POST", "/ask", data=body, headers=headers)
        assert (status, problem["error"]) == (401, "stale-signature")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda h: {"signature": ""},
        lambda h: {"signature-input": h["Signature-Input"].replace("nonce", "nance")},
        lambda h: {"content-digest": content_digest(b"other")},
        lambda h: {"idempotency-key": "added"},
    ],
)
async def test_a_spoiled_signature_is_refused(spoil: Callable[[Any], dict[str, str]]) -> None:
    """What is not covered or changed since never reaches a handler."""
    async with serving() as house:
        body = msgspec.json.encode(Question("x"))
        headers = signed(house, "POST", "/ask", body)
        changed = {k.lower(): v for k, v in headers.items()} | spoil(headers)
        status, _ = await raw(house, "POST", "/ask", data=body, headers=changed)
        assert (status, house.calls) == (403, 0)
        assert len(house.refusals) == 1


async def test_another_body_than_signed_is_refused() -> None:
    """The body is bound by its digest, also when there is none in the signature."""
    async with serving() as house:
        for said in (b'{"text":"a"}', None):
            headers = signed(house, "POST", "/ask", said)
            status, problem = await raw(
                house, "POST", "/ask", data=b'{"text":"b"}', headers=headers
            )
            assert (status, "Content-Digest" in problem["refused"]) == (403, True)
        assert house.calls == 0


async def test_a_spoiled_try_does_not_use_the_signature_up() -> None:
    """Somebody who saw a request cannot spend its nonce with another body."""
    async with serving() as house:
        body = msgspec.json.encode(Question("x"))
        headers = signed(house, "POST", "/ask", body)
        other = b'{"text":"y"}'
        assert (await raw(house, "POST", "/ask", data=other, headers=headers))[0] == 403
        assert (await raw(house, "POST", "/ask", data=body, headers=headers))[0] == 200


async def test_unsigned_and_unknown_callers_are_refused() -> None:
    """Only enrolled keys call."""
    async with serving() as house, calling(house, STRANGER) as client:
        assert (await raw(house, "POST", "/ask", data=b'{"text":"a"}'))[0] == 403
        with pytest.raises(NotAllowed, match="not enrolled"):
            await client.call("POST", "/ask", body=Question("x"), answer=Answer)
        assert house.calls == 0


async def test_enrolling_proves_possession_of_the_keys_in_the_body() -> None:
    """A self-signed call is signed with the very keys that it brings."""
    async with serving() as house, calling(house, STRANGER) as client:
        mine = Join("north", "station", STRANGER.public)
        answer = await client.call("POST", "/join", body=mine, answer=Answer)
        assert answer == Answer("north", "north")
        with pytest.raises(NotAllowed):
            await client.call("POST", "/join", body=Join("x", "y", ME.public), answer=Answer)
        assert house.calls == 1


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_client_whose_clock_is_wrong_follows_the_servers(hours: int) -> None:
    """The first answer tells the time; the call is signed again and succeeds."""
    wrong = FixedClock(NOW + timedelta(hours=hours))
    async with serving() as house, calling(house, clock=wrong) as client:
        answer = await client.call("POST", "/ask", body=Question("late"), answer=Answer)
        assert answer.text == "late"
        assert client.server_offset == timedelta(hours=-hours)
        assert house.calls == 1
        await client.call("POST", "/ask", body=Question("again"), answer=Answer)
        assert len(house.refusals) == 1


async def test_a_server_whose_time_cannot_be_followed_is_final() -> None:
    """The client signs again a few times, not for ever."""
    async with serving() as house:

        class Leaping(FixedClock):
            def now(self) -> datetime:
                self.advance(1000)
                return super().now()

        async with calling(house, clock=Leaping(NOW)) as client:
            with pytest.raises(StaleSignature):
                await client.call("POST", "/ask", body=Question("x"), answer=Answer)
        assert len(house.refusals) == 4


async def test_octets_travel_both_ways() -> None:
    """Large bodies go in pieces and come back whole."""
    async with serving() as house, calling(house) as client:
        for data in (b"", b"x", bytes(3 << 20)):
            assert await client.put_bytes("/octets", data) == data


async def test_octets_are_fetched_into_a_file(tmp_path: Path) -> None:
    """They arrive whole; more than expected are refused, and a full disk is not the server's."""
    async with serving() as house, calling(house) as client:
        assert await client.save("/kept", tmp_path / "file", len(KEPT)) == len(KEPT)
        assert (tmp_path / "file").read_bytes() == KEPT
        with pytest.raises(Corrupt, match="/kept"):
            await client.save("/kept", tmp_path / "other", len(KEPT) - 1)
        with pytest.raises(Unavailable, match="cannot be written"):
            await client.save("/kept", Path("/dev/full"), len(KEPT))


async def test_whether_something_is_there_is_asked_without_fetching_it() -> None:
    """Yes, no, and every other answer as the error it is."""
    async with serving() as house, calling(house) as client:
        assert await client.has("/kept")
        assert not await client.has("/nowhere")
        with pytest.raises(NotAllowed):
            await client.has("/closed")


async def test_public_routes_need_no_signature() -> None:
    """Anybody may ask who is there."""
    async with serving() as house:
        assert await raw(house, "GET", "/public") == (204, {})


async def test_events_are_pushed_one_by_one() -> None:
    """Comments are passed over; the line's end is an end."""
    async with serving() as house, calling(house) as client:
        assert [event async for event in client.events("/events")] == [b'{"n":1}', b'{"n":2}']


async def test_a_line_of_events_is_signed_too() -> None:
    """A stranger cannot listen."""
    async with serving() as house, calling(house, STRANGER) as client:
        with pytest.raises(NotAllowed, match="not enrolled"):
            async for _ in client.events("/events"):
                pass


async def test_an_answer_of_another_form_is_corrupt() -> None:
    """Answers are read as strictly as requests."""
    async with serving() as house, calling(house) as client:
        with pytest.raises(Corrupt, match="not acceptable"):
            await client.call("POST", "/ask", body=Question("x"), answer=Question)


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither bodies nor signatures stand in any log line."""
    caplog.set_level(logging.DEBUG)
    async with serving() as house, calling(house) as client:
        await client.call("POST", "/ask", body=Question("the-secret-word"), answer=Answer)
        with pytest.raises(Refused):
            await client.call("GET", "/fail/refused")
    assert "the-secret-word" not in caplog.text
    assert ME.sign_private.private_bytes_raw().hex() not in caplog.text


# Addresses


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://central.example/", "https://central.example"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("http://localhost/x/", "http://localhost/x"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_https_anywhere_and_plain_http_on_loopback(url: str, kept: str) -> None:
    """Addresses are kept without the final slash."""
    assert check_address(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://central.example",
        "http://127.0.0.1.example",
        "ftp://x",
        "central",
        "",
        "http://10.0.0.1",
    ],
)
def test_plain_http_elsewhere_is_refused(url: str) -> None:
    """Nothing travels in clear between machines."""
    with pytest.raises(Refused, match="https"):
        check_address(url)


async def test_plain_http_is_not_served_to_others() -> None:
    """A server without a certificate listens on loopback only, and says when a port is taken."""
    with pytest.raises(Refused, match="loopback only"):
        await listen(web.Application(), "0.0.0.0", 0, None)
    async with serving() as house:
        with pytest.raises(Refused, match="Cannot listen"):
            await listen(web.Application(), "127.0.0.1", int(house.url.rsplit(":", 1)[1]), None)


@pytest.mark.parametrize("given", [("cert", None), (None, "key"), ("/none", "/none")])
def test_half_a_certificate_is_refused(given: tuple[str | None, str | None]) -> None:
    """HTTPS needs both files, and files that can be read."""
    assert tls_context(None, None) is None
    with pytest.raises(Refused):
        tls_context(*given)


def test_the_table_of_routes_describes_itself() -> None:
    """OpenAPI 3.1: every route with its body, its answer and who may call."""
    described = openapi(House().routes, title="Test", version="1")
    assert set(described["paths"]) == {
        "/ask",
        "/join",
        "/fail/{kind}",
        "/octets",
        "/public",
        "/events",
        "/kept",
        "/closed",
    }
    ask = described["paths"]["/ask"]["post"]
    assert ask["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Question")
    assert described["paths"]["/public"]["get"]["security"] == []
    assert described["paths"]["/fail/{kind}"]["get"]["parameters"][0]["name"] == "kind"
    assert described["components"]["schemas"]["Question"]["additionalProperties"] is False


def test_an_answer_that_came_compressed_is_unpacked() -> None:
    """In either format; one that is cut, or unpacks to more than any answer has, is refused."""
    plain = b"answer " * 1000
    gzipped, zipped = gzip.compress(plain), zlib.compress(plain)
    assert http_client._plain("gzip", gzipped) == http_client._plain("deflate", zipped) == plain
    assert http_client._plain("", gzipped) == gzipped
    for wrong in (plain, gzipped[:-9], b""):
        with pytest.raises(Corrupt):
            http_client._plain("gzip", wrong)


def test_an_answer_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few octets can stand for many."""
    monkeypatch.setattr(http_client, "_UNPACKED", 1000)
    assert http_client._plain("gzip", gzip.compress(bytes(1000))) == bytes(1000)
    with pytest.raises(Corrupt, match="more than 1000 octets"):
        http_client._plain("gzip", gzip.compress(bytes(100_000)))
