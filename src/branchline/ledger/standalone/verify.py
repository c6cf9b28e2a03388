"""Check an auditor's package of a Branchline ledger with Python alone (3.9 or later).

    python3 -I -S verify.py PACKAGE [--policy sha256:...] [--entries] [--json]

PACKAGE is the file as it was received, or the folder it was unpacked into. Nothing is installed,
nothing is sent, nothing is written. Exit code 0: every check holds. 1: one does not. 2: there is
nothing to check.

What has to be known from elsewhere: the digest of the policy (which log and which witnesses count)
and whose the keys are that signed the entries. Both are printed. A verifier that came with what it
checks proves little to those who doubt its sender: they take this file from a release.

The one file is long so that it can be read, and carried, whole. Its parts: Ed25519 (RFC 8032),
Merkle trees (RFC 6962), signed notes and policies (C2SP), entries (SD-JWT, RFC 9901), topics, the
package, the checks. The formats are described in docs/formats/ledger.md.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import bisect
import hashlib
import hmac
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


class Failed(Exception):
    """A check does not hold; the text is one sentence."""


# Ed25519 (RFC 8032 §5.1). Nothing here is secret, so nothing has to take constant time.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _decode_point(data: bytes) -> _Point | None:
    """Read a point (§5.1.3); None for one that is not on the curve or not in its one spelling."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (not x and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _encode_point(point: _Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _double(p: _Point) -> _Point:
    a, b = p[0] * p[0] % _P, p[1] * p[1] % _P
    h, g = a + b, a - b
    e, f = h - (p[0] + p[1]) ** 2 % _P, 2 * p[2] * p[2] % _P + g
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


_NEUTRAL: _Point = (0, 1, 1, 0)
_BASE = _decode_point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little")) or _NEUTRAL


def verify_ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a public key made a signature over a message (§5.1.7, without cofactor).

    Refused besides wrong ones: signatures whose number is not below the group's order, and points
    in another spelling than their one.
    """
    if len(key) != 32 or len(signature) != 64:
        return False
    public, number = _decode_point(key), int.from_bytes(signature[32:], "little")
    if public is None or number >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    # number * BASE - challenge * public, both in one pass over the bits.
    minus = (_P - public[0], public[1], 1, _P - public[3])
    both, result = _add(_BASE, minus), _NEUTRAL
    for bit in range(252, -1, -1):
        result = _double(result)
        pair = (number >> bit & 1) << 1 | challenge >> bit & 1
        if pair:
            result = _add(result, (minus, _BASE, both)[pair - 1])
    return _encode_point(result) == signature[:32]


# Base64 in its one spelling.


def from_base64(text: str) -> bytes:
    """Read standard base64 with padding."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Failed("A base64 value is malformed") from error
    if base64.b64encode(data).decode() != text:
        raise Failed("A base64 value is not in its one spelling")
    return data


