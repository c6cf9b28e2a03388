"""Build the Debian layers: unpack the packages of a lock, and let them configure themselves.

What dpkg does one package after another with a disk in mind is done here all at once: payloads are
placed from several threads, entered in dpkg's database as unpacked, and configured by dpkg with the
packages' own scripts inside a closed sandbox. ADR 0009 says why, and compares.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from branchline.environment.image import configure, deb, dpkg, normal, place
from branchline.environment.image.entries import Entry, Layer, difference, stacked
from branchline.environment.image.modes import make_folders
from branchline.environment.image.objects import DATE_NS
from branchline.environment.image.place import MERGED, Placed, Root
from branchline.environment.image.recipe import RECIPE, is_wanted
from branchline.environment.image.store import Store
from branchline.environment.image.tar import digest_and_size
from branchline.environment.lock.model import DebianPackage, Lock
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Corrupt

Progress = Callable[[str], None]
"""Told, in one sentence, what is done now."""

_DIVERTS = b"dpkg-divert"


@dataclass(frozen=True)
class Package:
    """A package at hand: what the lock says, its file, and its control files."""

    locked: DebianPackage
    file: Path
    control: deb.Control


def build_base(lock: Lock, store: Store, *, progress: Progress, jobs: int) -> Layer:
    """Return the base layer of a lock, built if the store has none.

    Args:
        lock: Names the packages.
        store: Holds their files, and takes the layer.
        progress: Told what is done.
        jobs: How many threads work.

    Raises:
        NotFound: A package's file is not in the store.
        Corrupt: A package's file is not what the lock names.
        BuildFailed: A package's own script failed; the sentence names it.
    """
    return _layer(lock, "base", (), None, store, progress, jobs)


def has_base(lock: Lock, store: Store) -> bool:
    """Tell whether a store has the base layer of a lock already."""
    return store.layer_of_key(_key(lock, "base", None)) is not None


def build_extra(
    lock: Lock, store: Store, base: Layer, *, progress: Progress, jobs: int
) -> Layer | None:
    """Return the layer of a lock's further packages on top of its base; None if it has none."""
    if not any(package.part == "extra" for package in lock.debian.packages):
        return None
    return _layer(lock, "extra", base.entries, base.digest, store, progress, jobs)


def _layer(
    lock: Lock,
    part: str,
    below: Sequence[Entry],
    below_digest: Digest | None,
    store: Store,
    progress: Progress,
    jobs: int,
) -> Layer:
    wanted = _packages(lock, part)
    key = _key(lock, part, below_digest)
    with store.making(key.removeprefix("sha256:")):
        found = store.layer_of_key(key)
        if found is not None:
            return found
        progress(f"reading {len(wanted)} Debian packages ({part})")
        with ThreadPoolExecutor(jobs) as pool:
            read = pool.map(lambda locked: at_hand(locked, store), wanted)
            packages = {package.locked.name: package for package in read}
        with store.temporary(part, aside=True) as folder:
            root = folder / "root"
            make_folders(root)
            _lay_out(root, below, store, jobs)
            log = store.logs / f"{key.removeprefix('sha256:')[:12]}-{part}.log"
            _install(root, packages, configure.Configuration(root, log, progress), progress, jobs)
            progress(f"entering the layer {part}")
            layer = _enter(root, below, store, f"Debian {lock.debian.suite}, {part}", jobs)
            log.unlink()
        store.add_layer(layer, key)
        return layer


def _packages(lock: Lock, part: str) -> list[DebianPackage]:
    return [package for package in lock.debian.packages if package.part == part]


def _key(lock: Lock, part: str, below: Digest | None) -> Digest:
    return digest_of_json(
        {
            "recipe": RECIPE,
            "part": part,
            "below": below,
            "architecture": lock.debian.architecture,
            "packages": sorted([package.name, package.sha256] for package in _packages(lock, part)),
        }
    )


def at_hand(locked: DebianPackage, store: Store) -> Package:
    """Check a package's file against the lock and read its control files.

    Raises:
        NotFound: The file is not in the store.
        Corrupt: It is not what the lock names.
    """
    what = f"{locked.name} {locked.version}"
    file = store.debs.verified(locked.sha256, locked.size, f"The Debian package {what}")
    control = deb.read_control(file, what)
    said = (control.fields.get("Package"), control.fields.get("Version"))
    if said != (locked.name, locked.version):
        raise Corrupt(f"The lock names {what}, but the package's file says {said[0]} {said[1]}")
    return Package(locked, file, control)


