"""Lock the Debian packages of an environment."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from branchline.environment.lock.debian.apt import AptRoot, Chosen, Listed
from branchline.environment.lock.debian.deb822 import Stanza, stanza
from branchline.environment.lock.debian.keyring import signers
from branchline.environment.lock.debian.machine import Machine
from branchline.environment.lock.debian.requested import Request, parse_requests, settle
from branchline.environment.lock.debian.sources import choose
from branchline.environment.lock.model import (
    DebianPackage,
    DebianPart,
    Part,
    Release,
    Sha256,
)
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.suites import BASE_PACKAGES, Suite
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Corrupt, Refused, Unavailable

_SOURCE = re.compile(r"(?P<name>\S+)(?: \((?P<version>\S+)\))?")
_SIGNED = re.compile(r"\A-----BEGIN PGP SIGNED MESSAGE-----\n.*?\n\n(.*?)\n-----BEGIN", re.DOTALL)
_DPKG_SECONDS = 30


@dataclass(frozen=True)
class LockedDebian:
    """Debian's part of a lock, the texts of its release files by SHA-256, and what to tell."""

    part: DebianPart
    evidence: Mapping[Sha256, bytes]
    notes: tuple[str, ...] = ()


def lock_debian(
    requests: Iterable[str],
    suite: Suite,
    machine: Machine,
    cache: Path,
    debs: Pool,
    *,
    offline: bool = False,
    keep: DebianPart | None = None,
    free: Container[str] = (),
) -> LockedDebian:
    """Choose exact packages for what is asked for, and everything they need.

    Args:
        requests: Each ``name[:architecture][=version]``.
        suite: The Debian suite.
        machine: This machine's apt.
        cache: Where private roots of apt are kept between calls.
        debs: Where packages may be that mirrors no longer have.
        offline: Use the package lists at hand.
        keep: The earlier lock's part, whose versions go before others.
        free: Names of packages of which that does not hold.

    Raises:
        Refused: Something asked for does not exist, or not together with the rest.
        Corrupt: A mirror's lists are not signed as they must be, or differ from what was locked.
        Unavailable: A mirror cannot be reached.
    """
    wanted = parse_requests(requests, machine.architecture)
    root = AptRoot(cache, machine, choose(machine.sources, suite.name))
    with root.held():
        if not offline:
            root.update()
        return _Locking(root, root.lists(), suite, machine, debs, wanted).lock(keep, free)


