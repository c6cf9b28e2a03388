"""What stands in an export, and what may stand there; pure."""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from branchline.foundation.crates import METADATA
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import WireDigest
from branchline.foundation.errors import Refused
from branchline.foundation.ids import Id
from branchline.project.names import shown, why_not

MANIFEST = "branchline-export.json"
BUNDLE = "history.bundle"
CRATE = METADATA
ANNEX = "annex/"
FILES = "files/"
_LARGEST_MANIFEST = 256 << 20
_PLAIN_KEY = re.compile(r"^[A-Z0-9_]+(-[a-zA-Z][0-9]+)*--[A-Za-z0-9._-]{1,200}$")
_COMMIT = r"^[0-9a-f]{40,64}$"
_HEADER = 30
_LINK = stat.S_IFLNK

Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of an export.

    Args:
        size: Its bytes.
        digest: Their SHA-256.
    """

    size: Size
    digest: WireDigest


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a file that git-annex keeps.

    Args:
        key: Git-annex's name of it.
        file: Where it is in the export.
        size: Its bytes.
        digest: Their SHA-256.
    """

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    file: str
    size: Size
    digest: WireDigest


class Absent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A content that is not in the export.

    Args:
        key: Git-annex's name of it.
        paths: Where it stands or stood.
        why: Why it is not there.
    """

    key: str
    paths: tuple[str, ...]
    why: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an export holds.

    Args:
        project: The project's identifier.
        name: Its name.
        branch: The branch that was checked out.
        head: Its commit.
        refs: All that the bundle brings: commits by whole names.
        records: How many records of activity there are at the head.
        history: The bundle.
        contents: What is there of git-annex's contents.
        missing: What was not in the clone.
        left_out: What may not be in it.
        made: When, RFC 3339.
        v: The version of this form.
    """

    project: Id
    name: str
    branch: str
    head: Annotated[str, msgspec.Meta(pattern=_COMMIT)]
    refs: dict[str, Annotated[str, msgspec.Meta(pattern=_COMMIT)]]
    records: int
    history: Piece
    contents: tuple[Content, ...]
    missing: tuple[Absent, ...]
    left_out: tuple[Absent, ...]
    made: str
    v: Literal[1] = 1


def name_of_key(key: str) -> str:
    """Return where a content is in an export, unless a file of the crate holds it."""
    return ANNEX + (key if _PLAIN_KEY.match(key) else f"x-{sha256(key.encode()).hexdigest()}")


def check_entries(entries: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Refuse a zip that an export cannot be; return its files by name.

    Raises:
        Refused: The sentence names the first entry that is not acceptable, and why.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        reason = _why_not(entry)
        if entry.header_offset < end:
            reason = "it lies over another one, as in a bomb"
        if entry.filename.casefold() in folded:
            reason = "it is there twice"
        if reason:
            raise Refused(f"The file is no export: {shown(entry.filename)}: {reason}")
        end = entry.header_offset + _HEADER + entry.compress_size
        folded.add(entry.filename.casefold())
        found[entry.filename] = entry
    if MANIFEST not in found or BUNDLE not in found:
        raise Refused(
            "The file is a zip, but no export of a project",
            advice="Take one that 'branchline export' made",
        )
    return found


def read_manifest(text: bytes, entries: dict[str, zipfile.ZipInfo]) -> Manifest:
    """Read what an export says it holds, and hold its entries against that.

    Raises:
        Refused: It is not acceptable, or the zip holds something else.
    """
    try:
        found = decode_json(text, Manifest)
    except msgspec.DecodeError as error:
        raise Refused(f"{MANIFEST} is not acceptable: {error}") from error
    expected = {BUNDLE: found.history.size} | {c.file: c.size for c in found.contents}
    for name, size in expected.items():
        if not (name == BUNDLE or name.startswith((ANNEX, FILES))):
            raise Refused(f"{MANIFEST} names {shown(name)}, where no content is")
        if name not in entries:
            raise Refused(f"The export lacks {shown(name)}", advice="Have it made again")
        if entries[name].file_size != size:
            raise Refused(f"{shown(name)} has another size than {MANIFEST} says")
    extra = [n for n in entries if n.startswith(ANNEX) and n not in expected]
    if extra:
        raise Refused(f"The export holds {shown(extra[0])}, which {MANIFEST} does not name")
    return found


def _why_not(entry: zipfile.ZipInfo) -> str | None:
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link" if kind == _LINK else "it is no plain file"
    if entry.flag_bits & 0x1:
        return "it is encrypted"
    if "\\" in name or name.endswith("/") or name != entry.orig_filename:
        return "its name is none of an export's"
    if reason := why_not(name):
        return reason
    if name in (MANIFEST, CRATE) and entry.file_size > _LARGEST_MANIFEST:
        return f"it has {entry.file_size} bytes; at most {_LARGEST_MANIFEST} are read"
    if name not in (MANIFEST, BUNDLE, CRATE) and not name.startswith((ANNEX, FILES)):
        return "no export has such a file"
    return None
