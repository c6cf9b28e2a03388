"""Keys and signed statements."""

from __future__ import annotations

import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from branchline.foundation.encoding import to_base64url, to_bech32
from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.foundation.jws import read_kid, sign_jws, verify_jws
from branchline.foundation.keys import (
    Identity,
    PublicKeys,
    kept_secret,
    seal_public,
    thumbprint,
)

ME, OTHER = Identity.create(), Identity.create()
TYP = "bl-test+jws"


def test_a_thumbprint_is_the_standards() -> None:
    """RFC 8037 appendix A.3 gives a key and its thumbprint."""
    assert (
        thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    )


def test_identities_are_kept_and_read_back(tmp_path: Path) -> None:
    """A party has the same keys after a restart, and nobody else may read them."""
    made = Identity.load_or_create(tmp_path / "keys")
    again = Identity.load_or_create(tmp_path / "keys")
    assert again.public == made.public
    file = tmp_path / "keys" / "identity"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_damaged_key_file_is_named(tmp_path: Path, size: int) -> None:
    """A damaged file is never replaced by new keys."""
    (tmp_path / "identity").write_bytes(bytes(size))
    with pytest.raises(Corrupt, match="identity is damaged"):
        Identity.load_or_create(tmp_path)


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    """Several that ask for it at once get the same one; a damaged one is never replaced."""
    file = tmp_path / "keys" / "witness"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: kept_secret(file), range(32)))
    assert len(found) == 1
    assert len(found.pop()) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["witness"]
    file.write_bytes(b"short")
    with pytest.raises(Corrupt, match="damaged"):
        kept_secret(file)


def test_an_identity_shows_only_its_id() -> None:
    """No private byte is printed."""
    shown = repr(ME) + str(ME)
    assert ME.id[:12] in shown
    for raw in (ME.sign_private.private_bytes_raw(), ME.seal_private.private_bytes_raw()):
        assert raw.hex() not in shown
        assert base64.b64encode(raw).decode() not in shown


@given(st.binary(max_size=60), st.integers(0, 511))
def test_a_signature_holds_for_one_key_and_one_text(data: bytes, bit: int) -> None:
    """Any other key, text or bit fails."""
    signature = ME.sign(data)
    ME.public.verify(signature, data)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    for keys, given_, text in (
        (OTHER.public, signature, data),
        (ME.public, signature, data + b"x"),
        (ME.public, bytes(changed), data),
        (ME.public, signature[:-1], data),
    ):
        with pytest.raises(Corrupt, match="does not hold"):
            keys.verify(given_, text)


@pytest.mark.parametrize(
    "keys",
    [
        PublicKeys(sign="", seal=ME.public.seal),
        PublicKeys(sign="AAAA", seal=ME.public.seal),
        PublicKeys(sign=ME.public.sign + "=", seal=ME.public.seal),
    ],
)
def test_malformed_signing_keys_are_refused(keys: PublicKeys) -> None:
    """A key has 32 bytes in one spelling."""
    with pytest.raises(Corrupt):
        keys.verify(bytes(64), b"")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_malformed_recipients_are_refused(size: int) -> None:
    """A recipient has 32 bytes."""
    with pytest.raises(Corrupt, match="32 bytes"):
        seal_public(to_bech32("age", bytes(size)))


# Signed statements


@given(st.binary(max_size=200))
def test_a_statement_is_read_as_it_was_signed(payload: bytes) -> None:
    """The payload comes back to whoever has the signer's keys, and to any JOSE library."""
    token = sign_jws(payload, ME, typ=TYP)
    assert verify_jws(token, ME.public, typ=TYP) == payload
    assert read_kid(token) == ME.id
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": ME.public.sign})
    assert jws.deserialize_compact(token, key, algorithms=["Ed25519"]).payload == payload


def test_another_key_or_type_is_refused() -> None:
    """A statement is one party's, for one purpose."""
    token = sign_jws(b"{}", ME, typ=TYP)
    with pytest.raises(Corrupt, match="expected"):
        verify_jws(token, OTHER.public, typ=TYP)
    with pytest.raises(Corrupt, match="of type"):
        verify_jws(token, ME.public, typ="bl-other+jws")


TOKEN = sign_jws(b'{"a":1}', ME, typ=TYP)


@settings(max_examples=200)
@given(st.integers(0, len(TOKEN) - 1), st.characters(max_codepoint=1000))
@example(len(TOKEN) - 1, "\n")
def test_every_changed_character_is_refused(at: int, other: str) -> None:
    """A token has one spelling: stray bits of its base64 are noticed too."""
    if TOKEN[at] != other:
        with pytest.raises(Corrupt):
            verify_jws(TOKEN[:at] + other + TOKEN[at + 1 :], ME.public, typ=TYP)


@pytest.mark.parametrize("token", [TOKEN + "\n", " " + TOKEN, TOKEN + ".", TOKEN + "=", TOKEN[:-1]])
def test_a_token_has_nothing_around_it(token: str) -> None:
    """Blanks, line ends and padding are refused."""
    with pytest.raises(Corrupt):
        verify_jws(token, ME.public, typ=TYP)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": ME.id, "typ": TYP},
        {"alg": "EdDSA", "kid": ME.id, "typ": TYP},
        {"alg": "HS256", "kid": ME.id, "typ": TYP},
        {"alg": "Ed25519", "kid": ME.id},
        {"alg": "Ed25519", "typ": TYP},
        {"alg": "Ed25519", "kid": ME.id, "typ": TYP, "jwk": {}},
        {"alg": "Ed25519", "kid": ME.id, "typ": TYP, "crit": ["b64"], "b64": False},
        {"alg": "Ed25519", "kid": 1, "typ": TYP},
        {"alg": ["Ed25519"], "kid": ME.id, "typ": TYP},
        [],
        None,
        "Ed25519",
    ],
)
def test_another_header_is_refused_even_if_signed(header: Any) -> None:
    """The header is exactly alg, kid and typ; nothing brings its own key or algorithm."""
    first = to_base64url(json.dumps(header).encode()) + "." + to_base64url(b"{}")
    token = f"{first}.{to_base64url(ME.sign(first.encode()))}"
    with pytest.raises(Corrupt):
        verify_jws(token, ME.public, typ=TYP)


@given(
    st.text(max_size=60)
    | st.lists(st.binary(max_size=30), max_size=4).map(
        lambda parts: ".".join(to_base64url(part) for part in parts)
    )
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """Garbage is refused with a sentence of ours."""
    for read in (lambda: read_kid(text), lambda: verify_jws(text, ME.public, typ=TYP)):
        with pytest.raises(BranchlineError):
            read()
