"""The list of an image's parts (SBOM), from what its packages brought into its layers.

The same list as `branchline environment sbom` gives for the lock, without opening packages again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from branchline.environment.image.entries import Entry, Layer, stacked
from branchline.environment.image.recipe import LOCAL
from branchline.environment.image.store import Store
from branchline.environment.lock.model import Lock
from branchline.environment.lock.sbom import Texts, list_of_parts
from branchline.environment.lock.texts import linked

_LONGEST = 4 << 20
_DOCS = "usr/share/doc/"
_METADATA = re.compile(
    rf"{LOCAL}/lib/python[0-9.]+/dist-packages/([^/]+)-[^/-]+\.dist-info/METADATA"
)


def parts_of(lock: Lock, layers: Sequence[Layer], store: Store) -> bytes:
    """Return the list of parts of an image.

    Args:
        lock: What the image is built from.
        layers: Its layers, but for the one that will hold the list.
        store: Holds their contents.
    """
    seen = stacked([layer.entries for layer in layers])
    copyrights = {p.name: _copyright(p.name, seen, store) for p in lock.debian.packages}
    metadata = {
        re.sub(r"[-_.]+", "-", match[1]).lower(): _text(entry, store)
        for path, entry in seen.items()
        if (match := _METADATA.fullmatch(path))
    }
    return list_of_parts(lock, Texts(linked(copyrights), metadata))


def _copyright(package: str, seen: Mapping[str, Entry], store: Store) -> str | Path:
    """Return a package's copyright file, or where its folder of documentation points to."""
    folder = seen.get(f"{_DOCS}{package}")
    if folder is not None and folder.kind == "link":
        return Path(folder.target)
    entry = seen.get(f"{_DOCS}{package}/copyright")
    return _text(entry, store) if entry is not None and entry.kind == "file" else ""


def _text(entry: Entry, store: Store) -> str:
    return b"".join(store.objects.pieces(entry))[:_LONGEST].decode("utf-8", "replace")