def to_base64url(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url without padding."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Failed("A base64url value is malformed") from error
    if to_base64url(data) != text:
        raise Failed("A base64url value is not in its one spelling")
    return data


# Merkle trees (RFC 6962 §2.1 = RFC 9162 §2.1).


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root that an inclusion path leads to (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise Failed(f"Position {index} is outside a ledger of {size} entries")
    inner = (index ^ (size - 1)).bit_length()
    if len(path) != inner + bin(index >> inner).count("1"):
        raise Failed(f"The proof for position {index} of {size} has a wrong length")
    root = leaf
    for level, sibling in enumerate(path):
        from_left = level >= inner or index >> level & 1
        root = node_hash(sibling, root) if from_left else node_hash(root, sibling)
    return root


def roots_from_growth(old: int, new: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Compute both roots that the hashes of a growth lead to (RFC 9162 §2.1.4.2), old < new.

    The first hash is always there, also where it is the old root itself.
    """
    if not hashes:
        return None
    shift = (old & -old).bit_length() - 1
    first, last = (old - 1) >> shift, (new - 1) >> shift
    old_side = new_side = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            return None
        if first & 1 or first == last:
            old_side, new_side = node_hash(sibling, old_side), node_hash(sibling, new_side)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            new_side = node_hash(new_side, sibling)
        first, last = first >> 1, last >> 1
    return None if last else (old_side, new_side)


def middle_of(low: int, high: int) -> int:
    """Return where the tree over leaves low to high divides; ``high > low + 1``."""
    return low + (1 << (high - low - 1).bit_length() - 1)


# Signed notes, keys, checkpoints and policies (C2SP signed-note, tlog-checkpoint, tlog-policy).

_LOG_KEY, _COSIGNER_KEY, _ML_DSA_KEY = 1, 4, 6
_KEY_SIZES = {_LOG_KEY: 33, _COSIGNER_KEY: 33, _ML_DSA_KEY: 1313}
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_MOST_NOTE, _MOST_LINES = 1000000, 100
Line = tuple[str, bytes, bytes]
Checkpoint = tuple[str, int, bytes]


def _decimal(text: str, what: str) -> int:
    if not _DECIMAL.fullmatch(text) or int(text) >= 2**63:
        raise Failed(f"The {what} is not a plain decimal number below 2^63")
    return int(text)


def _is_name(name: str) -> bool:
    strange = any(c.isspace() or "\ud800" <= c <= "\udfff" for c in name)
    return bool(name) and "+" not in name and not strange


class Key:
    """A verifier key: ``<name>+<id>+<base64 of type and key>``."""

    def __init__(self, text: str, types: Sequence[int]) -> None:
        self.text = text
        self.name, _, rest = text.partition("+")
        named, _, encoded = rest.partition("+")
        typed = from_base64(encoded)
        if not typed or typed[0] not in types or len(typed) != _KEY_SIZES[typed[0]]:
            raise Failed(f"The verifier key of {self.name!r:.80} is of a type that does not count")
        self.type, self.raw = typed[0], typed[1:]
        self.id = hashlib.sha256(self.name.encode("utf-8", "replace") + b"\n" + typed).digest()[:4]
        if named != self.id.hex() or not _is_name(self.name):
            raise Failed(f"The verifier key of {self.name!r:.80} has a wrong name or id")


def parse_note(data: bytes) -> tuple[str, list[Line]]:
    """Read a note's text and its signature lines; nothing is verified."""
    try:
        full = data.decode() if len(data) <= _MOST_NOTE else ""
    except UnicodeDecodeError:
        full = ""
    text, separator, lines = full.rpartition("\n\n")
    signed = lines.split("\n")
    strange = any(c < " " and c != "\n" for c in full)
    if not separator or strange or signed.pop() or not 0 < len(signed) <= _MOST_LINES:
        raise Failed("A checkpoint is not a signed note")
    return text + "\n", [_parse_line(line) for line in signed]


def _parse_line(line: str) -> Line:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = from_base64(encoded)
    if dash != "\u2014" or len(data) < 5 or not _is_name(name):
        raise Failed("A signature line of a checkpoint is malformed")
    return name, data[:4], data[4:]


def parse_checkpoint(text: str) -> Checkpoint:
    """Read origin, size and root; no signature is verified."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise Failed("A checkpoint does not have exactly three lines: origin, size, root")
    size, root = _decimal(lines[1], "size in a checkpoint"), from_base64(lines[2])
    if len(root) != 32 or (not size and root != hashlib.sha256().digest()):
        raise Failed(f"The root in a checkpoint cannot be that of {size} entries")
    return lines[0], size, root


def open_note(data: bytes, keys: Sequence[Key]) -> tuple[str, list[Line]]:
    """Return a note that at least one of these log keys signed, and none of them wrongly."""
    text, lines = parse_note(data)
    verified = False
    for name, identifier, signature in lines:
        for key in keys:
            if (key.name, key.id) == (name, identifier):
                if not verify_ed25519(key.raw, signature, text.encode()):
                    raise Failed(f"The signature by {name} on a checkpoint does not hold")
                verified = True
    if not verified:
        raise Failed("A checkpoint is not signed by any log of the policy")
    return text, lines


class Policy:
    """Which logs and witnesses count, and how many of them."""

    def __init__(self, data: bytes) -> None:
        if len(data) > 1000000 or re.search(rb"[^\t\n\x20-\x7e\x80-\xff]", data):
            raise Failed("The policy has control characters, or is too long")
        lines = data.decode(errors="surrogateescape").split("\n")
        if lines.pop():
            raise Failed("The last line of the policy does not end")
        self.logs: list[Key] = []
        self.witnesses: dict[str, Key] = {}
        self.groups: list[tuple[str, int, list[str]]] = []
        self.quorum: str | None = None
        self._members: list[str] = []
        self._text: dict[str, list[str]] = {"log": [], "witness": [], "group": [], "quorum": []}
        for number, line in enumerate(lines, 1):
            items = re.findall(r"[^ \t]+", line)
            if items and not items[0].startswith("#"):
                try:
                    self._read(items)
                except Failed as error:
                    raise Failed(f"Line {number} of the policy: {error}") from error
        if self.quorum is None:
            raise Failed("The policy has no quorum")
        text = "".join(line for lines in self._text.values() for line in lines)
        named = hashlib.sha256(text.encode(errors="surrogateescape"))
        self.digest: str = "sha256:" + named.hexdigest()

    def open(self, data: bytes) -> Checkpoint:
        """Return the checkpoint in a note that this policy accepts."""
        text, lines = open_note(data, self.logs)
        checkpoint = parse_checkpoint(text)
        signers = {(name, identifier) for name, identifier, _ in lines}
        if not any(k.name == checkpoint[0] and (k.name, k.id) in signers for k in self.logs):
            raise Failed(f"A checkpoint is of {checkpoint[0]:.80}, which none of its signers is")
        cosigned = self.cosigned(text, lines)
        if not self._satisfied(cosigned):
            said = ", ".join(sorted(cosigned)) or "nobody"
            raise Failed(f"A checkpoint is cosigned by {said}; the policy asks for {self.quorum}")
        return checkpoint

    def cosigned(self, text: str, lines: Sequence[Line]) -> list[str]:
        """Return which witnesses cosigned; those with ML-DSA keys cannot be checked here."""
        found = []
        for name, identifier, signature in lines:
            for witness, key in self.witnesses.items():
                if (key.name, key.id) != (name, identifier) or key.type != _COSIGNER_KEY:
                    continue
                at = int.from_bytes(signature[:8], "big")
                message = f"cosignature/v1\ntime {at}\n{text}".encode()
                if not 0 < at < 2**63 or not verify_ed25519(key.raw, signature[8:], message):
                    raise Failed(f"The cosignature by {name} on a checkpoint does not hold")
                found.append(witness)
        return found

    def _satisfied(self, cosigned: Iterable[str]) -> bool:
        names = set(cosigned)
        for name, threshold, members in self.groups:
            if sum(member in names for member in members) >= threshold:
                names.add(name)
        return self.quorum == "none" or self.quorum in names

    def _read(self, items: list[str]) -> None:
        keyword, rest = items[0], items[1:]
        if keyword == "log" and 1 <= len(rest) <= 2:
            key = Key(rest[0], [_LOG_KEY])
            if any(key.raw == log.raw for log in self.logs):
                raise Failed("the key of this log has its line already")
            self.logs.append(key)
        elif keyword == "witness" and 2 <= len(rest) <= 3:
            self._define(rest[0])
            key = Key(rest[1], [_COSIGNER_KEY, _ML_DSA_KEY])
            if any(key.raw == witness.raw for witness in self.witnesses.values()):
                raise Failed("the key of this witness has its line already")
            self.witnesses[rest[0]] = key
        elif keyword == "group" and len(rest) >= 3:
            items[2] = self._group(rest[0], rest[1], rest[2:])
        elif keyword == "quorum" and len(rest) == 1 and self.quorum is None:
            self.quorum = rest[0]
            if rest[0] != "none" and rest[0] not in self._names():
                raise Failed("the quorum is not defined above")
        else:
            raise Failed("it is none of log, witness, group and quorum, or a second quorum")
        self._text[keyword].append(" ".join(items) + "\n")

    def _group(self, name: str, threshold: str, members: list[str]) -> str:
        """Take a group in; return its threshold in its one spelling."""
        names = self._names()
        for member in members:
            if member not in names or member in self._members:
                raise Failed(f"the member {member!r:.80} is not defined above, or a member already")
            self._members.append(member)
        self._define(name)
        counts = {"any": 1, "all": len(members)}
        if threshold not in counts and not re.fullmatch(r"[1-9][0-9]{0,8}", threshold):
            raise Failed("the threshold is not 'any', 'all' or a number")
        count = counts.get(threshold) or int(threshold)
        if count > len(members):
            raise Failed(f"a group of {len(members)} cannot need {count}")
        self.groups.append((name, count, members))
        if count == len(members):
            return "all"
        return "any" if count == 1 else str(count)

    def _names(self) -> list[str]:
        return [*self.witnesses, *(name for name, _, _ in self.groups)]

    def _define(self, name: str) -> None:
        if name == "none" or name in self._names():
            raise Failed(f"the name {name!r:.80} is taken")


# Entries (SD-JWT, RFC 9901) and their tags.

_LEAF = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{85}[AQgw])")
_TAG, _HASH = "[A-Za-z0-9_-]{21}[AQgw]", "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
_TEXTS = r'\[((?:"{0}"(?:,"{0}")*)?)\]'
_HEADER = re.compile(
    f'{{"alg":"Ed25519","kid":"({_HASH})","typ":"bl-entry[+]sd-jwt"}}'.encode(),
)
_PAYLOAD = re.compile(
    f'{{"v":1,"tags":{_TEXTS.format(_TAG)},'
    f'"_sd_alg":"sha-256","_sd":{_TEXTS.format(_HASH)}}}'.encode()
)
_RESERVED = ("v", "tags", "_sd", "_sd_alg", "...")
_MOST_LEAF, _MOST_TAGS, _MOST_DISCLOSURE = 65535, 16, 1 << 20
_LOOK_AHEAD = 16


class Leaf:
    """What everybody sees of an entry; its signature is verified on demand."""

    def __init__(self, leaf: str) -> None:
        match = _LEAF.fullmatch(leaf)
        if not match or len(leaf) > _MOST_LEAF:
            raise Failed("A leaf of the ledger is not an entry")
        header = _HEADER.fullmatch(from_base64url(match[1]))
        payload = _PAYLOAD.fullmatch(from_base64url(match[2]))
        if not header or not payload:
            raise Failed("An entry's header or payload is not of the one spelling there is")
        self.kid = header[1].decode()
        self.tags, self.digests = _texts(payload[1]), _texts(payload[2])
        if len(self.tags) > _MOST_TAGS:
            raise Failed("An entry bears more than 16 tags")
        self._signed, _, signature = leaf.rpartition(".")
        self._signature = from_base64url(signature)

    def signed_by(self, key: bytes) -> bool:
        """Tell whether a raw Ed25519 key signed the entry."""
        return verify_ed25519(key, self._signature, self._signed.encode())


def leaf_tags(leaf: bytes) -> list[str]:
    """Return the tags that a leaf adds to the ledger: none if it is not an entry."""
    try:
        return list(Leaf(leaf.decode("latin-1")).tags)
    except Failed:
        return []


def _texts(items: bytes) -> list[str]:
    """Return the texts of a JSON list, given without its brackets; they must ascend."""
    texts = items.decode()[1:-1].split('","') if items else []
    if any(texts[at] <= texts[at - 1] for at in range(1, len(texts))):
        raise Failed("The tags or digests of an entry are not distinct and sorted")
    return texts


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _parse_json(data: bytes) -> Any:
    """Read JSON; refuse NaN, numbers without bound, and halves of surrogate pairs."""
    try:
        value = json.loads(data.decode(), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise Failed("A part of the package is not JSON") from error


def open_disclosures(leaf: Leaf, disclosures: Sequence[str]) -> dict[str, Any]:
    """Return the fields that disclosures open, if the entry's signer committed to each of them."""
    fields: dict[str, Any] = {}
    for text in disclosures:
        if len(text) > _MOST_DISCLOSURE:
            raise Failed("A disclosure is too long")
        value = _parse_json(from_base64url(text))
        shaped = isinstance(value, list) and len(value) == 3 and value[0]
        if not shaped or not all(isinstance(part, str) for part in value[:2]):
            raise Failed("A disclosure is not a JSON array of salt, name, value")
        if to_base64url(hashlib.sha256(text.encode()).digest()) not in leaf.digests:
            raise Failed("A disclosure is not what the entry's signer committed to")
        if value[1] in _RESERVED or value[1] in fields:
            raise Failed("A field is disclosed twice, or has a name that the format uses")
        fields[value[1]] = value[2]
    return fields


def tag_of(secret: bytes, number: int) -> str:
    """Return the tag of a topic's entry with a number."""
    message = b"bl-topic/v1" + number.to_bytes(8, "big")
    return to_base64url(hmac.new(secret, message, hashlib.sha256).digest()[:16])


class TagProof:
    """A proof by a tag tree: leaves with their neighbours, and hashes to the root."""

    def __init__(self, data: bytes, size: int, root: bytes, covered: int) -> None:
        header = b"bl-tag-proof/v1\n"
        count = int.from_bytes(data[len(header) : len(header) + 4], "big")
        body = data[len(header) + 4 :]
        cut = 32 * count
        whole = data.startswith(header) and len(data) >= len(header) + 4 and len(data) <= 1 << 24
        if not whole or len(body) < cut or len(body) % 32:
            raise Failed("A proof by a tag tree is malformed or cut")
        parts = [body[at : at + 32] for at in range(0, len(body), 32)]
        self._places = [int.from_bytes(part[:8], "big") for part in parts[:count]]
        self._records = [part[8:] for part in parts[:count]]
        self._hashes, self._size = iter(parts[count:]), size
        rising = all(
            self._places[at] < self._places[at + 1] and self._records[at] < self._records[at + 1]
            for at in range(count - 1)
        )
        inside = not count or self._places[-1] < size
        positions = [int.from_bytes(record[16:], "big") for record in self._records]
        if not rising or not inside or any(position >= covered for position in positions):
            raise Failed("A proof by a tag tree has leaves out of order, or of entries not covered")
        self._positions, self._tags = positions, [record[:16] for record in self._records]
        found = self._root(0, size, 0, count) if size else hashlib.sha256().digest()
        if found != root or next(self._hashes, None) is not None:
            raise Failed(f"A proof does not lead to the root of a tag tree of {size} tags")

    def positions(self, tag: str) -> list[int]:
        """Return all positions of entries that bear a tag; the neighbours have to be shown."""
        wanted = from_base64url(tag)
        first = bisect.bisect_left(self._tags, wanted)
        end = bisect.bisect_right(self._tags, wanted)
        before = self._places[first - 1] if first else -1
        after = self._places[end] if end < len(self._places) else self._size
        if after - before - 1 != end - first:
            raise Failed(f"A proof by a tag tree does not settle where the tag {tag} stands")
        return self._positions[first:end]

    def _root(self, low: int, high: int, first: int, end: int) -> bytes:
        if first == end:
            return next(self._hashes, b"")
        if high - low == 1:
            return leaf_hash(self._records[first])
        middle = middle_of(low, high)
        cut = bisect.bisect_left(self._places, middle, first, end)
        left = self._root(low, middle, first, cut)
        return node_hash(left, self._root(middle, high, cut, end))


# The package: a stored zip, or the folder it was unpacked into.

_FORMAT = "bl-package/v1"
_CONTENTS = "contents.json"
_FIXED = ("README.txt", "__main__.py", "policy.txt", "verify.py", "vkey", "log/checkpoint")
_ENTRY = re.compile(r"entries/(0|[1-9][0-9]{0,18})\.(sd-jwt|tlog-proof)")
_OTHERS = re.compile(r"log/tile/[0-9x/a-z.]+|tags/proof|evidence/[^/]+")
_SHAPE: dict[str, Any] = {
    "format": str,
    "recipient": str,
    "made": str,
    "about": str,
    "keys": [{"name": str, "sign": str}],
    "topics": [{"name": str, "secret": str, "at_least": int, "actors": [str]}],
    "ledger": bool,
    "head": {"position": int, "keeper": str},
    "files": None,
}
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class Files:
    """Reads the files of a package by their names."""

    def __init__(self, path: str) -> None:
        self._folder: str | None = path if os.path.isdir(path) else None
        self.names: list[str] = []
        if self._folder is None:
            try:
                self._zip = zipfile.ZipFile(path)
                infos = self._zip.infolist()
            except _ZIP_ERRORS as error:
                raise Failed(f"{path} is not a package: {error}") from error
            self.names = [info.filename for info in infos]
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise Failed("A package does not compress its files; this one does")
        else:
            for folder, _, names in os.walk(path):
                inside = os.path.relpath(folder, path)
                self.names += [os.path.normpath(os.path.join(inside, name)) for name in names]
            self.names = [name.replace(os.sep, "/") for name in self.names]
        if len(set(self.names)) != len(self.names):
            raise Failed("The package holds two files of one name")

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        try:
            if self._folder is None:
                return self._zip.read(name)
            with open(os.path.join(self._folder, *name.split("/")), "rb") as file:
                return file.read()
        except _ZIP_ERRORS as error:
            raise Failed(f"The package's file {name:.200} cannot be read") from error


class Entry:
    """An entry as the package shows it."""

    def __init__(self, position: int, text: bytes, proof: bytes) -> None:
        self.position, self.proof = position, proof
        self.parts = text.decode("latin-1").split("~")
        if len(self.parts) < 2 or self.parts.pop():
            raise Failed(f"The entry {position} is not of the form <JWS>~<disclosure>~...~")
        self.leaf = self.parts[0].encode("latin-1")
        self.fields: dict[str, Any] = {}


class Case:
    """What is checked, and what the checks before have found."""

    def __init__(self, files: Files, pinned: str | None) -> None:
        self.files, self.pinned = files, pinned
        self.contents = _parse_json(files.read(_CONTENTS))
        if not _fits(self.contents, _SHAPE) or self.contents["format"] != _FORMAT:
            raise Failed(f"The package's list of contents is not that of {_FORMAT}")
        self.keys: dict[str, tuple[str, bytes]] = {}
        for key in self.contents["keys"]:
            raw = from_base64url(key["sign"])
            jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{to_base64url(raw)}"}}'
            kid = to_base64url(hashlib.sha256(jwk.encode()).digest())
            if len(raw) != 32 or kid in self.keys:
                raise Failed("The package names a malformed key, or one twice")
            self.keys[kid] = (key["name"], raw)
        self.policy: Policy
        self.checkpoint: Checkpoint
        self.entries: dict[int, Entry] = {}
        self.sealed: dict[int, Leaf] = {}
        self.lookup: Callable[[str], list[int]] | None = None
        self.covered = 0

    def leaf(self, position: int) -> bytes:
        """Return what stands at a position of the ledger."""
        if position in self.entries:
            return self.entries[position].leaf
        if not self.contents["ledger"]:
            raise Failed(f"The entry {position}, which the proof names, is not shown")
        return self.bundle(position // 256)[position % 256]

    def bundle(self, index: int) -> list[bytes]:
        """Return the entries of a bundle."""
        width = min(256, self.checkpoint[1] - 256 * index)
        data, leaves, at = self.files.read(_tile("entries", index, width)), [], 0
        while at < len(data):
            start = at + 2
            at = start + int.from_bytes(data[at:start], "big")
            leaves.append(data[start:at])
        if at != len(data) or len(leaves) != width:
            raise Failed(f"The bundle {index} of the ledger does not hold {width} entries")
        return leaves


def _fits(value: Any, shape: Any) -> bool:
    """Tell whether a JSON value has a shape: types, lists of one shape, objects of exact keys."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        if not isinstance(value, dict) or set(value) != set(shape):
            return False
        return all(
            _fits(value[k], s) or (k == "head" and value[k] is None) for k, s in shape.items()
        )
    if shape is None:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    return type(value) is shape and (shape is not int or 0 <= value < 2**63)


def _tile(level: str, index: int, width: int) -> str:
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    return f"log/tile/{level}/{number}" + ("" if width == 256 else f".p/{width}")


# The checks.

Found = dict[str, Any]


def check_files(case: Case) -> Found:
    """Compare every file with the list, and gather the entries."""
    listed = case.contents["files"]
    names = set(case.files.names) - {_CONTENTS}
    if names != set(listed):
        odd = sorted(names ^ set(listed))[0]
        raise Failed(f"The file {odd:.200} is " + ("missing" if odd in listed else "not listed"))
    for name in sorted(listed):
        if not (name in _FIXED or _ENTRY.fullmatch(name) or _OTHERS.fullmatch(name)):
            raise Failed(f"The file {name:.200} has no place in a package")
        digest = hashlib.sha256(case.files.read(name)).hexdigest()
        if listed[name] != "sha256:" + digest:
            raise Failed(f"The file {name:.200} is not the one that is listed")
    named = map(_ENTRY.fullmatch, listed)
    positions = {_decimal(match[1], "position in a name") for match in named if match}
    for position in sorted(positions):
        name = f"entries/{position}."
        text, proof = case.files.read(name + "sd-jwt"), case.files.read(name + "tlog-proof")
        case.entries[position] = Entry(position, text, proof)
    return {"files": len(listed), "verifier": listed.get("verify.py", "none")}


def check_policy(case: Case) -> Found:
    """Read the policy and compare it with the one expected."""
    case.policy = Policy(case.files.read("policy.txt"))
    if case.pinned and case.policy.digest != case.pinned:
        raise Failed(f"The policy is {case.policy.digest}; expected {case.pinned}")
    vkey = case.files.read("vkey").decode("utf-8", "replace")
    if vkey not in [log.text + "\n" for log in case.policy.logs]:
        raise Failed("The policy does not know the log whose key the package names")
    expected = "compared" if case.pinned else "not compared: ask for it elsewhere"
    return {"policy": case.policy.digest, "digest": expected, "quorum": case.policy.quorum}


def check_checkpoint(case: Case) -> Found:
    """Open the checkpoint as the policy demands."""
    case.checkpoint = case.policy.open(case.files.read("log/checkpoint"))
    origin, size, root = case.checkpoint
    return {"ledger": origin, "entries": size, "root": base64.b64encode(root).decode()}


def check_receipts(case: Case) -> Found:
    """Lead every entry to the checkpoint's root."""
    _, size, root = case.checkpoint
    opened: dict[str, Checkpoint] = {}
    for position, entry in sorted(case.entries.items()):
        proof, separator, note = entry.proof.decode("utf-8", "replace").partition("\n\n")
        header, _, rest = proof.partition("\n")
        first, *lines = rest.split("\n")
        if header != "c2sp.org/tlog-proof@v1" or not separator or not first.startswith("index "):
            raise Failed(f"The receipt of the entry {position} is malformed")
        index = _decimal(first[len("index ") :], "position in a receipt")
        path = [from_base64(line) for line in lines]
        if index != position or len(path) > 63 or any(len(item) != 32 for item in path):
            raise Failed(f"The receipt of the entry {position} is another's, or malformed")
        if note not in opened:
            opened[note] = case.policy.open(note.encode())
        if opened[note] != case.checkpoint:
            raise Failed(f"The receipt of the entry {position} is at another checkpoint")
        if root_from_path(leaf_hash(entry.leaf), index, size, path) != root:
            raise Failed(f"The receipt of the entry {position} does not lead to the root")
    return {"entries": len(case.entries)}


def check_signatures(case: Case) -> Found:
    """Verify every entry's signature by a key that the package names."""
    signers: dict[str, int] = {}
    for position, entry in sorted(case.entries.items()):
        leaf = Leaf(entry.leaf.decode("latin-1"))
        name, key = case.keys.get(leaf.kid, ("", b""))
        if not key:
            raise Failed(f"The entry {position} is signed by a key that the package does not name")
        if not leaf.signed_by(key):
            raise Failed(f"The signature of the entry {position} does not hold")
        case.sealed[position] = leaf
        signers[name] = signers.get(name, 0) + 1
    return signers


def check_fields(case: Case) -> Found:
    """Open the fields that are shown."""
    for position, entry in sorted(case.entries.items()):
        try:
            entry.fields = open_disclosures(case.sealed[position], entry.parts[1:])
        except Failed as error:
            raise Failed(f"Of the entry {position}: {error}") from error
    return {"fields": sum(len(entry.fields) for entry in case.entries.values())}


def check_ledger(case: Case) -> Found:
    """Hash all entries of the ledger, compare every tile, and gather all tags."""
    _, size, root = case.checkpoint
    rows: list[list[bytes]] = [[]]
    records: list[bytes] = []
    seen = {"log/checkpoint"}

    def compare(level: int, index: int) -> None:
        name = _tile(str(level), index, len(rows[level]))
        seen.add(name)
        if case.files.read(name) != b"".join(rows[level]):
            raise Failed(f"The ledger's file {name} is not what its entries give")

    def push(level: int, item: bytes, number: int) -> None:
        if level == len(rows):
            rows.append([])
        rows[level].append(item)
        if len(rows[level]) == 256:
            compare(level, number // 256)
            above, rows[level] = _fold(rows[level]), []
            push(level + 1, above, number // 256)

    for index in range(-(-size // 256)):
        seen.add(_tile("entries", index, min(256, size - 256 * index)))
        for position, leaf in enumerate(case.bundle(index), 256 * index):
            push(0, leaf_hash(leaf), position)
            for tag in leaf_tags(leaf):
                records.append(from_base64url(tag) + position.to_bytes(8, "big"))
    rest: list[bytes] = []
    for level, row in enumerate(rows):
        if row:
            compare(level, size >> 8 * (level + 1))
            rest = [_fold(row + rest)]
    if (rest[0] if rest else hashlib.sha256().digest()) != root:
        raise Failed(f"The {size} entries do not give the root in the checkpoint")
    if extra := {name for name in case.files.names if name.startswith("log/")} - seen:
        raise Failed(f"The file {sorted(extra)[0]} is no part of the ledger")
    records.sort()

    def positions(tag: str) -> list[int]:
        wanted = from_base64url(tag)
        first = bisect.bisect_left(records, wanted)
        end = bisect.bisect_left(records, wanted + b"\xff" * 9)
        return [int.from_bytes(record[16:], "big") for record in records[first:end]]

    case.lookup, case.covered = positions, size
    return {"entries": size, "tags": len(records)}


def _fold(row: Sequence[bytes]) -> bytes:
    """Return the root over hashes of full subtrees; the last may be that of a smaller one."""
    if len(row) == 1:
        return row[0]
    middle = middle_of(0, len(row))
    return node_hash(_fold(row[:middle]), _fold(row[middle:]))


def check_tags(case: Case) -> Found:
    """Open the proof by the tag tree whose head an entry states."""
    head = case.contents["head"]
    entry, leaf = case.entries.get(head["position"]), case.sealed.get(head["position"])
    if entry is None or leaf is None or leaf.kid != head["keeper"]:
        raise Failed("The head of the tag tree is in no entry by its keeper that is shown")
    stated: list[Any] = [entry.fields.get(name) for name in ("size", "root", "covered")]
    size, root, covered = stated
    shaped = _fits([size, covered], [int]) and isinstance(root, str)
    if not shaped or not 0 <= covered <= entry.position:
        raise Failed(f"The entry {entry.position} does not state the head of a tag tree")
    _check_statement(case, leaf, entry.position, size, root, covered)
    proof = TagProof(case.files.read("tags/proof"), size, from_base64(root), covered)
    if case.lookup is None:  # the ledger itself, where it is here, says more
        case.lookup, case.covered = proof.positions, covered
    return {"tags": size, "covered": covered, "stated by": case.keys[leaf.kid][0]}


def _check_statement(
    case: Case, leaf: Leaf, position: int, size: int, root: str, covered: int
) -> None:
    """Check that the ledger's own key states this head, in an entry that can be shown to say no other.

    All its salts follow from the ledger's name, and none of its digests is a decoy.
    """
    origin, number = case.checkpoint[0], covered // 256
    secret = hashlib.sha256(b"bl-tag-tree/v1\n" + origin.encode()).digest()
    fields = {
        "act": "ledger.tags-stated",
        "ledger": origin,
        "size": size,
        "root": root,
        "covered": covered,
        "tree": "RFC 6962",
        "hash": "SHA-256",
        "record": "tag16 || uint64be(position)",
    }
    digests = []
    for name, value in fields.items():
        message = b"salt" + number.to_bytes(8, "big") + name.encode()
        salt = to_base64url(hmac.new(secret, message, hashlib.sha256).digest()[:16])
        text = json.dumps([salt, name, value], ensure_ascii=False, separators=(",", ":"))
        disclosure = to_base64url(text.encode())
        digests.append(to_base64url(hashlib.sha256(disclosure.encode()).digest()))
    near = covered % 256 == 0 and 0 <= position // 256 - number <= 256
    tagged = tag_of(secret, number) in leaf.tags
    own = case.keys[leaf.kid][1] in [key.raw for key in case.policy.logs if key.name == origin]
    if not (near and tagged and own and list(leaf.digests) == sorted(digests)):
        raise Failed(f"The entry {position} is no statement of this head of the tag tree")


def check_topics(case: Case) -> Found:
    """Find all entries of each topic."""
    found: Found = {}
    for topic in case.contents["topics"]:
        found[topic["name"]] = _check_topic(case, topic)
    return found


def _check_topic(case: Case, topic: dict[str, Any]) -> str:
    secret, actors = from_base64url(topic["secret"]), topic["actors"]
    if case.lookup is None:
        raise Failed("The package holds neither the ledger nor a proof by its tag tree")
    # An entry bears at most sixteen tags: no honest count is larger than that allows.
    likely = topic["at_least"] <= _MOST_TAGS * case.covered
    if len(secret) != 32 or not set(actors) <= set(case.keys) or not likely:
        raise Failed(f"The topic {topic['name']:.80} is malformed")
    number, count, own, strange, free = 0, topic["at_least"], 0, [], []
    while number < count + _LOOK_AHEAD:
        tag = tag_of(secret, number)
        positions = case.lookup(tag)
        if len(positions) > 1:
            places = ", ".join(map(str, positions))
            raise Failed(f"The entries {places} bear the same tag of {topic['name']:.80}")
        if not positions:
            free.append(number)
        else:
            count = max(count, number + 1)
            if _is_own(case, positions[0], tag, actors):
                own += 1
            else:
                strange.append(positions[0])
        number += 1
    if free[0] < count:
        raise Failed(f"No entry bears the number {free[0]} of the topic {topic['name']:.80}")
    says = f"{own} entries are all up to size {case.covered}"
    if strange:
        says += "; by none of its actors, an incident: " + ", ".join(map(str, strange))
    return says


def _is_own(case: Case, position: int, tag: str, actors: Sequence[str]) -> bool:
    """Tell whether one of a topic's actors signed the entry that is said to bear a tag."""
    leaf = Leaf(case.leaf(position).decode("latin-1"))
    if tag not in leaf.tags:
        raise Failed(f"The entry {position} does not bear the tag that it is said to")
    return leaf.kid in actors and leaf.signed_by(case.keys[leaf.kid][1])


def check_evidence(case: Case) -> Found:
    """Say what each file of evidence shows."""
    found: Found = {}
    for name in sorted(case.files.names):
        if name.startswith("evidence/"):
            data = case.files.read(name)
            is_evidence = data.startswith(b"branchline/ledger-evidence@v1\n")
            says = _contradiction(case, data) if is_evidence else "kept as it is, not judged"
            found[name[len("evidence/") :]] = says
    return found


def _contradiction(case: Case, data: bytes) -> str:
    """Check evidence that a log of the policy signed two things that cannot both be true."""
    parts = data.decode("utf-8", "replace").split("\n\n")
    if len(parts) != 5 or len(data) > 2 * _MOST_NOTE:
        raise Failed("A file of evidence does not hold two checkpoints")
    hashes = [from_base64(line) for line in parts[0].split("\n")[1:]]
    notes = (f"{parts[1]}\n\n{parts[2]}\n", f"{parts[3]}\n\n{parts[4]}")
    signed = [_signed_by_its_log(case, note.encode()) for note in notes]
    (name, old, old_root), (other, new, new_root) = signed
    shaped = name == other and len(hashes) <= 64 and all(len(item) == 32 for item in hashes)
    if shaped and old == new and old_root < new_root and not hashes:
        return f"{name} signed two different histories of {old} entries"
    roots = roots_from_growth(old, new, hashes) if shaped and 1 <= old < new else None
    if roots is None or roots[1] != new_root or roots[0] == old_root:
        raise Failed("A file of evidence shows two checkpoints that do not contradict each other")
    return f"{name} signed {new} entries that do not begin with the {old} it had signed"


def _signed_by_its_log(case: Case, note: bytes) -> Checkpoint:
    checkpoint = parse_checkpoint(parse_note(note)[0])
    open_note(note, [log for log in case.policy.logs if log.name == checkpoint[0]])
    return checkpoint


# The recipe, and what came of it.

Check = tuple[str, str, Callable[[Case], Found], tuple[str, ...]]
RECIPE: tuple[Check, ...] = (
    ("files", "Every file is the one listed; none is missing, none was added.", check_files, ()),
    ("policy", "The policy is well formed, and the one expected.", check_policy, ("files",)),
    (
        "checkpoint",
        "The log signed the checkpoint, and a quorum of its witnesses cosigned it.",
        check_checkpoint,
        ("policy",),
    ),
    (
        "receipts",
        "Every entry shown is in the ledger, by a receipt at that one checkpoint.",
        check_receipts,
        ("checkpoint",),
    ),
    (
        "signatures",
        "Every entry shown is signed by a key that the package names.",
        check_signatures,
        ("files",),
    ),
    (
        "fields",
        "Every field shown is one that the entry's signer committed to.",
        check_fields,
        ("signatures",),
    ),
    (
        "ledger",
        "All entries of the ledger are here and give the root in the checkpoint.",
        check_ledger,
        ("checkpoint",),
    ),
    (
        "tags",
        "The tag tree's head is stated in the ledger, and the proof leads to it.",
        check_tags,
        ("receipts", "fields"),
    ),
    (
        "topics",
        "Of each topic these are all entries: their numbers have no gap, none stands twice.",
        check_topics,
        ("receipts", "signatures", "ledger", "tags"),
    ),
    ("evidence", "Each file of evidence shows what it says.", check_evidence, ("policy",)),
)
_MARKS = {"passed": "ok", "failed": "FAILED", "not-reached": "..", "not-included": "--"}


def not_included(case: Case, name: str) -> str:
    """Return why a step has nothing to check in this package; empty if it has."""
    contents = case.contents
    missing = {
        "ledger": (not contents["ledger"], "The package does not hold the whole ledger"),
        "tags": (contents["head"] is None, "The package holds no proof by a tag tree"),
        "topics": (not contents["topics"], "The package is about no topic"),
        "evidence": (
            not any(file.startswith("evidence/") for file in case.files.names),
            "The package holds no evidence",
        ),
    }
    nothing, why = missing.get(name, (False, ""))
    return why if nothing else ""


def verify(path: str, pinned: str | None = None) -> tuple[Case, list[dict[str, Any]]]:
    """Go through every check; raises Failed only where there is nothing to check."""
    case = Case(Files(path), pinned)
    reports: list[dict[str, Any]] = []
    settled = set()
    for number, (name, says, check, needs) in enumerate(RECIPE, 1):
        report = {"number": number, "name": name, "says": says, "outcome": "passed", "reason": ""}
        missing = [need for need in needs if need not in settled]
        if missing:
            reason = f"Needs the check {missing[0]!r}, which does not hold"
            report.update(outcome="not-reached", reason=reason)
        elif reason := not_included(case, name):
            report.update(outcome="not-included", reason=reason)
            settled.add(name)
        else:
            try:
                report["found"] = check(case)
                settled.add(name)
            except Failed as error:
                report.update(outcome="failed", reason=str(error))
        reports.append(report)
    return case, reports


def entries_of(case: Case) -> Iterator[dict[str, Any]]:
    """Yield each entry shown, with the fields that are open."""
    for position, entry in sorted(case.entries.items()):
        leaf = case.sealed.get(position)
        signer = case.keys[leaf.kid][0] if leaf else ""
        yield {"position": position, "signed by": signer, "fields": entry.fields}


def as_text(case: Case, reports: Sequence[dict[str, Any]], entries: bool) -> str:
    """Write what came of the checks for a person."""
    about = case.contents
    lines = [
        f"Package for {about['recipient']}, made {about['made']}",
        about["about"],
        "",
    ]
    for report in reports:
        head = f"{report['number']:>2}. {report['name']:<10} {_MARKS[report['outcome']]:<6} "
        lines.append(head + (report["reason"] or report["says"]))
        lines += [f"{'':>20} {key}: {value}" for key, value in report.get("found", {}).items()]
    lines += ["", "The keys that signed, to be compared with what is known of them elsewhere:"]
    lines += [f"  {kid}  {name}" for kid, (name, _) in case.keys.items()]
    if entries:
        lines += ["", *(json.dumps(entry, ensure_ascii=False) for entry in entries_of(case))]
    wrong = sum(report["outcome"] in ("failed", "not-reached") for report in reports)
    verdict = f"{wrong} checks do not hold. Do not rely on this package."
    lines += ["", verdict if wrong else "Verified: every check holds."]
    # What a package says of itself cannot move the cursor or colour the screen.
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the package named on the command line."""
    parser = argparse.ArgumentParser(description="Check an auditor's package of a ledger.")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("package", nargs="?", default=here, help="the file, or its folder")
    parser.add_argument("--policy", help="the digest of the policy, as known from elsewhere")
    parser.add_argument("--entries", action="store_true", help="show the entries' open fields")
    parser.add_argument("--json", action="store_true", help="write JSON")
    options = parser.parse_args(arguments)
    try:
        case, reports = verify(options.package, options.policy)
    except Failed as error:
        sys.stderr.write(f"Nothing to check: {error}.\n")
        return 2
    failed = any(report["outcome"] in ("failed", "not-reached") for report in reports)
    if options.json:
        whole = {"verified": not failed, "steps": reports}
        if options.entries:
            whole["entries"] = list(entries_of(case))
        text = json.dumps(whole, indent=2)
    else:
        text = as_text(case, reports, options.entries)
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
