"""Requests signed per RFC 9421 with Ed25519, bodies bound by Content-Digest (RFC 9530).

Covered always: ``@method``, ``@authority``, ``@path``, ``@query``; with a body ``content-digest``;
with an idempotency key that header too. Parameters: created, keyid, alg, nonce, tag.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

from branchline.foundation.digest import Bytes, Digest, digest_of, sha256_of
from branchline.foundation.errors import NotAllowed
from branchline.foundation.keys import Identity

TAG = "branchline-1"
LABEL = "sig1"
WINDOW = timedelta(seconds=60)
"""A signature is accepted this long before and after the receiver's own time."""

_ALWAYS_IN_TIME = timedelta(days=18250)
_ALWAYS = ("@method", "@authority", "@path", "@query")
_WHEN_PRESENT = ("content-digest", "idempotency-key")


class StaleSignature(NotAllowed):
    """The signature's time is outside the window: sign again by the receiver's clock."""

    code = "stale-signature"


@dataclass
class _Message:
    method: str
    url: str
    headers: MutableMapping[str, str]


@dataclass(frozen=True)
class Signed:
    """What a verified signature says: by which key, when, under which nonce."""

    key_id: str
    created: datetime
    nonce: str


class _OwnKey(HTTPSignatureKeyResolver):
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self._identity.sign_private


class _KnownKeys(HTTPSignatureKeyResolver):
    def __init__(self, find: Callable[[str], Ed25519PublicKey]) -> None:
        self._find = find

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        return self._find(key_id)


def content_digest(data: Bytes) -> str:
    """Return the Content-Digest field for a body (RFC 9530, sha-256)."""
    return content_digest_field(digest_of(data))


def content_digest_field(digest: Digest) -> str:
    """Return the Content-Digest field for a body whose SHA-256 is known."""
    return f"sha-256=:{base64.b64encode(sha256_of(digest)).decode()}:"


def parcel_digest_field(digest: Digest) -> str | None:
    """Return the Content-Digest field for a parcel; None for one that is named by BLAKE3.

    BLAKE3 is not in the register of RFC 9530. The path that is signed names the parcel.
    """
    return content_digest_field(digest) if digest.startswith("sha256:") else None


class RequestSigner:
    """Sign requests with one identity."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._signer = HTTPMessageSigner(
            signature_algorithm=algorithms.ED25519, key_resolver=_OwnKey(identity)
        )

    def sign(
        self, method: str, url: str, headers: MutableMapping[str, str], created: datetime
    ) -> None:
        """Add Signature-Input and Signature to a request's headers."""
        covered = _ALWAYS + tuple(name for name in _WHEN_PRESENT if name in headers)
        self._signer.sign(
            _Message(method, url, headers),
            key_id=self._identity.id,
            created=created,
            covered_component_ids=covered,
            nonce=secrets.token_urlsafe(12),
            label=LABEL,
            tag=TAG,
            use_existing_digest="content-digest" in headers,
        )


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    find_key: Callable[[str], Ed25519PublicKey],
    now: datetime,
) -> Signed:
    """Check a request's signature; the body is checked by its digest elsewhere.

    Args:
        method: The request's method.
        url: Its whole address as the client wrote it.
        headers: Its fields, names in lower case.
        find_key: Gives the key of a key id, or raises NotAllowed.
        now: The receiver's time.

    Raises:
        NotAllowed: Unsigned, by an unknown key, too little covered, or not authentic.
        StaleSignature: Made too long ago, or in the future.
    """
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519, key_resolver=_KnownKeys(find_key)
    )
    # The library's own checks of times read the system clock; ours is handed in, so its are opened
    # wide. Left as they were, a client whose clock is ahead would never be told to sign again.
    verifier.max_clock_skew = _ALWAYS_IN_TIME
    try:
        result = verifier.verify(
            _Message(method, url, dict(headers)),
            max_age=_ALWAYS_IN_TIME,
            expect_tag=TAG,
            expect_label=LABEL,
        )[0]
    except HTTPMessageSignaturesException as error:
        raise NotAllowed(f"The request's signature is not acceptable: {error}") from error
    _check_covered(result.covered_components, headers)
    return _check_times(result.parameters, now)


def _check_covered(covered: Mapping[str, str], headers: Mapping[str, str]) -> None:
    names = {name.strip('"') for name in covered}
    needed = {*_ALWAYS, *(name for name in _WHEN_PRESENT if name in headers)}
    if missing := sorted(needed - names):
        raise NotAllowed(f"The request's signature does not cover {', '.join(missing)}")


def _check_times(parameters: Mapping[str, Any], now: datetime) -> Signed:
    created, nonce, key_id = (parameters.get(k) for k in ("created", "nonce", "keyid"))
    if created is None or not nonce or not key_id:
        raise NotAllowed("The request's signature lacks created, nonce or keyid")
    made = created if isinstance(created, datetime) else datetime.fromtimestamp(int(created), UTC)
    expires = parameters.get("expires")
    if abs(made - now) > WINDOW or (expires is not None and int(expires) < now.timestamp()):
        raise StaleSignature(
            f"The request was signed {abs((made - now).total_seconds()):.0f} s "
            f"{'before' if made < now else 'after'} the receiver's time",
            advice="Set this machine's clock, or sign again by the receiver's Date",
        )
    return Signed(str(key_id), made, str(nonce))
