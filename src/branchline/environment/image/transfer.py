"""Carry an image in one file: for a stick, or any road without a network.

A tar archive: `image.json` says what is in it; then manifest, configuration, signature if there is
one, and each layer, zstd-compressed. Whoever reads it believes the digest he asked for, or shows
the one he found; everything else is checked against it before anything is adopted.
"""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

import msgspec

from branchline.environment.image import images
from branchline.environment.image.image import Documents, Image, read_image
from branchline.environment.image.intake import take_image, take_layer
from branchline.environment.image.oci import layer_tar
from branchline.environment.image.recipe import LAYER_DATE
from branchline.environment.image.store import Store
from branchline.environment.image.tarball import FILE, members
from branchline.environment.lock.room import room_in
from branchline.environment.packed import compress, expand
from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_of, short
from branchline.foundation.disk import DiskFull, told_when_full
from branchline.foundation.durable import sync_file, sync_folder, write_durably
from branchline.foundation.errors import Corrupt, Refused

Progress = Callable[[str], None]

_HEAD, _MANIFEST, _CONFIG, _SIGNATURE = "image.json", "manifest.json", "config.json", "signature"
_LAYERS, _SUFFIX = "layers/", ".tar.zst"
_MOST_DOCUMENT = 16 << 20
_PIECE = 1 << 20
_AGAIN = "Copy it again from where 'branchline environment export' wrote it"


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first member of the file."""

    format: Literal["branchline-image-1"]
    image: WireDigest


def export_image(
    store: Store, image: Image, file: Path, *, progress: Progress = lambda sentence: None
) -> int:
    """Write an image into one file, durably; return its size in bytes.

    Raises:
        NotFound: A layer is not in the store.
        Corrupt: A content in the store has changed.
        DiskFull: There is no room for the file, or for a layer on its way.
    """
    full = DiskFull(
        f"The disk of {file.absolute().parent} is full; no part of the image was left there",
        advice="Make room, or take a larger one",
    )
    found = images.documents_of(store, image.digest)
    signature = images.signature(store, image)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        with (
            told_when_full(full),
            store.temporary("export") as scratch,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            head = _Head("branchline-image-1", image.digest)
            _add(archive, _HEAD, canonical_json(head))
            _add(archive, _MANIFEST, found.manifest)
            _add(archive, _CONFIG, found.config)
            if signature is not None:
                _add(archive, _SIGNATURE, signature.encode())
            for number, layer in enumerate(image.layers, 1):
                progress(f"writing layer {number} of {len(image.layers)}, {layer.title}")
                packed = scratch / "layer"
                with room_in(store.folder):
                    compress(layer_tar(store, layer.digest), packed)
                info = _info(f"{_LAYERS}{layer.digest[7:]}{_SUFFIX}", packed.stat().st_size)
                with packed.open("rb") as content:
                    archive.addfile(info, content)
        sync_file(temporary)
        os.replace(temporary, file)
        sync_folder(file.absolute().parent)
    finally:
        temporary.unlink(missing_ok=True)
    return file.stat().st_size


def import_image(
    store: Store,
    file: Path,
    *,
    digest: Digest | None = None,
    progress: Progress = lambda sentence: None,
) -> Image:
    """Take an image in from a file written by `export_image`.

    Args:
        store: Where it goes; unchanged if anything is wrong.
        file: The file.
        digest: The image it must hold; None to take what the file says, which proves nothing of
            where it came from.
        progress: Told what is done.

    Raises:
        Refused: No such file, or another image.
        Corrupt: Bytes are missing or not what the image's digest says.
        DiskFull: The store's disk is.
    """
    try:
        with room_in(store.folder), file.open("rb") as source, store.building():
            return _import(store, source, f"The file {file.name}", digest, progress)
    except Corrupt as error:
        raise Corrupt(error.refused, advice=error.advice or _AGAIN, detail=error.detail) from error


def _import(
    store: Store, source: IO[bytes], what: str, digest: Digest | None, progress: Progress
) -> Image:
    reader = members(source, what)
    documents: dict[str, bytes] = {}
    for member in reader:
        if not member.name.startswith(_LAYERS):
            documents[member.name] = _document(member.size, member.pieces, what)
            continue
        image = _image(documents, digest, what)
        titles = {layer.digest: layer for layer in image.layers}
        name = Digest("sha256:" + member.name[len(_LAYERS) : -len(_SUFFIX)])
        layer = titles.get(name)
        if layer is None or member.kind != FILE:
            raise Corrupt(f"{what} holds a layer that its image does not have")
        if store.has_layer(name):
            continue
        progress(f"reading {layer.title}")
        with store.temporary("import") as scratch:
            packed = scratch / "layer"
            with packed.open("wb") as target:
                target.writelines(member.pieces())
            take_layer(store, name, layer.title, expand(packed, name, layer.size))
    image = _image(documents, digest, what)
    lacking = [layer for layer in image.layers if not store.has_layer(layer.digest)]
    if lacking:
        raise Corrupt(f"{what} lacks the layer {short(lacking[0].digest)}: it is cut short")
    found = Documents(documents[_MANIFEST], documents[_CONFIG])
    image = take_image(store, found, image.digest)
    if _SIGNATURE in documents:
        target_file = images.folder_of(store, image.digest) / images.SIGNATURE_NAME
        write_durably(target_file, documents[_SIGNATURE])
    return image


def _image(documents: dict[str, bytes], digest: Digest | None, what: str) -> Image:
    for name in (_HEAD, _MANIFEST, _CONFIG):
        if name not in documents:
            raise Refused(
                f"{what} is not an exported environment: it has no {name}",
                advice="Export one with 'branchline environment export'",
            )
    head = parse_json(documents[_HEAD], _Head, what=f"head of {what}")
    if digest is not None and head.image != digest:
        raise Refused(
            f"{what} holds the image {head.image}, not {digest}",
            advice="Bring the file of that image, or export it again where it was built",
        )
    if digest_of(documents[_MANIFEST]) != head.image:
        raise Corrupt(f"{what} holds another manifest than that of {head.image}")
    return read_image(Documents(documents[_MANIFEST], documents[_CONFIG]), head.image)


def _document(size: int, pieces: Callable[[], Iterator[bytes]], what: str) -> bytes:
    if size > _MOST_DOCUMENT:
        raise Refused(f"{what} has a document of {size} bytes")
    return b"".join(pieces())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_info(name, len(data)), io.BytesIO(data))


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, LAYER_DATE, 0o644
    return info
