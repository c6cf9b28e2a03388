"""What an image is: a manifest over layers, in the form of OCI's image specification. Pure.

The image's digest is that of its manifest. Both manifest and configuration are canonical JSON whose
every value follows from the lock and its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from branchline.environment.image.entries import Layer
from branchline.environment.image.recipe import CONDA
from branchline.environment.lock.model import Lock
from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_of
from branchline.foundation.errors import Corrupt

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Uncompressed: compressed bytes depend on who compressed them, and with when."""

LABEL = "org.branchline."
DEBIAN_PYTHON = "/usr/bin/python3"
"""Debian's own; wheels are below /usr/local, where it looks for them."""

_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_LIMIT = 8 << 20


@dataclass(frozen=True)
class LayerOf:
    """One layer of an image.

    Args:
        digest: Of its tar.
        size: Of its tar, in bytes.
        title: What it holds.
    """

    digest: Digest
    size: int
    title: str


@dataclass(frozen=True)
class Image:
    """An image in the store.

    Args:
        digest: Of its manifest; the image's name.
        layers: The lowest first.
        size: Bytes of all layers, uncompressed.
        lock_digest: Of the lock it was built from; None for one built from a Dockerfile.
        reproducible: Whether the same lock gives the same digest again.
        created: The date of its lock.
        python: The program that trains' code runs in.
        path: Where programs are looked for before the usual places; empty for nowhere.
        seconds: How long each phase took, if it was built just now.
    """

    digest: Digest
    layers: tuple[LayerOf, ...]
    size: int
    lock_digest: Digest | None
    reproducible: bool
    created: datetime
    python: str = DEBIAN_PYTHON
    path: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A reference to a blob (OCI image-spec, descriptor.md)."""

    media_type: str
    digest: WireDigest
    size: int
    annotations: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An image's manifest (OCI image-spec, manifest.md)."""

    schema_version: Literal[2]
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class RootFs(msgspec.Struct, frozen=True):
    """The layers' digests before any compression."""

    type: Literal["layers"]
    diff_ids: tuple[WireDigest, ...]


class History(msgspec.Struct, frozen=True):
    """What made a layer."""

    created: str
    created_by: str


class Running(msgspec.Struct, frozen=True):
    """How a container of the image would be started (OCI image-spec, config.md)."""

    env: tuple[str, ...] = msgspec.field(name="Env")
    labels: dict[str, str] = msgspec.field(name="Labels", default={})


class Config(msgspec.Struct, frozen=True):
    """An image's configuration."""

    architecture: str
    os: str
    created: str
    config: Running
    rootfs: RootFs
    history: tuple[History, ...]


@dataclass(frozen=True)
class Documents:
    """An image's two documents, as bytes."""

    manifest: bytes
    config: bytes

    @property
    def digest(self) -> Digest:
        """The image's digest."""
        return digest_of(self.manifest)


def documents(
    layers: Sequence[Layer],
    *,
    architecture: str,
    epoch: int,
    labels: Mapping[str, str],
    path: Sequence[str] = (),
) -> Documents:
    """Write an image's documents.

    Args:
        layers: The lowest first.
        architecture: As Debian calls it.
        epoch: The image's date, in seconds since 1970.
        labels: What the image says of itself, without the prefix.
        path: Where programs are looked for before the usual places.
    """
    created = _moment(epoch)
    named = {LABEL + key: value for key, value in labels.items()}
    config = canonical_json(
        Config(
            architecture,
            "linux",
            created,
            Running((f"PATH={':'.join((*path, *_PATH))}", "LANG=C.UTF-8"), named),
            RootFs("layers", tuple(layer.digest for layer in layers)),
            tuple(History(created, layer.title) for layer in layers),
        )
    )
    manifest = Manifest(
        2,
        MANIFEST_TYPE,
        Descriptor(CONFIG_TYPE, digest_of(config), len(config)),
        tuple(Descriptor(LAYER_TYPE, layer.digest, layer.size) for layer in layers),
        {"org.opencontainers.image.created": created} | named,
    )
    return Documents(canonical_json(manifest), config)


def labels_of(lock: Lock) -> dict[str, str]:
    """Return what an image built from a lock says of itself."""
    said = {"lock": lock.digest, "recipe": str(lock.recipe), "reproducible": "true"}
    if lock.conda is not None:
        said["path"] = f"/{CONDA}/bin"
        if lock.conda.python is not None:
            said["python"] = f"/{CONDA}/bin/python{'.'.join(lock.conda.python.split('.')[:2])}"
    return said


def read_image(found: Documents, digest: Digest) -> Image:
    """Read an image from its documents.

    Raises:
        Corrupt: They are not those of the image named.
    """
    if found.digest != digest:
        raise Corrupt(f"The manifest of image {digest} has changed: it is {found.digest}")
    manifest = parse_json(found.manifest, Manifest, what="image's manifest", limit=_LIMIT)
    if digest_of(found.config) != manifest.config.digest:
        raise Corrupt(f"The configuration of image {digest} has changed")
    config = parse_json(found.config, Config, what="image's configuration", limit=_LIMIT)
    ids = config.rootfs.diff_ids
    if not len(ids) == len(manifest.layers) == len(config.history):
        raise Corrupt(f"The configuration of image {digest} does not fit its layers")
    layers = tuple(
        LayerOf(name, layer.size, history.created_by)
        for name, layer, history in zip(ids, manifest.layers, config.history, strict=True)
    )
    labels: dict[str, Any] = config.config.labels
    lock = labels.get(LABEL + "lock")
    return Image(
        digest,
        layers,
        sum(layer.size for layer in layers),
        Digest(lock) if lock else None,
        labels.get(LABEL + "reproducible") == "true",
        _parsed(config.created),
        labels.get(LABEL + "python", DEBIAN_PYTHON),
        labels.get(LABEL + "path", ""),
    )


def config_digest(manifest: bytes) -> Digest:
    """Return which configuration a manifest names.

    Raises:
        Refused: It is no manifest of an image.
    """
    return parse_json(manifest, Manifest, what="image's manifest", limit=_LIMIT).config.digest


def _moment(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parsed(text: str) -> datetime:
    try:
        # Not strptime: whoever starts a command waits for all that it imports.
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Corrupt(f"{text[:40]!r} is not the date of an image") from error
    if found.utcoffset() is None or _moment(int(found.timestamp())) != text:
        raise Corrupt(f"{text[:40]!r} is not the date of an image")
    return found