class _Locking:
    """One resolution: the lists as they are now, and what is asked of them."""

    def __init__(
        self,
        root: AptRoot,
        lists: Sequence[Listed],
        suite: Suite,
        machine: Machine,
        debs: Pool,
        wanted: Sequence[Request],
    ) -> None:
        self._root, self._lists, self._suite = root, lists, suite
        self._machine, self._debs = machine, debs
        self._indexes = [listed.index() for listed in lists]
        self._wanted, notes = settle(wanted, self._indexes, suite.name)
        self._notes = list(notes)
        if not any(listed.source.suite.endswith("-security") for listed in lists):
            self._notes.append(
                f"This machine's apt has no source of security updates of {suite.name}: none are in "
                "the lock"
            )
        if not machine.checks_dates:
            self._notes.append(
                "This machine's apt is set not to look at the dates of release files: an old "
                "mirror would not be noticed"
            )

    def lock(self, keep: DebianPart | None, free: Container[str]) -> LockedDebian:
        fixed = {request.name for request in self._wanted if request.version}
        before = keep.packages if keep else ()
        kept = {p.name: p for p in before if p.name not in fixed and p.name not in free}
        gone = self._gone(kept)
        try:
            chosen = self._solve({n: p.version for n, p in kept.items()}, self._offer(gone))
        except Refused:
            if not kept:
                raise
            gone = {}
            chosen = self._solve({}, None)
            self._notes.append("Not all locked versions could stay with what is asked for now")
        releases, evidence = self._releases()
        packages = self._packages(chosen, gone)
        gone_suites = {gone[p.name].suite for p in packages if gone.get(p.name) is not None}
        older = [r for r in (keep.releases if keep else ()) if r.suite in gone_suites]
        part = DebianPart(
            suite=self._suite.name,
            architecture=self._machine.architecture,
            releases=tuple({r.inrelease_sha256: r for r in (*older, *releases)}.values()),
            packages=packages,
        )
        return LockedDebian(part, evidence, tuple(self._notes))

    def _gone(self, kept: Mapping[str, DebianPackage]) -> dict[str, DebianPackage]:
        """Return the kept packages that the lists no longer have, if the store has them."""
        found = self._find(kept)
        gone = {}
        for name, package in kept.items():
            same = [s for s in found.get(name, []) if s[1]["version"] == package.version]
            if same and all(s[1].get("sha256") != package.sha256 for s in same):
                raise Corrupt(
                    f"The mirror has other bytes under {name} {package.version} than the lock",
                    advice=f"Use another mirror, or 'lock --upgrade {name}' if that is expected",
                )
            if not same and self._debs.has(package.sha256):
                gone[name] = package
        return gone

    def _offer(self, gone: Mapping[str, DebianPackage]) -> Path | None:
        """Write an index of packages that are in the store and no longer at the mirror."""
        if not gone:
            return None
        index = self._root.folder / "kept" / "Packages"
        index.parent.mkdir(exist_ok=True)
        texts = [
            f"{_control(self._debs.verified(p.sha256, p.size, p.name))}Filename: {_file_of(p)}\nSize: {p.size}\n"
            f"SHA256: {p.sha256}\n"
            for p in gone.values()
        ]
        write_durably(index, "\n".join(texts).encode())
        return index

    def _solve(self, pins: Mapping[str, str], more: Path | None) -> dict[Chosen, Part]:
        """Return every package with its part; the base is chosen by itself, then held."""
        names = {name for index in self._indexes for name in index.essential()}
        base = self._root.solve(sorted(names.union(BASE_PACKAGES, self._suite.base)), pins, more)
        at_base = {package.name: package.version for package in base}
        for request in self._wanted:
            version = at_base.get(request.name)
            if request.version and version and request.version != version:
                raise Refused(
                    f"{request.name} belongs to the base of every {self._suite.name} image, in "
                    f"version {version}, not {request.version}",
                    advice=f"Leave out the version of {request.name}",
                )
        chosen: dict[Chosen, Part] = dict.fromkeys(base, "base")
        extra = [request.word for request in self._wanted if request.name not in at_base]
        if extra:
            fixed = [f"{name}={version}" for name, version in at_base.items()]
            for package in self._root.solve([*fixed, *extra], pins, more):
                chosen.setdefault(package, "extra")
        return chosen

    def _packages(
        self, chosen: Mapping[Chosen, Part], gone: Mapping[str, DebianPackage]
    ) -> tuple[DebianPackage, ...]:
        found = self._find(package.name for package in chosen)
        names = {request.name for request in self._wanted}
        packages = []
        for package, part in chosen.items():
            requested = package.name in names
            stanzas = [s for s in found.get(package.name, []) if _is(s[1], package)]
            old = gone.get(package.name)
            if stanzas:
                packages.append(_locked(*stanzas[-1], part, requested))
            elif old is not None and old.version == package.version:
                packages.append(_renewed(old, part, requested))
            else:
                raise Corrupt(f"apt chose {package.name} {package.version}, which no list has")
        return tuple(sorted(packages, key=lambda p: (p.name, p.architecture)))

    def _find(self, names: Iterable[str]) -> dict[str, list[tuple[str, Stanza]]]:
        """Return (suite, stanza) by name; what the security suite has comes last."""
        wanted = set(names)
        found: dict[str, list[tuple[str, Stanza]]] = {}
        for listed, index in zip(self._lists, self._indexes, strict=True):
            for name, stanzas in index.find(wanted).items():
                found.setdefault(name, []).extend((listed.source.suite, s) for s in stanzas)
        return found

    def _releases(self) -> tuple[tuple[Release, ...], dict[Sha256, bytes]]:
        releases, evidence = [], {}
        for listed in self._lists:
            text = listed.release.read_bytes()
            name = Sha256(sha256(text).hexdigest())
            evidence[name] = text
            releases.append(
                Release(
                    suite=listed.source.suite,
                    date=release_date(text, listed.source.suite),
                    inrelease_sha256=name,
                    signed_by=signers(listed.release, listed.source, self._machine.keyrings),
                )
            )
        return tuple(releases), evidence


def release_date(text: bytes, suite: str) -> datetime:
    """Return the ``Date`` of a signed release file.

    Raises:
        Corrupt: It has none.
    """
    try:
        signed = _SIGNED.match(text.decode())
        fields = stanza(signed[1] if signed else "", f"the release file of {suite}")
        return parsedate_to_datetime(fields["date"].replace("UTC", "+0000")).astimezone(UTC)
    except (KeyError, ValueError) as error:
        raise Corrupt(f"The release file of {suite} has no date") from error


def _is(stanza: Stanza, package: Chosen) -> bool:
    said = stanza["version"], stanza.get("architecture")
    return said == (package.version, package.architecture) and "sha256" in stanza


def _locked(suite: str, stanza: Stanza, part: Part, requested: bool) -> DebianPackage:
    source = _SOURCE.fullmatch(stanza.get("source", ""))
    name, version = (source["name"], source["version"]) if source else (None, None)
    return DebianPackage(
        name=stanza["package"],
        version=stanza["version"],
        architecture=stanza["architecture"],
        part=part,
        requested=requested,
        sha256=Sha256(stanza["sha256"]),
        size=int(stanza["size"]),
        path=stanza["filename"].removeprefix("./"),
        suite=suite,
        source=name if name != stanza["package"] else None,
        source_version=version if version != stanza["version"] else None,
    )


def _renewed(package: DebianPackage, part: Part, requested: bool) -> DebianPackage:
    return msgspec.structs.replace(package, part=part, requested=requested)


def _file_of(package: DebianPackage) -> str:
    """Return the name that apt gives to a package's file."""
    version = package.version.replace(":", "%3a")
    return f"{package.name}_{version}_{package.architecture}.deb"


def _control(deb: Path) -> str:
    try:
        done = subprocess.run(
            ["dpkg-deb", "--field", str(deb)],
            capture_output=True,
            text=True,
            timeout=_DPKG_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{deb.name} in the store cannot be read by dpkg-deb") from error
    return done.stdout
