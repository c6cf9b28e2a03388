"""Signed requests (RFC 9421), with the library for them as the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import NotAllowed
from branchline.foundation.http.signing import (
    LABEL,
    TAG,
    WINDOW,
    RequestSigner,
    Signed,
    StaleSignature,
    content_digest,
    verify_request,
)
from branchline.foundation.keys import Identity

ME, OTHER = Identity.create(), Identity.create()
URL = "https://central.example:8443/v1/acts?since=3&x=%20y"
NOW = SystemClock().now().replace(microsecond=0)


@dataclass
class Message:
    """A request as the library wants it."""

    method: str
    url: str
    headers: dict[str, str]


class Keys(HTTPSignatureKeyResolver):
    """The two halves of one identity."""

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        """Return the public half."""
        assert key_id == ME.id
        return ME.public.sign_public

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        """Return the private half."""
        return ME.sign_private


def find(key_id: str) -> Ed25519PublicKey:
    """Know one party."""
    if key_id != ME.id:
        raise NotAllowed("unknown key")
    return ME.public.sign_public


def signed(
    method: str = "POST", url: str = URL, body: bytes | None = b"{}", key: str | None = "act-1"
) -> dict[str, str]:
    """Return a signed request's headers."""
    headers = {"host": "central.example:8443"}
    if body is not None:
        headers["content-digest"] = content_digest(body)
    if key is not None:
        headers["idempotency-key"] = key
    RequestSigner(ME).sign(method, url, headers, NOW)
    return {name.lower(): value for name, value in headers.items()}


def verify(headers: dict[str, str], method: str = "POST", url: str = URL, **more: Any) -> Signed:
    """Verify as the server does."""
    return verify_request(method, url, headers, more.get("find", find), more.get("now", NOW))


@pytest.mark.parametrize("body", [None, b"", b"{}", bytes(1000)])
@pytest.mark.parametrize("key", [None, "act-1"])
def test_what_is_signed_verifies_here_and_by_the_library(
    body: bytes | None, key: str | None
) -> None:
    """Both judges agree, and the signature says who, when and which."""
    headers = signed(body=body, key=key)
    found = verify(headers)
    assert (found.key_id, found.created) == (ME.id, NOW)
    assert found.nonce
    judge = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    # The library looks at the machine's clock, and NOW is when the whole run began.
    result = judge.verify(Message("POST", URL, headers), max_age=timedelta(days=1), expect_tag=TAG)[
        0
    ]
    covered = {name.strip('"') for name in result.covered_components}
    expected = {"@method", "@authority", "@path", "@query", "@signature-params"}
    expected |= {"content-digest"} if body is not None else set()
    assert covered == expected | ({"idempotency-key"} if key else set())


def test_what_the_library_signs_verifies_here() -> None:
    """Another program that follows the standard is understood."""
    headers = {"content-digest": content_digest(b"x")}
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    message = Message("PUT", URL, headers)
    signer.sign(
        message,
        key_id=ME.id,
        created=NOW,
        nonce="n",
        label=LABEL,
        tag=TAG,
        covered_component_ids=("@path", "content-digest", "@query", "@method", "@authority"),
        use_existing_digest=True,
    )
    assert verify({k.lower(): v for k, v in headers.items()}, method="PUT") == Signed(
        ME.id, NOW, "n"
    )


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", URL),
        ("POST", URL.replace("acts", "act")),
        ("POST", URL.replace("since=3", "since=4")),
        ("POST", URL.replace("?since=3&x=%20y", "")),
        ("POST", URL.replace("central", "other")),
        ("POST", URL.replace("8443", "8444")),
    ],
)
def test_another_request_does_not_verify(method: str, url: str) -> None:
    """Method, authority, path and query are bound."""
    with pytest.raises(NotAllowed):
        verify(signed(), method=method, url=url)


@pytest.mark.parametrize("name", ["content-digest", "idempotency-key"])
def test_a_changed_header_that_is_covered_does_not_verify(name: str) -> None:
    """The body's digest and the idempotency key are bound."""
    for value in (content_digest(b"other"), ""):
        with pytest.raises(NotAllowed):
            verify(signed() | {name: value})


@pytest.mark.parametrize("name", ["content-digest", "idempotency-key"])
def test_a_header_added_later_must_be_covered(name: str) -> None:
    """A body or key that the signature does not speak of is refused."""
    with pytest.raises(NotAllowed, match=f"does not cover {name}"):
        verify(signed(body=None, key=None) | {name: content_digest(b"smuggled")})


