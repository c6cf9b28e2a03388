"""A party's keys: Ed25519 to sign, X25519 to open what was sealed to it.

Private keys are made where they are used and never leave: there is no way to export one.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import cached_property, lru_cache
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from branchline.foundation.durable import make_folder, write_durably, write_once
from branchline.foundation.encoding import from_base64url, from_bech32, to_base64url, to_bech32
from branchline.foundation.errors import Corrupt

SEAL_PREFIX = "age"
"""The Bech32 prefix of an age X25519 recipient (age-encryption.org/v1)."""

_SECRET = 32


class PublicKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public half of a party's keys.

    Args:
        sign: Raw Ed25519 public key, base64url without padding.
        seal: X25519 public key as an age recipient, ``age1…``.
    """

    sign: str
    seal: str

    @property
    def id(self) -> str:
        """The key id: the RFC 7638 thumbprint of the signing key as a JWK (RFC 8037)."""
        return thumbprint(self.sign)

    @property
    def sign_public(self) -> Ed25519PublicKey:
        """The signing key, ready to verify with."""
        return _sign_public(self.sign)

    @property
    def seal_public(self) -> X25519PublicKey:
        """The sealing key, ready to seal to."""
        return seal_public(self.seal)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature over data.

        Raises:
            Corrupt: The signature was not made by this key over this data.
        """
        try:
            self.sign_public.verify(signature, data)
        except InvalidSignature as error:
            raise Corrupt(f"A signature by key {self.id[:12]} does not hold") from error


class Identity:
    """A party's own keys, private half included.

    Args:
        sign_private: The key to sign with.
        seal_private: The key to open with.
    """

    def __init__(self, sign_private: Ed25519PrivateKey, seal_private: X25519PrivateKey) -> None:
        self.sign_private = sign_private
        self.seal_private = seal_private

    @classmethod
    def create(cls) -> Identity:
        """Make new keys in memory."""
        return cls(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def load_or_create(cls, folder: Path) -> Identity:
        """Read the keys in a folder, or make them there (mode 0600) the first time."""
        file = folder / "identity"
        if not file.exists():
            make_folder(folder)
            made = cls.create()
            raw = made.sign_private.private_bytes_raw() + made.seal_private.private_bytes_raw()
            write_durably(file, raw, mode=0o600)
        raw = file.read_bytes()
        if len(raw) != 64:
            raise Corrupt(
                f"The key file {file} is damaged", advice="Restore it from a backup, or enrol anew"
            )
        return cls(
            Ed25519PrivateKey.from_private_bytes(raw[:32]),
            X25519PrivateKey.from_private_bytes(raw[32:]),
        )

    @cached_property
    def public(self) -> PublicKeys:
        """The public half."""
        return PublicKeys(
            sign=to_base64url(self.sign_private.public_key().public_bytes_raw()),
            seal=to_bech32(SEAL_PREFIX, self.seal_private.public_key().public_bytes_raw()),
        )

    @cached_property
    def id(self) -> str:
        """The key id of the public half."""
        return self.public.id

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with Ed25519 (RFC 8032)."""
        return self.sign_private.sign(data)

    def __repr__(self) -> str:
        return f"Identity({self.id[:12]})"


def kept_secret(file: Path) -> bytes:
    """Read the 32 random bytes kept in a file, or make them there (mode 0600) the first time.

    Raises:
        Corrupt: The file has another length; it is never replaced.
    """
    if not file.exists():
        make_folder(file.parent)
        write_once(file, secrets.token_bytes(_SECRET), mode=0o600)
    raw = file.read_bytes()
    if len(raw) != _SECRET:
        raise Corrupt(f"The file {file} is damaged", advice="Restore it from a backup")
    return raw


@lru_cache(maxsize=4096)
def thumbprint(sign: str) -> str:
    """Return the RFC 7638 thumbprint of an Ed25519 public key given as base64url."""
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{sign}"}}'
    return to_base64url(hashlib.sha256(jwk.encode()).digest())


@lru_cache(maxsize=4096)
def seal_public(recipient: str) -> X25519PublicKey:
    """Read an age recipient.

    Raises:
        Corrupt: Not an ``age1…`` X25519 recipient.
    """
    raw = from_bech32(SEAL_PREFIX, recipient)
    if len(raw) != 32:
        raise Corrupt("An age recipient does not hold 32 bytes")
    return X25519PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=4096)
def _sign_public(sign: str) -> Ed25519PublicKey:
    raw = from_base64url(sign)
    if len(raw) != 32:
        raise Corrupt("An Ed25519 public key does not hold 32 bytes")
    return Ed25519PublicKey.from_public_bytes(raw)
