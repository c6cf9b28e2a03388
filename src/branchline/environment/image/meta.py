"""What an image says of itself, at /usr/share/branchline: lock, recipe, list of parts, explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from branchline.environment.image import recipe
from branchline.environment.image.entries import Entry, Layer, with_folders
from branchline.environment.image.normal import hashed
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.lock.model import LOCK_NAME, PYLOCK_NAME, Lock, Sha256
from branchline.environment.lock.sbom import SBOM_NAME


def build_meta(
    lock: Lock,
    layers: Sequence[Layer],
    overwritten: Sequence[str],
    store: Store,
    sbom: bytes,
    scripts: Sequence[str] = (),
) -> Layer:
    """Return the topmost layer of an image.

    Args:
        lock: What the image is built from.
        layers: The layers below.
        overwritten: Paths that more than one wheel brings with different contents.
        store: Holds the lock's texts, and takes the contents.
        sbom: The list of parts (CycloneDX).
        scripts: Link scripts of conda's packages, which were not run.
    """
    unnamed = msgspec.structs.replace(lock, image=None)
    texts = {
        LOCK_NAME: unnamed.text.encode(),
        "README": _readme(lock, layers, overwritten, scripts).encode(),
        "recipe": _recipe(conda=lock.conda is not None).encode(),
        SBOM_NAME: sbom,
    }
    if lock.python is not None:
        texts[PYLOCK_NAME] = pylock(store, lock.python.pylock_sha256)
    return text_layer(texts, store)


def text_layer(texts: Mapping[str, bytes], store: Store) -> Layer:
    """Return the layer of an image's own texts, by file name."""
    entries = []
    with store.temporary("meta") as scratch:
        for name, text in texts.items():
            file = scratch / name
            file.write_bytes(text)
            size, sha256 = hashed(str(file))
            entry = Entry(f"{recipe.META}/{name}", "file", 0o644, size, sha256)
            store.objects.adopt(str(file), entry)
            entries.append(entry)
    ordered = with_folders(entries)
    digest, size = digest_and_size(ordered, store.objects.pieces)
    layer = Layer(digest, size, "what the image says of itself", ordered)
    store.add_layer(layer)
    return layer


def pylock(store: Store, sha256: Sha256) -> bytes:
    """Return the `pylock.toml` that a lock names.

    Raises:
        NotFound: It is not in the store.
        Corrupt: It has changed.
    """
    path = store.texts.path(sha256)
    size = path.stat().st_size if path.exists() else 0
    return store.texts.verified(sha256, size, f"The {PYLOCK_NAME} of the lock").read_bytes()


def _readme(
    lock: Lock, layers: Sequence[Layer], overwritten: Sequence[str], scripts: Sequence[str]
) -> str:
    date = datetime.fromtimestamp(lock.epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    parts = [
        "This is an image of Branchline: a root filesystem built from a lock.",
        "",
        f"  {LOCK_NAME}     what it was built from: every package by version and SHA-256",
        f"  {PYLOCK_NAME}        the same for Python, as PEP 751 has it, if there is a Python part",
        "  recipe             how it was built, step by step",
        f"  {SBOM_NAME}      the list of parts with licences and sources (CycloneDX)",
        "",
        f"Lock      {lock.digest}",
        f"Recipe    number {lock.recipe}",
        f"Date      {date}",
        "",
        "The image's digest is that of its OCI manifest. It follows from the lock alone: from the",
        "files it names by SHA-256, the number of the recipe, and the lock's date. It depends",
        "neither on the machine nor on the day, folder or user it is built by. The image cannot",
        "hold its own digest, nor who signed it; both stand beside it.",
        "",
        "The image's date is the newest date of the Debian release files in the lock. Files have",
        f"one date in all images ({_day(recipe.LAYER_DATE)}), so that a layer's digest says what",
        "is in it and nothing else.",
        "",
        "Layers, the lowest first:",
        *(f"  {layer.digest}  {layer.title}" for layer in layers),
    ]
    if overwritten:
        parts += [
            "",
            "More than one wheel brings these files; the last one by name counts:",
            *(f"  /{path}" for path in overwritten),
        ]
    if scripts:
        parts += [
            "",
            "Packages of conda's bring these scripts for the time of their installation. None was run:",
            *(f"  /{path}" for path in scripts),
        ]
    return "\n".join(parts) + "\n"


_CONDA = (
    "   Packages of conda's are checked against their SHA-256 and their own lists, and placed below",
    f"   /{recipe.CONDA}, which is written where their prefix stands. Modules are compiled as in 3, by",
    "   their own Python, which wheels are then for, too. No script of a package is run.",
    f"   The {recipe.MOST_CONDA_LAYERS} largest have a layer each, the others share one.",
)


def _recipe(*, conda: bool) -> str:
    def listed(paths: Sequence[str]) -> list[str]:
        return [f"     /{path}" for path in paths]

    return (
        "\n".join(
            [
                f"Recipe number {recipe.RECIPE}",
                "",
                "1. base: the lock's packages of the part 'base' are checked against their SHA-256 and",
                "   unpacked. Left out are manuals, translations and documentation, but no copyright",
                "   file. Their preinst scripts run, then 'dpkg --configure -a', inside a sandbox with",
                "   no network, as root of a user namespace with a single user. Changes of owner do",
                f"   nothing. SOURCE_DATE_EPOCH is {recipe.LAYER_DATE}; PYTHONHASHSEED is 0.",
                "2. extra: the same for all other packages, on a copy of base; the layer is what differs.",
                "3. Each wheel is checked against its SHA-256 and its RECORD, installed below /usr/local,",
                "   and compiled by the image's own Python into modules that need no check (PEP 552).",
                f"   The {recipe.MOST_WHEEL_LAYERS} largest wheels have a layer each, the others share one.",
                *(_CONDA if conda else ()),
                "4. This folder.",
                "",
                "Normal form of 1 and 2: all belongs to root; no setuid or setgid; no devices, pipes or",
                "extended attributes; compiled modules are not checked against their source; Java's",
                "certificates have the one date.",
                "   Removed:",
                *listed(recipe.REMOVED),
                "   Emptied folders (in var/log, folders stay):",
                *listed(recipe.EMPTIED_FOLDERS),
                "   Files without content:",
                *listed(recipe.EMPTIED_FILES),
                "",
                "A layer is a tar archive (ustar; pax headers only where a name does not fit), names",
                "sorted as bytes, owner 0:0, one date, not compressed.",
            ]
        )
        + "\n"
    )


def _day(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d")