def sign_only(*covered: str, **parameters: Any) -> dict[str, str]:
    """Sign with other components and parameters than required."""
    headers: dict[str, str] = {}
    given: dict[str, Any] = {"created": NOW, "nonce": "n", "label": LABEL, "tag": TAG}
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys()).sign(
        Message("POST", URL, headers),
        key_id=ME.id,
        covered_component_ids=covered,
        **(given | parameters),
    )
    return {name.lower(): value for name, value in headers.items()}


ALL = ("@method", "@authority", "@path", "@query")


@pytest.mark.parametrize("left_out", ALL)
def test_every_component_must_be_covered(left_out: str) -> None:
    """A signature that leaves something open is refused."""
    with pytest.raises(NotAllowed, match=f"does not cover {left_out}"):
        verify(sign_only(*(name for name in ALL if name != left_out)))


@pytest.mark.parametrize("changes", [{"nonce": None}, {"tag": "other"}, {"label": "sig2"}])
def test_every_parameter_must_be_there(changes: dict[str, Any]) -> None:
    """Without nonce, tag or label a signature is not for us."""
    assert verify(sign_only(*ALL)).nonce == "n"
    with pytest.raises(NotAllowed):
        verify(sign_only(*ALL, **changes))


@pytest.mark.parametrize("seconds", [61, 3600, -61, -3600])
def test_a_stale_signature_is_its_own_error(seconds: int) -> None:
    """Too old or too new: the client is told to sign again by the receiver's clock."""
    with pytest.raises(StaleSignature, match="before" if seconds > 0 else "after"):
        verify(signed(), now=NOW + timedelta(seconds=seconds))
    assert StaleSignature.code == "stale-signature"


def test_a_signature_ends_when_it_says() -> None:
    """A sender may set a nearer end (RFC 9421 §2.3)."""
    soon = sign_only(*ALL, expires=NOW + timedelta(seconds=10))
    assert verify(soon).nonce == "n"
    with pytest.raises(StaleSignature):
        verify(soon, now=NOW + timedelta(seconds=11))


@pytest.mark.parametrize("edge", [WINDOW, -WINDOW])
def test_within_the_window_clocks_may_differ(edge: timedelta) -> None:
    """A minute either way is accepted."""
    assert verify(signed(), now=NOW + edge).created == NOW


def test_an_unknown_key_is_refused() -> None:
    """Only keys that are found verify, and only as themselves."""
    with pytest.raises(NotAllowed):
        verify(signed(), find=lambda key_id: OTHER.public.sign_public)

    def nobody(key_id: str) -> Ed25519PublicKey:
        raise NotAllowed(f"unknown {key_id}")

    with pytest.raises(NotAllowed, match="unknown"):
        verify(signed(), find=nobody)


@pytest.mark.parametrize("name", ["signature", "signature-input"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: None,
        lambda text: "",
        lambda text: "nonsense",
        lambda text: text.replace("sig1", "sig9"),
        lambda text: text + ", " + text.replace("sig1", "sig2"),
        lambda text: "sig1=()",
        lambda text: "sig1=:AAAA:",
        lambda text: "sig1=1, sig1=2",
        lambda text: text + "\x00",
        lambda text: "sig1=(" * 500,
    ],
)
def test_malformed_signatures_are_refused(name: str, spoil: Callable[[str], str | None]) -> None:
    """Missing, empty, doubled or mangled signature fields are refused in a sentence."""
    headers = signed()
    text = spoil(headers[name])
    if text is None:
        del headers[name]
    else:
        headers[name] = text
    with pytest.raises(NotAllowed):
        verify(headers)


@given(st.data())
def test_no_changed_character_says_something_else(data: st.DataObject) -> None:
    """A signature with any character changed is refused, or is the same one spelled otherwise."""
    headers = signed()
    name = data.draw(st.sampled_from(["signature", "signature-input"]))
    text = headers[name]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(text[at].__ne__))
    changed = headers | {name: text[:at] + other + text[at + 1 :]}
    try:
        found = verify(changed)
    except NotAllowed:
        return
    # The standard leaves other spellings open; whatever passes says the same, nonce included.
    assert found == verify(headers)


def test_nonces_differ() -> None:
    """Two signatures over the same request are two."""
    assert len({verify(signed()).nonce for _ in range(20)}) == 20


def test_times_are_utc() -> None:
    """What comes out of a signature is an aware time."""
    assert verify(signed()).created.tzinfo is not None
    assert datetime.now(UTC) - verify(signed()).created < timedelta(days=1)
