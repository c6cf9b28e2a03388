"""BagIt bags in one ZIP file (RFC 8493): deterministic when written, never unpacked when read."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

import msgspec

from branchline.foundation.canonical import parse_json
from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, Refused
from branchline.foundation.jws import read_kid, sign_jws, verify_jws
from branchline.foundation.keys import Identity, PublicKeys
from branchline.foundation.zips import DAMAGED_ZIP

PAYLOAD = "data/"
SIGNATURE = "signature.jws"
SIGNATURE_TYPE = "bl-crate+jws"

_MANIFEST, _TAGS = "manifest-sha512.txt", "tagmanifest-sha512.txt"
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_MOMENT = (1980, 1, 1, 0, 0, 0)
_MOST_FILES, _MOST_BYTES = 5000, 2 << 30


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an exporter signs: the bag's payload manifest, and whose it is.

    Args:
        journey: The journey in the bag.
        manifest: SHA-512 of ``manifest-sha512.txt``, in hexadecimal.
        keys: The exporter's own public keys.
    """

    journey: str
    manifest: str
    keys: PublicKeys


def write_bag(name: str, files: Mapping[str, bytes], date: str, identity: Identity) -> bytes:
    """Pack payload files as a signed bag in a ZIP; the same input gives the same bytes.

    Args:
        name: The bag's folder, and the identifier its UUID is made of.
        files: Contents by their paths below ``data/``.
        date: The day of the export, ``YYYY-MM-DD``.
        identity: Who exports.
    """
    payload = {PAYLOAD + path: data for path, data in files.items()}
    manifest = _sums(payload)
    size = sum(map(len, payload.values()))
    info = (
        f"Bagging-Date: {date}\n"
        f"External-Identifier: urn:uuid:{uuid5(NAMESPACE_URL, f'urn:branchline:{name}')}\n"
        f"Payload-Oxum: {size}.{len(payload)}\n"
    )
    tags = {"bagit.txt": _DECLARATION, "bag-info.txt": info.encode(), _MANIFEST: manifest}
    signed = Signed(name, hashlib.sha512(manifest).hexdigest(), identity.public)
    signature = sign_jws(msgspec.json.encode(signed), identity, typ=SIGNATURE_TYPE)
    tags |= {_TAGS: _sums(tags), SIGNATURE: signature.encode() + b"\n"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted((tags | payload).items()):
            entry = zipfile.ZipInfo(f"{name}/{path}", _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()


def read_bag(data: bytes) -> tuple[Signed, dict[str, bytes]]:
    """Return who signed a bag and its payload files, all in memory, if every sum is right.

    Raises:
        Refused: Not a ZIP, too large, or with a path that leaves the bag.
        Corrupt: A file is missing, changed or not listed, or the signature does not hold.
    """
    files = _unzipped(data)
    manifest = _needed(files, _MANIFEST)
    _check_sums(files, _TAGS)
    _check_sums(files, _MANIFEST)
    payload = {path: content for path, content in files.items() if path.startswith(PAYLOAD)}
    unlisted = set(payload) - set(_listed(manifest))
    if unlisted:
        raise Corrupt(f"The crate holds {min(unlisted)!r}, which its manifest does not list")
    signed = _check_signature(_needed(files, SIGNATURE), manifest)
    return signed, {path.removeprefix(PAYLOAD): content for path, content in payload.items()}


def _check_signature(token: bytes, manifest: bytes) -> Signed:
    text = token.decode(errors="replace").strip()
    # Who signed is said in the statement itself; whether to trust that key is the reader's choice.
    claimed = _claim(text)
    parse_json(verify_jws(text, claimed.keys, typ=SIGNATURE_TYPE), Signed, what="signature")
    if claimed.manifest != hashlib.sha512(manifest).hexdigest():
        raise Corrupt("The crate's signature is over another manifest")
    return claimed


def _claim(text: str) -> Signed:
    kid = read_kid(text)
    claimed = parse_json(from_base64url(text.split(".")[1]), Signed, what="crate's signature")
    if claimed.keys.id != kid:
        raise Corrupt("The crate's signature names another key than it carries")
    return claimed


def _unzipped(data: bytes) -> dict[str, bytes]:
    advice = "Give a file that 'branchline journey export' wrote"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except DAMAGED_ZIP as error:
        raise Refused("The crate is not a ZIP file", advice=advice) from error
    if len(entries) > _MOST_FILES or sum(e.file_size for e in entries) > _MOST_BYTES:
        raise Refused(f"The crate holds more than {_MOST_FILES} files or {_MOST_BYTES >> 30} GiB")
    files: dict[str, bytes] = {}
    roots = set()
    for entry in entries:
        root, _, path = entry.filename.partition("/")
        roots.add(root)
        if entry.is_dir():
            continue
        if not path or path in files or _leaves(entry.filename) or len(roots) > 1:
            raise Refused(f"The crate's path {entry.filename[:80]!r} is not one below its folder")
        files[path] = _content(archive, entry)
    return files


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as stream:
            data = stream.read(entry.file_size + 1)
    except DAMAGED_ZIP as error:
        raise Corrupt(f"The crate's file {entry.filename[:80]!r} is damaged") from error
    if len(data) != entry.file_size:
        raise Corrupt(f"The crate's file {entry.filename[:80]!r} is not as long as it says")
    return data


def _leaves(path: str) -> bool:
    return "\\" in path or "\0" in path or any(p in ("", ".", "..") for p in path.split("/"))


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = (
        f"{hashlib.sha512(data).hexdigest()}  {path}\n" for path, data in sorted(files.items())
    )
    return "".join(lines).encode()


def _listed(manifest: bytes) -> dict[str, str]:
    found = {}
    for line in manifest.decode(errors="replace").splitlines():
        digest, separator, path = line.partition("  ")
        if not separator or path in found:
            raise Corrupt("A manifest of the crate is malformed")
        found[path] = digest
    return found


def _check_sums(files: Mapping[str, bytes], name: str) -> None:
    for path, digest in _listed(_needed(files, name)).items():
        if hashlib.sha512(_needed(files, path)).hexdigest() != digest:
            raise Corrupt(f"The crate's file {path!r} was changed")


def _needed(files: Mapping[str, bytes], path: str) -> bytes:
    if path not in files:
        raise Corrupt(f"The crate lacks {path!r}")
    return files[path]
