"""Give images out: their blobs, and whole OCI image layouts (image-spec, image-layout.md).

A layer's tar is written anew from entries and objects each time; it is stored nowhere. What comes
out is hashed on the way, so damage in the store never leaves it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from branchline.environment.image import images
from branchline.environment.image.image import MANIFEST_TYPE, Image
from branchline.environment.image.objects import REPAIR
from branchline.environment.image.store import Store, remove
from branchline.environment.image.tar import stream
from branchline.foundation.canonical import canonical_json
from branchline.foundation.digest import Digest, digest_from, short
from branchline.foundation.durable import sync_file, sync_folder
from branchline.foundation.errors import Conflict, Corrupt

_BATCH = 1 << 20
_LAYOUT = {"imageLayoutVersion": "1.0.0"}


def layer_tar(store: Store, digest: Digest) -> Iterator[bytes]:
    """Yield a layer's tar in large pieces; only after the last one is it known to be right.

    Raises:
        NotFound: The layer, or a content, is not in the store.
        Corrupt: A content has changed: what came is not the layer.
    """
    state = hashlib.sha256()
    held, size = [], 0
    for piece in stream(store.layer(digest).entries, store.objects.pieces):
        held.append(piece)
        size += len(piece)
        if size >= _BATCH:
            batch = b"".join(held)
            held, size = [], 0
            state.update(batch)
            yield batch
    batch = b"".join(held)
    state.update(batch)
    yield batch
    if digest_from(state.digest()) != digest:
        raise Corrupt(f"The layer {short(digest)} in the store has changed", advice=REPAIR)


def write_layout(store: Store, image: Image, folder: Path) -> None:
    """Write an image as an OCI image layout that skopeo, podman and others read.

    Args:
        store: Holds the image.
        image: The image.
        folder: Made; must not exist, or be empty.

    Raises:
        Conflict: There is something in the folder.
        Corrupt: A content in the store has changed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} exists and is not empty", advice="Name a new folder")
    found = images.documents_of(store, image.digest)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    blobs = temporary / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        for layer in image.layers:
            with (blobs / _plain(layer.digest)).open("wb") as file:
                file.writelines(layer_tar(store, layer.digest))
        config = hashlib.sha256(found.config).hexdigest()
        for path, data in (
            (blobs / _plain(image.digest), found.manifest),
            (blobs / config, found.config),
            (temporary / "index.json", canonical_json(_index(image, len(found.manifest)))),
            (temporary / "oci-layout", canonical_json(_LAYOUT)),
        ):
            path.write_bytes(data)
        for path in temporary.rglob("*"):
            if path.is_file():
                sync_file(path)
        os.replace(temporary, folder)
        sync_folder(folder.parent)
    except BaseException:
        remove(temporary)
        raise


def _index(image: Image, size: int) -> dict[str, object]:
    manifest = {"mediaType": MANIFEST_TYPE, "digest": image.digest, "size": size}
    return {"schemaVersion": 2, "manifests": [manifest]}


def _plain(digest: Digest) -> str:
    return digest.removeprefix("sha256:")
