"""Debian packages, wheels and layers made up for tests, well-formed and hostile."""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.environment.built import Built

from branchline.environment.image import images
from branchline.environment.image.entries import Entry, Layer, with_folders
from branchline.environment.image.image import Image, documents
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.lock.model import DebianPackage, Sha256, Wheel


def member(
    name: str,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    to: str = "",
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = len(content), mode, kind, to
    return info, content


def tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Write a tar archive as dpkg-deb does, whatever its names are."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


def deb(
    folder: Path,
    name: str,
    members: Sequence[tuple[tarfile.TarInfo, bytes]],
    *,
    fields: str = "",
    control: Mapping[str, bytes] | None = None,
    version: str = "1.0",
) -> Path:
    """Write a Debian package (deb(5))."""
    stanza = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        f"Maintainer: Nobody <nobody@example.org>\n{fields}Description: made up\n"
    )
    controls = [member("./control", stanza.encode())]
    controls += [member(f"./{file}", text, mode=0o755) for file, text in (control or {}).items()]
    sections = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(tar(controls))),
        ("data.tar.xz", lzma.compress(tar(members))),
    ]
    file = folder / f"{name}_{version}_all.deb"
    with file.open("wb") as target:
        target.write(b"!<arch>\n")
        for section, content in sections:
            head = f"{section:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
            target.write(head.encode() + content + b"\n" * (len(content) & 1))
    return file


def locked_deb(file: Path, *, part: str = "extra") -> DebianPackage:
    """Return what a lock would say of a package made here."""
    name, version, _ = file.name.split("_")
    data = file.read_bytes()
    return DebianPackage(
        name=name,
        version=version,
        architecture="all",
        part="base" if part == "base" else "extra",
        sha256=Sha256(hashlib.sha256(data).hexdigest()),
        size=len(data),
        path=f"pool/main/m/{file.name}",
        suite="bookworm",
    )


def wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    name: str = "made_up",
    version: str = "1.0",
    record: Mapping[str, str] | None = None,
    metadata: Mapping[str, bytes] | None = None,
) -> tuple[Path, Wheel]:
    """Write a wheel and return it with what a lock would say of it.

    Args:
        folder: Where it goes.
        files: Its files beside the metadata.
        name: Of the distribution.
        version: Of the distribution.
        record: Hashes in RECORD in place of the true ones, by file.
        metadata: Files of the .dist-info folder beside or in place of the usual ones.
    """
    info = f"{name}-{version}.dist-info"
    usual = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    whole = dict(files) | {f"{info}/{n}": c for n, c in (usual | dict(metadata or {})).items()}
    lines = [f"{n},{(record or {}).get(n, _hash(c))},{len(c)}" for n, c in whole.items()]
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in whole.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
    return file, locked_wheel(file)


def locked_wheel(file: Path) -> Wheel:
    """Return what a lock would say of a wheel made here."""
    name, version, _ = file.name.split("-", 2)
    data = file.read_bytes()
    return Wheel(
        name=name.lower().replace("_", "-"),
        version=version,
        file=file.name,
        sha256=Sha256(hashlib.sha256(data).hexdigest()),
        size=len(data),
    )


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip(
        "="
    )


def keep(store: Store, path: str, content: bytes, mode: int = 0o644) -> Entry:
    """Put a content into the store, and return the entry of a path that has it."""
    file = store.folder / "content"
    file.write_bytes(content)
    entry = Entry(path, "file", mode, len(content), hashlib.sha256(content).hexdigest())
    store.objects.adopt(str(file), entry)
    return entry


def layer(store: Store, *entries: Entry, title: str = "made up") -> Layer:
    """Enter a layer of some entries and the folders they lie in."""
    ordered = with_folders(entries)
    digest, size = digest_and_size(ordered, store.objects.pieces)
    made = Layer(digest, size, title, ordered)
    store.add_layer(made)
    return made


def image(store: Store, *layers: Layer, epoch: int = 1_763_000_000) -> Image:
    """Enter an image of some layers that was built from no lock."""
    made = documents(layers, architecture="amd64", epoch=epoch, labels={"reproducible": "false"})
    return images.add(store, made, lock=None)


def small_image(store: Store, more: bytes = b"") -> Image:
    """Enter an image with a file of each kind in each of its trees."""
    debian = layer(
        store,
        Entry("bin", "link", target="usr/bin"),
        keep(store, "usr/bin/tool", b"#!/bin/sh\necho tool\n", 0o755),
        keep(store, "etc/secret", b"hidden", 0o600),
        keep(store, "usr/share/long/" + "n" * 150, b"long"),
        Entry("tmp", "folder", 0o1777),
        Entry("usr/local", "folder", 0o755),
        Entry("usr/share/branchline", "folder", 0o755),
        title="debian",
    )
    local = layer(
        store,
        keep(store, "usr/local/lib/module.py", b"x = 1\n" + more),
        keep(store, "usr/local/lib/again.py", b"x = 1\n" + more),
        keep(store, "usr/local/lib/empty.py", b""),
        title="local",
    )
    meta = layer(store, keep(store, "usr/share/branchline/README", b"read me"), title="meta")
    return image(store, debian, local, meta)


_OF_THE_SHELL = re.compile(
    r"bin|lib|lib64|tmp|usr/bin/(sh|dash)|usr/lib64/ld-linux.*|usr/lib/[^/]+/(libc|ld-linux[^/]*)\.so.*"
    r"|usr/local|usr/share/branchline"
)


def shell_image(built: Built, store: Store) -> Image:
    """Enter an image with Debian's shell alone, and the files it is linked to, as they were built."""
    kept = []
    for entry in built.store.layer(built.image.layers[0].digest).entries:
        if _OF_THE_SHELL.fullmatch(entry.path):
            kept.append(entry)
            if entry.kind == "file":
                content = b"".join(built.store.objects.pieces(entry))
                keep(store, entry.path, content, entry.mode)
    return image(store, layer(store, *kept, title="shell"))
