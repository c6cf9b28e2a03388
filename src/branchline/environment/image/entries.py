"""What a layer is: a sorted list of paths, and what stands at each of them. Pure.

Contents are named by their SHA-256; who reads a layer finds them in the store's objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import msgspec

from branchline.environment.image.recipe import LAYER_DATE
from branchline.foundation.canonical import parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_from
from branchline.foundation.errors import Corrupt, Refused

Kind = Literal["file", "folder", "link", "gone"]
"""`gone`: a lower layer has something at this path, and this layer takes it away."""

RECORD_LIMIT = 1 << 28

_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
_Mode = Annotated[int, msgspec.Meta(ge=0, le=0o1777)]
_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")]


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One path of a layer.

    Args:
        path: Relative to the root, without `.`, `..` or empty parts.
        kind: What stands there.
        mode: Permission bits; of special bits only sticky, only on folders.
        size: Of a file, in bytes.
        sha256: Of a file's content, in hexadecimal.
        target: What a link points to.
    """

    path: _Path
    kind: Kind
    mode: _Mode = 0
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    sha256: _Hex = ""
    target: str = ""


class Layer(msgspec.Struct, frozen=True):
    """One layer of an image.

    Args:
        digest: Of its canonical tar; the layer's name.
        size: Of that tar, in bytes.
        title: What it holds, for people.
        entries: Its paths, sorted; a path at most once.
    """

    digest: Digest
    size: int
    title: str
    entries: tuple[Entry, ...]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a layer stands in the store; `check` is the digest of its entries."""

    digest: WireDigest
    size: int
    title: str
    check: WireDigest
    entries: tuple[Entry, ...]


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return entries in the one order of a layer: by path, as bytes."""
    return tuple(sorted(entries, key=lambda entry: entry.path.encode()))


def stacked(layers: Sequence[Sequence[Entry]]) -> dict[str, Entry]:
    """Lay layers on top of each other and return what is seen, by path.

    As overlay file systems and OCI images do: what is above hides what is below, and where a
    folder becomes something else, everything below it goes.
    """
    seen: dict[str, Entry] = {}
    for layer in layers:
        # A layer takes away what is below it before it adds its own.
        _take_away(seen, layer)
        for entry in layer:
            if entry.kind != "gone":
                seen[entry.path] = entry
    return dict(sorted(seen.items(), key=lambda item: item[0].encode()))


def _take_away(seen: dict[str, Entry], layer: Sequence[Entry]) -> None:
    hidden = {
        entry.path
        for entry in layer
        if entry.kind != "folder"
        and entry.path in seen
        and (entry.kind == "gone" or seen[entry.path].kind == "folder")
    }
    if hidden:
        for path in [path for path in seen if any(p in hidden for p in with_parents(path))]:
            del seen[path]


def check_shape(seen: dict[str, Entry]) -> None:
    """Refuse paths that would be laid out anywhere but in the folders they name.

    Raises:
        Refused: A path leads out, or lies below something that is no folder.
    """
    for path in seen:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise Refused(f"An image has the path {path[:120]!r}, which would lead out of it")
        parent, _, _ = path.rpartition("/")
        if parent and (parent not in seen or seen[parent].kind != "folder"):
            raise Refused(f"An image has {path[:120]!r} where {parent[:120]!r} is no folder")


def difference(below: dict[str, Entry], above: dict[str, Entry]) -> tuple[Entry, ...]:
    """Return the layer that makes `above` out of `below`, with the folders its paths lie in."""
    changed = {path: entry for path, entry in above.items() if below.get(path) != entry}
    for path in list(changed):
        for parent in parents(path):
            changed.setdefault(parent, above[parent])
    gone = set(below) - set(above)
    for path in gone:
        # Taking a folder away takes everything in it.
        if not any(parent in gone for parent in parents(path)):
            changed[path] = Entry(path, "gone")
            for parent in parents(path):
                changed.setdefault(parent, above[parent])
    return in_order(changed.values())


def parents(path: str) -> Iterator[str]:
    """Yield the folders a path lies in, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def with_parents(path: str) -> Iterator[str]:
    """Yield a path and the folders it lies in."""
    yield path
    yield from parents(path)


def with_folders(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Add the folders that entries lie in where they are not named."""
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        for parent in parents(path):
            found.setdefault(parent, Entry(parent, "folder", 0o755))
    return in_order(found.values())


def layer_record(layer: Layer) -> bytes:
    """Write a layer's record."""
    check = digest_of_entries(layer.entries)
    return msgspec.json.encode(_Record(layer.digest, layer.size, layer.title, check, layer.entries))


def parse_layer(data: bytes, digest: Digest) -> Layer:
    """Read a layer's record.

    Raises:
        Corrupt: It is not the one that was written for this layer.
    """
    try:
        found = parse_json(data, _Record, what="record of a layer", limit=RECORD_LIMIT)
        right = found.digest == digest and found.check == digest_of_entries(found.entries)
    except Refused:
        right = False
    if not right:
        raise Corrupt(f"The record of the layer {digest} in the store has changed")
    return Layer(found.digest, found.size, found.title, found.entries)


def digest_of_entries(entries: Sequence[Entry]) -> Digest:
    """Name a list of entries, for what depends on them and not on a tar."""
    state = hashlib.sha256(str(LAYER_DATE).encode())
    state.update(msgspec.json.encode(entries))
    return digest_from(state.digest())
