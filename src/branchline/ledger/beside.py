"""What lies beside an entry in the ledger: its disclosures, encrypted class by class.

The formats and the formulas only; which keys there are is ``classes``'s matter.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import sha256_of
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.foundation.ids import Name
from branchline.foundation.sealing import hkdf
from branchline.ledger.entry import Entry

KEY_BYTES = 32
"""The length of every secret and key here."""

ID_BYTES = 16
"""The length of the random number that tells one actor's entries apart before they are signed."""

Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
"""A key as it stands in messages, its length checked while parsing."""

MAX_BESIDE = 1 << 23
"""The most bytes of what lies beside an entry."""

_NONCE_BYTES = 12
_PADDING = 256
_LABEL, _KEY_LABEL = b"bl-beside/v1\n", b"\nkey"


class SealedClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The disclosures of one class of an entry, encrypted.

    Args:
        data: A nonce and the ciphertext; empty once erased.
        key: A personal class's random key, wrapped by the class's key; None for a key that is
            derived.
        erased: The key and the ciphertext were deleted.
    """

    data: bytes = b""
    key: bytes | None = None
    erased: bool = False


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies beside an entry in the ledger: its disclosures, encrypted by class.

    Args:
        v: The version of this format.
        id: 16 random bytes, chosen before the entry was signed; the keys depend on it.
        epoch: Which of the actor's secrets the keys follow from.
        classes: By their names. The names, and about how much is in each, are public to whoever
            stores this.
    """

    v: Literal[1]
    id: Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
    epoch: int
    classes: dict[Name, SealedClass]

    @property
    def data(self) -> bytes:
        """The blob to be stored, in its one spelling."""
        return canonical_json(self)

    def erased(self, name: str) -> Beside:
        """Return what is left once a personal class is erased for good.

        Every copy of the blob has to be replaced by it, backups too. Who was shown the fields
        before remembers them.

        Raises:
            NotFound: The entry has no fields of this class.
            Refused: The class is not personal: its key can be derived again.
        """
        found = self._class(name)
        if found.key is None and not found.erased:
            raise Refused(
                f"The class {name!r} of an entry cannot be erased: its key can be derived again",
                advice="Only fields that were put into a personal class can be erased",
            )
        left = {**self.classes, name: SealedClass(erased=True)}
        return msgspec.structs.replace(self, classes=left)

    def _class(self, name: str) -> SealedClass:
        if name not in self.classes:
            raise NotFound(f"The entry has no fields of the class {name!r}")
        return self.classes[name]


def parse_beside(data: bytes) -> Beside:
    """Read what lies beside an entry; nothing is opened.

    Raises:
        Refused: Too large, or not of the shape.
    """
    return parse_json(data, Beside, what="blob beside an entry", limit=MAX_BESIDE)


def derive(key: bytes, info: bytes) -> bytes:
    """Derive 32 bytes with HKDF-SHA-256 without a salt (RFC 5869).

    Raises:
        Refused: The key has another length.
    """
    if len(key) != KEY_BYTES:
        raise Refused(f"A key of the ledger has {len(key)} bytes; it must have {KEY_BYTES}")
    return hkdf(key, b"", info)


def encrypt_class(key: bytes, entry: Entry, name: str, disclosures: Iterable[str]) -> bytes:
    """Encrypt an entry's disclosures of one class, bound to the entry and the class.

    Their length shows in steps of 256 bytes only.
    """
    joined = "".join(f"{text}~" for text in disclosures).encode()
    return _encrypt(key, joined + b"~" * (-len(joined) % _PADDING), _bound(entry, name))


def decrypt_class(key: bytes, entry: Entry, name: str, data: bytes) -> list[str]:
    """Return an entry's disclosures of one class; whether it commits to them is not checked.

    Raises:
        Corrupt: Changed, another entry's or another class's, or the key is another.
    """
    try:
        plain = _decrypt(key, data, _bound(entry, name)).decode("ascii")
    except UnicodeDecodeError as error:
        raise Corrupt("What lies beside an entry holds no disclosures") from error
    return [text for text in plain.split("~") if text]


def wrap_key(wrapping: bytes, entry: Entry, name: str, key: bytes) -> bytes:
    """Encrypt the random key of an entry's personal class."""
    return _encrypt(wrapping, key, _bound(entry, name) + _KEY_LABEL)


def unwrap_key(wrapping: bytes, entry: Entry, name: str, wrapped: bytes) -> bytes:
    """Return the random key of an entry's personal class.

    Raises:
        Corrupt: As ``decrypt_class``.
    """
    return _decrypt(wrapping, wrapped, _bound(entry, name) + _KEY_LABEL)


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """Encrypt with ChaCha20-Poly1305 (RFC 8439); the nonce stands in front.

    Each key encrypts one text only, so any nonce would do. It is derived from the text all the
    same: a machine set back to a snapshot may repeat its random numbers, and with them the
    key; then two texts still have two nonces, and only an equal text is seen to be equal.
    """
    nonce = hmac.digest(derive(key, b"nonce"), bound + b"\0" + plain, sha256)[:_NONCE_BYTES]
    return nonce + ChaCha20Poly1305(derive(key, b"enc")).encrypt(nonce, plain, bound)


def _decrypt(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce, ciphertext = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
    try:
        return ChaCha20Poly1305(derive(key, b"enc")).decrypt(nonce, ciphertext, bound)
    except (InvalidTag, ValueError) as error:
        raise Corrupt(
            "What lies beside an entry does not open with the key for it",
            advice="It was changed, is another entry's, or the key is not what it says",
        ) from error


def _bound(entry: Entry, name: str) -> bytes:
    """Return what a ciphertext is bound to: the leaf and the class."""
    return _LABEL + sha256_of(entry.id) + name.encode()