def unpack_alone(packages: Mapping[str, Package], root: Path) -> None:
    """Make a root of some packages, which are not entered anywhere and never configured."""
    make_folders(root)
    _make_links(root)
    controls = {name: package.control.fields for name, package in packages.items()}
    _place(Root(root, {}, place.replaces(controls)), packages, 1)


def _lay_out(root: Path, below: Sequence[Entry], store: Store, jobs: int) -> None:
    """Copy what is below: scripts may write to any file, and objects must not change."""
    if not below:
        _make_links(root)
        return
    for entry in below:
        if entry.kind == "folder":
            os.mkdir(root / entry.path)
        elif entry.kind == "link":
            os.symlink(entry.target, root / entry.path)

    def copy(entry: Entry) -> None:
        target = f"{root}/{entry.path}"
        shutil.copyfile(store.objects.path(entry), target)
        os.chmod(target, entry.mode)
        os.utime(target, ns=(DATE_NS, DATE_NS))

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(copy, (e for e in below if e.kind == "file"), chunksize=64))
    for entry in reversed(below):
        if entry.kind == "folder":
            os.chmod(root / entry.path, entry.mode)


def _make_links(root: Path) -> None:
    for name in (*MERGED[:3], "lib64"):
        make_folders(root / "usr" / name)
        (root / name).symlink_to(f"usr/{name}")


def _install(
    root: Path,
    packages: Mapping[str, Package],
    scripts: configure.Configuration,
    progress: Progress,
    jobs: int,
) -> None:
    """Unpack and configure packages as dpkg would, but all at once where that is the same."""
    dpkg.begin(root)
    controls = {name: package.control for name, package in packages.items()}
    replaces = place.replaces({name: control.fields for name, control in controls.items()})
    target = Root(root, dpkg.owners(root), replaces)
    target.divert(dpkg.diversions(root))
    progress(f"unpacking {len(packages)} Debian packages")
    # A script that diverts other packages' files must find these, and not yet its own.
    late = [n for n, p in packages.items() if p.locked.part == "extra" and _diverts(p.control)]
    early = [name for name in dpkg.order(controls) if name not in late]
    _unpack(target, root, {name: packages[name] for name in early}, jobs)
    for name in early:
        scripts.preinst(name, controls[name])
    for name in [name for name in dpkg.order(controls) if name in late]:
        scripts.preinst(name, controls[name])
        target.divert(dpkg.diversions(root))
        _unpack(target, root, {name: packages[name]}, 1)
    scripts.configure(len(packages))


def _diverts(control: deb.Control) -> bool:
    return _DIVERTS in control.files.get("preinst", (b"", 0))[0]


def _unpack(target: Root, root: Path, packages: Mapping[str, Package], jobs: int) -> None:
    """Place what packages bring, and enter them in dpkg's database."""
    placed = _place(target, packages, jobs)
    _set_modes(root, placed)
    controls = {name: package.control for name, package in packages.items()}
    dpkg.register(root, controls, {name: placed[name].paths for name in controls})


def _place(target: Root, packages: Mapping[str, Package], jobs: int) -> dict[str, Placed]:
    def one(name: str) -> Placed:
        placed = Placed()
        with deb.payload(packages[name].file, name) as members:
            for member in members:
                target.place(name, member, placed, is_wanted)
        return placed

    # The largest first: the last one to finish is then a small one.
    names = sorted(packages, key=lambda name: -packages[name].locked.size)
    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def _set_modes(root: Path, placed: Mapping[str, Placed]) -> None:
    """Give folders their modes: base-files knows best, then whoever comes first by name."""
    modes: dict[str, int] = {}
    for name in sorted(placed, key=lambda name: (name != "base-files", name)):
        for path, mode in placed[name].folders.items():
            modes.setdefault(path, mode)
    for path, mode in modes.items():
        if path and not (root / path).is_symlink():
            os.chmod(root / path, mode & 0o1777 | 0o700)


def _enter(root: Path, below: Sequence[Entry], store: Store, title: str, jobs: int) -> Layer:
    """Move a finished root's contents into the store, and return it as a layer."""
    normal.normalise(root)
    entries = normal.scan(root, store.objects.adopt, jobs)
    if below:
        seen = {entry.path: entry for entry in entries}
        entries = difference(stacked([below]), seen)
    digest, size = digest_and_size(entries, store.objects.pieces)
    return Layer(digest, size, title, entries)
