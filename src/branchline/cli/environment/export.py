"""``branchline environment export`` and ``import``: images on a stick, or in a registry."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from branchline.cli.environment.stores import image_as_json, image_meant, opened, store_option
from branchline.cli.frame import Answer, lines, verb, working

_REGISTRY = click.option(
    "--registry", metavar="HOST[:PORT]/NAME[:TAG]", help="An OCI registry, in place of FILE."
)


@verb(
    None,
    "export",
    "branchline environment export ./my-project image.branchline\n"
    "branchline environment export sha256:… --registry registry.example/team/analysis:v1",
)
@click.argument("what", metavar="IMAGE|DIR|LOCK")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@_REGISTRY
@store_option
def export(what: str, file: Path | None, registry: str | None, folder: Path | None) -> Answer:
    """Write an image into one file, for a machine with no network; or bring it to a registry.

    The file holds everything: layers, lock, and the signature if there is one.
    """
    from branchline.environment.image.registry import parse_reference, push
    from branchline.environment.image.transfer import export_image

    _one_of(file, registry)
    store = opened(folder)
    image = image_meant(store, what)
    began = time.monotonic()
    data: dict[str, Any] = {"image": image.digest, "registry": registry}
    data |= {"file": str(file) if file is not None else None}
    with working("exporting") as progress:
        if file is not None:
            data |= {"bytes": export_image(store, image, file, progress=progress)}
            text = f"{file}, {file.stat().st_size / 1e6:.1f} MB"
        else:
            travelled = push(store, image, parse_reference(registry or ""), progress=progress)
            data |= {"blobs": travelled}
            text = f"{registry} has it; {travelled} blobs travelled"
    data |= {"seconds": round(time.monotonic() - began, 3)}
    return Answer(data, lines(text, image.digest))


@verb(
    None,
    "import",
    "branchline environment import image.branchline --image sha256:…",
)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False
)
@click.option("--image", metavar="DIGEST", help="The image it must be, as a lock names it.")
@_REGISTRY
@store_option
def import_(
    file: Path | None, image: str | None, registry: str | None, folder: Path | None
) -> Answer:
    """Take an image in from a file written by 'export', or from a registry.

    Every byte is checked against the image's digest before anything is used. Without --image, the
    digest itself is whatever the file says: compare it with the one you expect.
    """
    from branchline.environment.image.registry import parse_reference, pull
    from branchline.environment.image.transfer import import_image
    from branchline.environment.image.trees import materialise
    from branchline.foundation.digest import parse_digest

    _one_of(file, registry)
    store, digest = opened(folder), parse_digest(image) if image else None
    began = time.monotonic()
    with working("importing") as progress:
        if file is not None:
            found = import_image(store, file, digest=digest, progress=progress)
        else:
            source = parse_reference(registry or "")
            found = pull(store, source, digest, progress=progress)
        materialise(found, store)
    data = image_as_json(found) | {"seconds": round(time.monotonic() - began, 3)}
    return Answer(
        data, lines(f"{len(found.layers)} layers, {found.size / 1e6:.1f} MB", found.digest)
    )


def _one_of(file: Path | None, registry: str | None) -> None:
    if (file is None) == (registry is None):
        raise click.UsageError("Name a file, or a registry with --registry")
