"""Fetch ``.deb`` files into a pool, through apt's transports and by the lock's hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from branchline.environment.lock.debian.apt import AptRoot
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.sources import Source, choose
from branchline.environment.lock.model import DebianPackage
from branchline.environment.lock.pool import Pool
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Unavailable

OFFERS = (
    "Bring the files from a store that has them ('environment export' and 'import'), fetch them "
    "from Debian's archive of snapshots by the path and SHA-256 in the lock, or take what the "
    "mirror has now with 'lock --upgrade'"
)
"""What can be done about a mirror that moved on."""

_AGAIN = "Try again with the network, or with a mirror that has it in apt's sources"
_BATCH = 200
_SHOWN = 3
_MISSING = re.compile(r"\b404\b|File not found|Failed to stat|No such file")
_SAFE = "/~+,:@"


def fetch_debs(
    packages: Sequence[DebianPackage], suite: str, machine: Machine, cache: Path, debs: Pool
) -> None:
    """Fetch packages; those that arrived stay in the pool even where others cannot be had.

    Args:
        packages: What to fetch.
        suite: The lock's suite.
        machine: How mirrors are reached, and which.
        cache: Where private roots of apt are kept.
        debs: Takes the files.

    Raises:
        NotFound: The mirror has moved on since the lock was made.
        Corrupt: The mirror has other bytes under a name, or sent a part of them.
        Unavailable: The mirror cannot be reached.
    """
    sources = choose(machine.sources, suite)
    root = AptRoot(cache, machine, sources)
    failed: dict[DebianPackage, BranchlineError] = {}
    with root.held(), debs.scratch() as folder:
        for start in range(0, len(packages), _BATCH):
            waiting: Iterable[DebianPackage] = packages[start : start + _BATCH]
            for mirror in range(_most_mirrors(sources)):
                wanted = _wanted(waiting, sources, mirror, folder)
                failed |= _download(wanted, root, debs)
                waiting = [package for package in wanted if package in failed]
                if not waiting:
                    break
    lacking = {
        package: failed.get(package) or _no_source(package)
        for package in packages
        if not debs.has(package.sha256)
    }
    if lacking:
        raise _told(lacking)


def _most_mirrors(sources: Sequence[Source]) -> int:
    suites = [source.suite for source in sources]
    return max(suites.count(suite) for suite in suites)


def _wanted(
    packages: Iterable[DebianPackage], sources: Sequence[Source], mirror: int, folder: Path
) -> Mapping[DebianPackage, tuple[str, str, Path]]:
    """Return what apt is to fetch for each package from its suite's mirror of a number."""
    found = {}
    for package in packages:
        mirrors = [source.uri for source in sources if source.suite == package.suite]
        if mirror < len(mirrors):
            # The transport named file only says where a file lies.
            root = re.sub(r"\Afile:", "copy:", mirrors[mirror])
            uri = root + quote(package.path, safe=_SAFE)
            found[package] = (uri, package.sha256, folder / f"{package.sha256}.deb")
    return found


def _download(
    wanted: Mapping[DebianPackage, tuple[str, str, Path]], root: AptRoot, debs: Pool
) -> dict[DebianPackage, BranchlineError]:
    said = root.download(tuple(wanted.values()))
    failed = {}
    for package, (uri, sha256, file) in wanted.items():
        if file.is_file():
            debs.adopt(file, sha256, package.size, _name(package))
        else:
            failed[package] = _why(package, uri, file.with_name(file.name + ".FAILED"), said)
    return failed


def _why(package: DebianPackage, uri: str, refused: Path, said: str) -> BranchlineError:
    if refused.is_file():
        size = refused.stat().st_size
        cut = f" (only {size} of {package.size} bytes came)" if size < package.size else ""
        return Corrupt(f"The mirror has other bytes than the lock for {_name(package)}{cut}")
    about = "\n".join(part for part in said.split("\nErr:") if uri in part)
    if _MISSING.search(about or said):
        return NotFound(f"The mirror no longer has {_name(package)}")
    return Unavailable(f"{_name(package)} cannot be fetched from the mirror")


def _no_source(package: DebianPackage) -> BranchlineError:
    return Unavailable(
        f"{_name(package)} is of {package.suite}, of which this machine's apt has no source"
    )


def _told(failed: Mapping[DebianPackage, BranchlineError]) -> BranchlineError:
    """Return one error for all: what cannot be had any more says most."""
    kinds = (Corrupt, NotFound, Unavailable)
    kind = next(kind for kind in kinds if any(isinstance(e, kind) for e in failed.values()))
    names = sorted(_name(package) for package, error in failed.items() if isinstance(error, kind))
    first = str(next(error.refused for error in failed.values() if isinstance(error, kind)))
    more = f", and the same goes for {', '.join(names[1:_SHOWN])}" if len(names) > 1 else ""
    more += f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    advice = OFFERS if kind is not Unavailable else _AGAIN
    return kind(first + more, advice=advice, detail={"absent": sorted(map(_name, failed))})


def _name(package: DebianPackage) -> str:
    return f"{package.name} {package.version}"
