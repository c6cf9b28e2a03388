"""Images at a service that keeps them: what is said there, and what is fetched and brought.

An image goes by its manifest (OCI image-spec), and its blobs one by one, compressed on their way
(``packed``). Whoever takes one in checks every byte against the digests it was asked for by.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, WireDigest
from branchline.foundation.errors import Refused

MOST_BLOBS = 128
"""The most blobs of one image; container engines stop at 127 layers."""


class ImageState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say which blobs of an image a service still lacks; none when it has it whole."""

    missing: tuple[WireDigest, ...]


class _Descriptor(msgspec.Struct, frozen=True):
    digest: WireDigest
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int
    config: _Descriptor
    layers: Annotated[tuple[_Descriptor, ...], msgspec.Meta(min_length=1, max_length=MOST_BLOBS)]


def blobs_of(manifest: bytes) -> dict[Digest, int]:
    """Return the blobs that a manifest names, each with its bytes: configuration, then layers.

    Raises:
        Refused: It is no manifest of an image.
    """
    try:
        read = decode_json(manifest, _Manifest)
    except msgspec.DecodeError as error:
        raise Refused(f"The image's manifest is not acceptable: {error}") from error
    return {each.digest: each.size for each in (read.config, *read.layers)}
