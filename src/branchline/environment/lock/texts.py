"""What packages in the store say of themselves, as far as the list of parts wants to know."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from branchline.environment.lock.fetch import Pools
from branchline.environment.lock.model import DebianPackage, Lock, Wheel
from branchline.environment.lock.sbom import Texts
from branchline.foundation.errors import Corrupt
from branchline.foundation.zips import DAMAGED_ZIP

_LONGEST = 4 << 20
_DOCS = "usr/share/doc/"


def texts_of(lock: Lock, store: Pools) -> Texts:
    """Read copyright files and METADATA of what a lock names; of what the store lacks, nothing.

    Raises:
        Corrupt: A package in the store cannot be read.
    """
    debs = [package for package in lock.debian.packages if store.debs.has(package.sha256)]
    wheels = [w for w in (lock.python.wheels if lock.python else ()) if store.wheels.has(w.sha256)]
    with ThreadPoolExecutor() as threads:
        read = threads.map(lambda p: _copyright(p, store.debs.path(p.sha256)), debs)
        found = dict(zip((package.name for package in debs), read, strict=True))
    metadata = {wheel.name: _metadata(wheel, store.wheels.path(wheel.sha256)) for wheel in wheels}
    return Texts(linked(found), metadata)


def linked(found: Mapping[str, str | Path]) -> dict[str, str]:
    """Return copyright files by package; a path stands for a link to another's documentation."""
    texts = {name: said for name, said in found.items() if isinstance(said, str)}
    for name, said in found.items():
        if isinstance(said, Path):
            texts[name] = texts.get(said.name, "")
    return texts


def _copyright(package: DebianPackage, deb: Path) -> str | Path:
    """Return a package's copyright file, or where its folder of documentation points to."""
    own = f"{_DOCS}{package.name}"
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./").rstrip("/")
                if name == own and member.issym():
                    return Path(member.linkname)
                if name == f"{own}/copyright" and member.isfile():
                    file = archive.extractfile(member)
                    return file.read(_LONGEST).decode("utf-8", "replace") if file else ""
        return ""
    except tarfile.TarError as error:
        raise Corrupt(f"{package.name} {package.version} in the store cannot be read") from error
    finally:
        process.kill()
        process.communicate()


def _metadata(wheel: Wheel, file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            with archive.open(name) as member:
                return member.read(_LONGEST).decode("utf-8", "replace")
    except (*DAMAGED_ZIP, StopIteration) as error:
        raise Corrupt(f"{wheel.file} in the store cannot be read") from error
