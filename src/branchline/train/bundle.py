"""Bundles: a train as bytes, named by their digest and signed by who made them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.digest import Digest, WireDigest, digest_of
from branchline.foundation.errors import Corrupt
from branchline.foundation.jws import sign_jws, verify_jws
from branchline.foundation.keys import Identity, PublicKeys
from branchline.train.archive import (
    File,
    check_count,
    check_size,
    check_total,
    read_archive,
    write_archive,
)
from branchline.train.environment import TrainEnvironment, read_environment
from branchline.train.errors import BundleCorrupt, BundleRefused
from branchline.train.manifest import MANIFEST, Manifest, parse_manifest
from branchline.train.origin import Origin, with_origin
from branchline.train.paths import check_content, is_ignored

SIGNATURE_TYPE = "bl-train+jws"


@dataclass(frozen=True)
class Bundle:
    """Hold a train as the bytes that travel and the digest that names them."""

    data: bytes
    digest: Digest
    manifest: Manifest
    environment: TrainEnvironment


@dataclass(frozen=True)
class OpenBundle:
    """Hold a bundle's checked contents in memory; ``executable`` are paths among ``files``."""

    digest: Digest
    manifest: Manifest
    files: Mapping[str, bytes]
    executable: frozenset[str]
    environment: TrainEnvironment


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say what a bundle's signature says."""

    bundle: WireDigest
    name: str
    version: str


def pack(folder: Path, origin: Origin | None = None) -> Bundle:
    """Make the bundle of a train's folder; equal files make equal bundles, anywhere.

    Files and folders beginning with a dot and ``__pycache__`` are left out; so are empty
    folders. Of a file's mode only "its owner may execute it" counts.

    Args:
        folder: The train's.
        origin: The project it is packed from; written into the bundle's manifest.

    Raises:
        BundleRefused: links, special files, pickles, bad names, too many or too large files.
        FormRefused: train.toml is missing something.
    """
    files: dict[str, File] = {}
    size = 0
    for path, file in _collect(folder, ""):  # limits on the way: somebody may pack his home
        check_count(path, len(files) + 1)
        size += len(file.data)
        check_total(size)
        files[path] = file
    if MANIFEST not in files:
        raise BundleRefused(
            f"{folder.name} has no {MANIFEST}", advice="Begin one with 'branchline train new'"
        )
    if origin is not None:
        files[MANIFEST] = _with_origin(files[MANIFEST], origin)
    return pack_files(files)


def _with_origin(manifest: File, origin: Origin) -> File:
    if parse_manifest(manifest.data).origin is not None:
        raise BundleRefused(
            f"{MANIFEST} has an [origin] already", advice="Take it out: packing writes it"
        )
    return File(with_origin(manifest.data, origin), executable=manifest.executable)


def pack_files(files: Mapping[str, File]) -> Bundle:
    """Make the bundle of files given by their paths."""
    data = write_archive(files)
    opened = open_bundle(data)
    return Bundle(data, opened.digest, opened.manifest, opened.environment)


def open_bundle(data: bytes, expected: Digest | None = None) -> OpenBundle:
    """Check a bundle completely, in memory, before anything of it is used.

    Raises:
        BundleCorrupt: it is not the bundle named ``expected``.
        BundleRefused, FormRefused: it is none; the sentence names the file.
        Corrupt: its lock was changed since it was written.
    """
    digest = digest_of(data)
    if expected is not None and digest != expected:
        raise BundleCorrupt(f"The bundle is {digest}; expected {expected}: it was changed")
    files = read_archive(data)
    for path, file in files.items():
        check_content(path, file.data)
    if MANIFEST not in files:
        raise BundleRefused(f"The bundle has no {MANIFEST}")
    manifest = parse_manifest(files[MANIFEST].data)
    for path in manifest.files:
        if path not in files:
            raise BundleRefused(f"{MANIFEST} calls {path!r}, which is not in the bundle")
    contents = {path: file.data for path, file in files.items()}
    executable = frozenset(path for path, file in files.items() if file.executable)
    environment = read_environment(manifest, contents)
    return OpenBundle(digest, manifest, contents, executable, environment)


def unpack(opened: OpenBundle, folder: Path) -> None:
    """Write an open bundle's files into a new or empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BundleRefused(f"The folder {folder.name} is not empty; nothing was unpacked")
    for path, data in opened.files.items():
        target = folder / path
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        mode = 0o755 if path in opened.executable else 0o644
        # O_EXCL and O_NOFOLLOW: even if somebody else writes here, nothing of his is touched.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(target, flags, mode), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)  # whatever the umask


def sign_bundle(bundle: Bundle, identity: Identity) -> str:
    """Sign a bundle's digest, name and version, as a compact JWS."""
    said = Statement(bundle.digest, bundle.manifest.name, bundle.manifest.version)
    return sign_jws(canonical_json(said), identity, typ=SIGNATURE_TYPE)


def verify_bundle(data: bytes, signature: str, keys: PublicKeys) -> OpenBundle:
    """Open a bundle if exactly its bytes were signed by ``keys``.

    Raises:
        BundleCorrupt: a foreign or damaged signature, or a signature of other bytes.
        BundleRefused, FormRefused: the bytes are no bundle.
    """
    digest = digest_of(data)
    try:
        payload = verify_jws(signature, keys, typ=SIGNATURE_TYPE)
    except Corrupt as error:
        raise BundleCorrupt(f"The signature of bundle {digest} fails: {error.refused}") from error
    said = parse_json(payload, Statement, what="signed statement")
    opened = open_bundle(data, said.bundle)
    if (said.name, said.version) != (opened.manifest.name, opened.manifest.version):
        raise BundleCorrupt(
            f"Bundle {digest} is signed as {said.name} {said.version}, but says it is "
            f"{opened.manifest.name} {opened.manifest.version}"
        )
    return opened


def _collect(folder: Path, prefix: str) -> Iterator[tuple[str, File]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_ignored(entry.name):
                continue
            path = prefix + entry.name
            if entry.is_symlink():
                raise BundleRefused(f"{path!r} is a symbolic link; a bundle holds files only")
            if entry.is_dir():
                yield from _collect(Path(entry.path), path + "/")
            else:
                yield path, _read(path, entry)


def _read(path: str, entry: os.DirEntry[str]) -> File:
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleRefused(f"{path!r} is a special file; a bundle holds files only")
        check_size(path, status.st_size)
        return File(file.read(), executable=bool(status.st_mode & stat.S_IXUSR))
