"""Build a Dockerfile with buildah into the same store, marked as not reproducible.

What a Dockerfile does depends on the day and on servers, so there is no lock and nobody can build
the image again. All its layers become one, in the normal form of our images; ENV, USER, ENTRYPOINT
and the like have no effect, since a train says itself what runs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from branchline.environment.image import images, recipe
from branchline.environment.image.configure import BuildFailed
from branchline.environment.image.entries import Entry, Layer, check_shape, with_folders
from branchline.environment.image.image import Image, documents
from branchline.environment.image.meta import text_layer
from branchline.environment.image.place import parts_of
from branchline.environment.image.recipe import EMPTIED_FILES, FOLDERS, LAYER_DATE
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.image.tarball import FILE, FOLDER, HARD_LINK, SYMLINK, Member, members
from branchline.environment.image.trees import materialise
from branchline.foundation.canonical import parse_json
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Corrupt, Refused, Unavailable

NAME = "Dockerfile"

_README = """\
This image was built from the Dockerfile beside this file. It is not reproducible: what it holds
depended on the day and on what servers gave, and nobody can build it again bit for bit. Lock an
environment with 'branchline environment lock' where that matters.
"""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_dockerfile(
    folder: Path, store: Store, *, progress: Callable[[str], None] = lambda sentence: None
) -> Image:
    """Build the Dockerfile of a folder.

    It runs as the person who calls, with the network. RUN is run in a changed root, unless
    $BUILDAH_ISOLATION names another of buildah's ways.

    Args:
        folder: Holds the Dockerfile and what it copies.
        store: Takes the image.
        progress: Told what is done.

    Raises:
        Refused: There is no Dockerfile, or it puts something where no image may have it.
        Unavailable: buildah is not installed.
        BuildFailed: It failed; the sentence names the log.
    """
    if not (folder / NAME).is_file():
        raise Refused(
            f"{folder.absolute()} has no {NAME}",
            advice="Name the folder that has it, or leave --dockerfile out to build a lock",
        )
    if shutil.which("buildah") is None:
        raise Unavailable(
            "A Dockerfile is built by buildah, which is not installed",
            advice="Install the Debian package buildah, or write spec files and lock them",
        )
    with store.temporary("dockerfile") as scratch:
        layout = _run(folder, scratch, store, progress)
        progress("entering the image")
        layer, architecture = _take(layout, store, scratch)
    store.add_layer(layer)
    said = {NAME: (folder / NAME).read_bytes(), "README": _README.encode()}
    meta = text_layer(said, store)
    labels = {"reproducible": "false", "dockerfile": digest_of(said[NAME])}
    made = documents([layer, meta], architecture=architecture, epoch=LAYER_DATE, labels=labels)
    image = images.add(store, made, lock=None)
    materialise(image, store)
    return image


def _run(folder: Path, scratch: Path, store: Store, progress: Callable[[str], None]) -> Path:
    """Let buildah build, and write the image as an OCI layout of one layer."""
    own = ["buildah", "--root", str(scratch / "root"), "--runroot", str(scratch / "run")]
    own += ["--storage-driver", "vfs"]
    name, layout = scratch / "name", scratch / "layout"
    log = store.logs / f"{digest_of((folder / NAME).read_bytes())[7:19]}-dockerfile.log"
    # A build needs no container, and many machines may start none: those in containers, say.
    isolation = os.environ.get("BUILDAH_ISOLATION") or "chroot"
    build = [*own, "build", "--isolation", isolation, "--format", "oci", "--squash"]
    build += ["--iidfile", str(name), str(folder)]
    progress("building the Dockerfile with buildah")
    with log.open("wb") as output:
        if subprocess.run(build, stdout=output, stderr=output, check=False).returncode != 0:
            raise BuildFailed(
                f"buildah could not build {folder / NAME}", advice=f"What it said is in {log}"
            )
        push = [*own, "push", name.read_text("ascii").strip(), f"oci:{layout}"]
        if subprocess.run(push, stdout=output, stderr=output, check=False).returncode != 0:
            raise BuildFailed("buildah could not write the image", advice=f"See {log}")
    log.unlink()
    return layout


def _take(layout: Path, store: Store, scratch: Path) -> tuple[Layer, str]:
    """Return an OCI layout's one layer in normal form, and the architecture."""

    def blob(descriptor: dict[str, Any]) -> Path:
        return layout / "blobs" / "sha256" / str(descriptor["digest"]).removeprefix("sha256:")

    def read(path: Path) -> dict[str, Any]:
        return parse_json(path.read_bytes(), dict[str, Any], what="image that buildah wrote")

    manifest = read(blob(read(layout / "index.json")["manifests"][0]))
    (only,) = manifest["layers"]
    found: dict[str, Entry] = {}
    try:
        with gzip.open(blob(only)) as source:
            for member in members(source, "The image that buildah wrote"):
                _enter(member, found, store, scratch)
    except (OSError, EOFError, zlib.error) as error:
        raise Corrupt("The image that buildah wrote cannot be read") from error
    for path in FOLDERS:
        found.setdefault(path, Entry(path, "folder", 0o755))
    for path in EMPTIED_FILES:
        found[path] = Entry(path, "file", 0o644, 0, hashlib.sha256(b"").hexdigest())
        empty = scratch / "empty"
        empty.write_bytes(b"")
        store.objects.adopt(str(empty), found[path])
    entries = with_folders(found.values())
    check_shape({entry.path: entry for entry in entries})
    digest, size = digest_and_size(entries, store.objects.pieces)
    architecture = str(read(blob(manifest["config"])).get("architecture", "amd64"))
    title = "built from a Dockerfile"
    return Layer(digest, size, title, entries), _ARCHITECTURES.get(architecture, architecture)


def _enter(member: Member, found: dict[str, Entry], store: Store, scratch: Path) -> None:
    path = "/".join(parts_of(member.name, "The Dockerfile's image"))
    if not path or path.startswith(recipe.META):
        return
    if member.kind == FOLDER:
        found[path] = Entry(path, "folder", member.mode & 0o1777)
    elif member.kind == SYMLINK:
        found[path] = Entry(path, "link", target=member.target)
    elif member.kind == HARD_LINK:
        first = found.get("/".join(parts_of(member.target, "The Dockerfile's image")))
        if first is None or first.kind == "folder":
            raise Corrupt(f"The image that buildah wrote has a link to nothing, {path[:120]!r}")
        found[path] = Entry(path, first.kind, first.mode, first.size, first.sha256, first.target)
    elif member.kind == FILE:
        state, file = hashlib.sha256(), scratch / "content"
        with file.open("wb", buffering=0) as target:
            for piece in member.pieces():
                state.update(piece)
                target.write(piece)
        entry = Entry(path, "file", member.mode & 0o777, member.size, state.hexdigest())
        store.objects.adopt(str(file), entry)
        found[path] = entry
