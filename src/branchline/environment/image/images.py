"""The images of a store: enter one, open one, list them, sign them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from branchline.environment.image.image import Documents, Image, read_image
from branchline.environment.image.recipe import META
from branchline.environment.image.store import Store
from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME, Lock, parse_lock
from branchline.environment.lock.sbom import SBOM_NAME
from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, parse_digest
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from branchline.foundation.keys import Identity, PublicKeys

MANIFEST_NAME, CONFIG_NAME, SIGNATURE_NAME = "manifest.json", "config.json", "signature.jws"
SIGNATURE_TYPE = "branchline-image+jws"

_BESIDE = ("README", "Dockerfile", "recipe", PYLOCK_NAME, SBOM_NAME)
"""What an image says of itself, and what therefore lies beside it, too."""


def add(store: Store, written: Documents, *, lock: Lock | None) -> Image:
    """Enter an image whose layers are in the store, durably, with its lock and list of parts.

    Args:
        store: Where.
        written: Its documents.
        lock: What it was built from, if it was built from a lock.
    """
    image = read_image(written, written.digest)
    target = folder_of(store, image.digest)
    with store.temporary("image") as scratch:
        made = scratch / target.name
        made.mkdir()
        (made / MANIFEST_NAME).write_bytes(written.manifest)
        (made / CONFIG_NAME).write_bytes(written.config)
        for entry in store.layer(image.layers[-1].digest).entries:
            folder, _, name = entry.path.rpartition("/")
            if folder == META and name in _BESIDE and entry.kind == "file":
                (made / name).write_bytes(b"".join(store.objects.pieces(entry)))
        if lock is not None:
            (made / LOCK_NAME).write_text(lock.with_image(image.digest).text, encoding="utf-8")
        store.publish(made, target)
    return image


def open_image(store: Store, digest: Digest) -> Image:
    """Return an image of the store; its contents are not looked at.

    Raises:
        NotFound: There is no such image.
        Corrupt: Its manifest or configuration has changed.
    """
    return read_image(documents_of(store, digest), digest)


def documents_of(store: Store, digest: Digest) -> Documents:
    """Return an image's documents, unread.

    Raises:
        NotFound: There is no such image.
    """
    folder = folder_of(store, digest)
    try:
        manifest = (folder / MANIFEST_NAME).read_bytes()
        return Documents(manifest, (folder / CONFIG_NAME).read_bytes())
    except FileNotFoundError:
        raise NotFound(
            f"The image {digest} is not in the store {store.folder}",
            advice="Build it from its lock, or bring it with 'environment import'",
        ) from None


def lock_of(store: Store, digest: Digest) -> Lock | None:
    """Return the lock an image was built from, or None for one built from a Dockerfile.

    Raises:
        Corrupt: The lock is not the one the image names.
    """
    file = folder_of(store, digest) / LOCK_NAME
    if not file.exists():
        return None
    lock = parse_lock(file.read_bytes())
    if lock.digest != open_image(store, digest).lock_digest:
        raise Corrupt(f"The lock beside image {digest} is not the one it was built from")
    return lock


def all_images(store: Store) -> Iterator[Digest]:
    """Yield the digests of all images of a store, sorted."""
    for folder in sorted(store.images.iterdir()):
        yield parse_digest(f"sha256:{folder.name}")


def image_of_lock(store: Store, lock: Lock) -> Image:
    """Return the image that was built from a lock.

    Raises:
        NotFound: None was, or it has been collected.
    """
    for digest in [lock.image] if lock.image is not None else all_images(store):
        image = open_image(store, digest)
        if image.lock_digest == lock.digest:
            return image
    raise NotFound(
        f"No image of the lock {lock.digest} is in the store {store.folder}",
        advice="Build it with 'branchline environment build'",
    )


def folder_of(store: Store, digest: Digest) -> Path:
    """Return where an image is or would be."""
    return store.images / parse_digest(digest).removeprefix("sha256:")


def with_seconds(image: Image, seconds: Mapping[str, float]) -> Image:
    """Return an image with the time its phases took."""
    return dataclasses.replace(image, seconds=dict(seconds))


def sign_image(store: Store, image: Image, identity: Identity) -> str:
    """Sign an image as its builder, and keep the signature beside it.

    The statement says: this key's holder built the image of this digest from this lock.
    """
    # Imported here: to start a command in an image takes no keys, and theirs is half of all imports.
    from branchline.foundation.jws import sign_jws

    token = sign_jws(_statement(image), identity, typ=SIGNATURE_TYPE)
    write_durably(folder_of(store, image.digest) / SIGNATURE_NAME, token.encode())
    return token


def signer(store: Store, image: Image) -> str | None:
    """Return the key id that an image's signature names, unverified; None if it has none."""
    from branchline.foundation.jws import read_kid

    token = signature(store, image)
    return None if token is None else read_kid(token)


def signature(store: Store, image: Image) -> str | None:
    """Return the signature beside an image, unverified; None if it has none."""
    file = folder_of(store, image.digest) / SIGNATURE_NAME
    return file.read_text("ascii") if file.exists() else None


def verify_signature(token: str, image: Image, keys: PublicKeys) -> None:
    """Check that a key's holder signed an image.

    Raises:
        Corrupt: Somebody else signed, or another image is meant.
    """
    from branchline.foundation.jws import verify_jws

    payload = verify_jws(token, keys, typ=SIGNATURE_TYPE)
    said = parse_json(payload, dict[str, str | None], what="statement on an image")
    if canonical_json(said) != _statement(image):
        raise Corrupt(f"The signature is on another image than {image.digest}")


def _statement(image: Image) -> bytes:
    return canonical_json({"image": image.digest, "lock": image.lock_digest})
