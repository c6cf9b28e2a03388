"""Signed notes: a text with signature lines that anybody can check (C2SP signed-note v1.0.0).

Only Ed25519 over the text (signature type 0x01) is verified here; cosignatures are another room's
matter (``cosignature``). Lines by other names or keys are kept as they are and prove nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.keys import PublicKeys

ED25519 = 0x01
"""The signature type of Ed25519 over the note's text."""

COSIGNATURE = 0x04
"""The signature type of a timestamped Ed25519 cosignature (tlog-cosignature)."""

ML_DSA_44 = 0x06
"""The signature type of a timestamped ML-DSA-44 cosignature (tlog-cosignature)."""

_KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}

MAX_NOTE = 1_000_000
"""The most bytes a note may have; more is refused before it is read."""

MAX_SIGNATURES = 100
"""The most signature lines a note may have."""

_DASH = "\N{EM DASH} "
_KEY_ID = 4


class Signer(Protocol):
    """What signs notes: a party's identity, or anything with the same two members."""

    @property
    def public(self) -> PublicKeys:
        """The keys that verify what it signs."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign bytes with Ed25519 (RFC 8032)."""
        ...


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with the name it signs notes under.

    Args:
        name: Not empty, without ``+`` and without spaces.
        key: The raw public key.
        type: What its signatures are over; one key has another id for each type.
    """

    name: str
    key: bytes
    type: int = ED25519

    @property
    def id(self) -> bytes:
        """The four bytes that tell keys of one name apart; no fingerprint."""
        return sha256(self.name.encode() + b"\n" + self._typed).digest()[:_KEY_ID]

    @property
    def text(self) -> str:
        """The key as one line of text: ``<name>+<id>+<base64>`` (signed-note, "Verifier keys")."""
        return f"{self.name}+{self.id.hex()}+{to_base64(self._typed)}"

    @property
    def _typed(self) -> bytes:
        return bytes([self.type]) + self.key

    def verifies(self, signature: bytes, text: str) -> bool:
        """Tell whether this key made a signature of type 0x01 over a note's text."""
        return self.type == ED25519 and made_by(self.key, signature, text.encode())


class Signature(msgspec.Struct, frozen=True):
    """One signature line: who claims to have signed, with which key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in the note, with its line end."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"


class Note(msgspec.Struct, frozen=True):
    """A text that ends in a line end, and its signature lines; nothing is verified."""

    text: str
    signatures: tuple[Signature, ...]

    @property
    def full_text(self) -> str:
        """The note as it is stored and sent."""
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)


def key_of(name: str, public: PublicKeys) -> VerifierKey:
    """Name a party's signing key for notes.

    Raises:
        Refused: The name is empty or holds a space or a plus sign.
    """
    return VerifierKey(_check_name(name), from_base64url(public.sign))


def parse_key(text: str, types: Collection[int] = (ED25519,)) -> VerifierKey:
    """Read a verifier key from its line of text.

    Args:
        text: ``<name>+<id>+<base64>``.
        types: The signature types that will do.

    Raises:
        Refused: Malformed, of another type, or with an id that is not the key's.
    """
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    try:
        typed = from_base64(encoded)
    except Corrupt as error:
        raise Refused("A verifier key is not of the form <name>+<id>+<base64>") from error
    if not typed or typed[0] not in types or len(typed) != 1 + _KEY_SIZES[typed[0]]:
        wanted = " or ".join(f"0x{kind:02x}" for kind in types)
        raise Refused(f"The verifier key of {name[:80]!r} is not a key of type {wanted}")
    key = VerifierKey(_check_name(name), typed[1:], typed[0])
    if key.text != text:
        raise Refused(f"The verifier key of {name[:80]!r} has an id that does not fit the key")
    return key


def sign_note(text: str, name: str, signer: Signer) -> Note:
    """Sign a text that ends in a line end, under a name."""
    return Note(
        text, (Signature(name, key_of(name, signer.public).id, signer.sign(text.encode())),)
    )


def parse_note(data: bytes) -> Note:
    """Read a note without verifying it.

    Raises:
        Corrupt: Not a signed note, or not in its one spelling.
    """
    if len(data) > MAX_NOTE:
        raise Corrupt(f"A checkpoint is a signed note of at most {MAX_NOTE} bytes")
    try:
        full_text = data.decode()
    except UnicodeDecodeError as error:
        raise Corrupt("A checkpoint is not a signed note: it is not UTF-8") from error
    # The text itself may hold empty lines: the last one separates.
    text, separator, lines = full_text.rpartition("\n\n")
    readable = all(character >= " " or character == "\n" for character in full_text)
    if not (separator and readable):
        raise Corrupt("A checkpoint is not a signed note: a text, an empty line, signature lines")
    return Note(text + "\n", parse_signatures(lines))


def open_note(data: bytes, keys: Iterable[VerifierKey]) -> Note:
    """Return a note that at least one of these keys signed.

    Lines by other keys are ignored; a line by one of these keys that fails refuses the note.

    Raises:
        Corrupt: Malformed, a signature that does not hold, or none by these keys.
    """
    note = parse_note(data)
    known = {(key.name, key.id): key for key in keys}
    verified = False
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verifies(signature.signature, note.text):
            raise Corrupt(f"The signature by {key.name} on a checkpoint does not hold")
        verified = True
    if not verified:
        raise Corrupt(
            f"A checkpoint is not signed by {', '.join(sorted(key.name for key in known.values()))}"
        )
    return note


def made_by(key: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether a raw Ed25519 public key made a signature over bytes (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def to_base64(data: bytes) -> str:
    """Write bytes as standard base64 with padding."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Read standard base64 with padding, accepting only the one canonical spelling.

    Raises:
        Corrupt: Another spelling, or not base64.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Corrupt("A base64 value is malformed") from error
    if to_base64(data) != text:
        raise Corrupt("A base64 value is not in its canonical spelling")
    return data


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Read signature lines alone, as a witness answers them; nothing is verified.

    Raises:
        Corrupt: Not one line or more, each in its one spelling.
    """
    *signed, rest = lines.split("\n")
    if rest or not 0 < len(signed) <= MAX_SIGNATURES:
        raise Corrupt(f"Signature lines are 1 to {MAX_SIGNATURES} lines, each with its line end")
    return tuple(map(_parse_line, signed))


def _parse_line(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = from_base64(encoded)
    signature = Signature(name, data[:_KEY_ID], data[_KEY_ID:])
    if signature.line != line + "\n" or not signature.signature or not _is_name(name):
        raise Corrupt("A signature line is not of the form '\N{EM DASH} <name> <base64>'")
    return signature


def _is_name(name: str) -> bool:
    spelled = "+" not in name and not any(c.isspace() or "\ud800" <= c <= "\udfff" for c in name)
    return bool(name) and spelled


def _check_name(name: str) -> str:
    if not _is_name(name):
        raise Refused(f"{name[:80]!r} cannot sign: a name has no spaces, no '+' and is not empty")
    return name
