"""Choose exact packages of conda's channels."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from branchline.environment.lock.conda.channels import address_of
from branchline.environment.lock.model import CondaPackage, CondaPart
from branchline.environment.lock.suites import Suite
from branchline.environment.spec.conda import parse_match_spec
from branchline.environment.spec.elsewhere import pypi_name
from branchline.foundation.decoding import convert
from branchline.foundation.errors import Corrupt, Refused, Unavailable

if TYPE_CHECKING:
    from rattler import Gateway, GenericVirtualPackage, RepoDataRecord

_PLATFORMS = {"amd64": "linux-64", "arm64": "linux-aarch64"}
_NOARCH = "noarch"
_KERNEL = "5.10"
"""The oldest Linux that images are run on; channels may ask for one."""
_PATIENCE_SECONDS = 300.0
_LONGEST = 1500


@dataclass(frozen=True)
class CondaWanted:
    """What is asked of conda's channels.

    Args:
        specs: Match specs a person wrote.
        more: Match specs nobody wrote: Python, and what a train's runner or a lab needs.
        channels: Where they are to come from, the first before the others.
    """

    specs: tuple[str, ...]
    more: tuple[str, ...]
    channels: tuple[str, ...]


def lock_conda(
    wanted: CondaWanted,
    suite: Suite,
    architecture: str,
    cache: Path,
    *,
    before: CondaPart | None = None,
    free: Collection[str] | None = (),
    offline: bool = False,
) -> CondaPart:
    """Choose exact packages for what is asked for, and everything they need.

    Args:
        wanted: What is asked for.
        suite: The Debian suite below, whose C library programs will find.
        architecture: As Debian calls it.
        cache: Where the channels' lists are kept.
        before: Packages that stay where they may.
        free: Names of those whose locked versions do not matter; None where that is all of them.
        offline: Use the lists at hand.

    Raises:
        Refused: There is no answer, or a package without a SHA-256 would be needed.
        Corrupt: A channel says what it must not.
        Unavailable: A channel cannot be reached.
    """
    platform = _PLATFORMS.get(architecture)
    if platform is None:
        raise Refused(
            f"Conda's packages are locked for {' and '.join(_PLATFORMS)}, not for {architecture}"
        )
    kept = {} if before is None or free is None else _kept(before, free)
    question = _Question(wanted, suite, platform, cache, kept, offline)
    # A thread of its own: whoever asks may have an event loop.
    with ThreadPoolExecutor(1) as beside:
        records = beside.submit(asyncio.run, question.answer()).result()
    asked = {parse_match_spec("", text).name for text in wanted.specs}
    found = (_locked(record, question.names, asked) for record in records)
    packages = tuple(sorted(found, key=lambda package: package.name))
    return CondaPart(rattler=version("py-rattler"), packages=packages)


def of_python(part: CondaPart) -> dict[str, str]:
    """Return the versions of Python's distributions among conda's packages, by PyPI's names."""
    found: dict[str, str] = {}
    for package in part.packages:
        if package.python:
            name = canonicalize_name(pypi_name(package.name) or package.name)
            try:
                found[name] = str(Version(package.version))
            except InvalidVersion:
                continue
    return found


def _kept(before: CondaPart, free: Collection[str]) -> dict[str, str]:
    return {p.name: p.sha256 for p in before.packages if p.name not in free}


class _Question:
    """One question to the channels."""

    def __init__(
        self,
        wanted: CondaWanted,
        suite: Suite,
        platform: str,
        cache: Path,
        kept: Mapping[str, str],
        offline: bool,
    ) -> None:
        self._wanted, self._suite, self._platform = wanted, suite, platform
        self._cache, self._kept, self._offline = cache, kept, offline
        self.names = {address_of(name): name for name in wanted.channels}

    async def answer(self) -> list[RepoDataRecord]:
        """Return the chosen packages' records."""
        from rattler import Channel, Gateway, solve
        from rattler.exceptions import InvalidMatchSpecError, SolverError
        from rattler.repo_data.gateway import SourceConfig

        action = "force-cache-only" if self._offline else "cache-or-fetch"
        self._cache.mkdir(parents=True, exist_ok=True)
        gateway = Gateway(self._cache, SourceConfig(cache_action=action))  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                earlier = await self._reach(gateway)
                return await solve(
                    [Channel(address) for address in self.names],
                    [*self._wanted.specs, *self._wanted.more],
                    gateway,
                    [self._platform, _NOARCH],  # type: ignore[list-item]
                    locked_packages=earlier,
                    virtual_packages=self._virtual(),
                )
        except SolverError as error:
            raise Refused(
                f"Conda's channels ({self._channels}) have no packages that fit together for what "
                f"is asked for: {_said(error)}",
                advice="Change the versions or channels in environment.yml",
            ) from error
        except InvalidMatchSpecError as error:
            raise Refused(f"conda reads a dependency otherwise: {_said(error)}") from error
        except TimeoutError as error:
            raise Unavailable(f"Conda's channels ({self._channels}) take too long") from error

    async def _reach(self, gateway: Gateway) -> list[RepoDataRecord]:
        """Ask each channel by itself, so that one that cannot be reached is named.

        Returns:
            The records of earlier packages that stay.
        """
        from rattler import Channel
        from rattler.exceptions import FetchRepoDataError, GatewayError

        platforms = [self._platform, _NOARCH]
        found: list[RepoDataRecord] = []
        for address, name in self.names.items():
            try:
                listed = await gateway.query(
                    [Channel(address)],
                    platforms,  # type: ignore[arg-type]
                    list(self._kept) or ["python"],
                    recursive=False,
                )
            except (GatewayError, FetchRepoDataError) as error:
                why = "its list is not at hand" if self._offline else "it cannot be reached"
                raise Unavailable(
                    f"The conda channel {name} is needed, and {why}: {_said(error)}",
                    advice="Try again where it can be reached, or name another in environment.yml",
                ) from error
            every = (record for records in listed for record in records)
            found += [r for r in every if r.sha256 and r.sha256.hex() in self._kept.values()]
        return found

    def _virtual(self) -> list[GenericVirtualPackage]:
        """Return what conda asks of a machine: as images have it, not as this machine does."""
        from rattler import GenericVirtualPackage, PackageName
        from rattler import Version as CondaVersion
        from rattler.package.build_string import BuildString

        glibc = ".".join(map(str, self._suite.glibc))
        said = (
            ("__unix", "0", "0"),
            ("__linux", _KERNEL, "0"),
            ("__glibc", glibc, "0"),
            ("__archspec", "1", "x86_64" if self._platform == "linux-64" else "aarch64"),
        )
        return [
            GenericVirtualPackage(PackageName(name), CondaVersion(number), BuildString(build))
            for name, number, build in said
        ]

    @property
    def _channels(self) -> str:
        return ", ".join(self._wanted.channels)


def _locked(
    record: RepoDataRecord, channels: Mapping[str, str], asked: Collection[str]
) -> CondaPackage:
    name = record.name.normalized
    if record.sha256 is None or record.size is None:
        raise Refused(f"Conda's package {name} has no SHA-256 or size in its channel")
    address = str(record.channel).rstrip("/") + "/"
    needs = {text.split()[0].partition("[")[0] for text in record.depends}
    said = {
        "name": name,
        "version": str(record.version),
        "build": str(record.build),
        "channel": channels.get(address, address),
        "subdir": record.subdir,
        "file": record.file_name,
        "sha256": record.sha256.hex(),
        "size": record.size,
        "licence": (record.license or "")[:200],
        "python": "python" in needs,
        "requested": name in asked,
    }
    try:
        return convert(said, CondaPackage)
    except msgspec.ValidationError as error:
        raise Corrupt(f"The channel of conda's package {name[:80]} says: {error}") from error


def _said(error: Exception) -> str:
    """Return an error's words on one line, without anybody's password."""
    from branchline.environment.spec.refusal import without_secrets

    words = " ".join(without_secrets(word) for word in str(error).split())
    return words[:_LONGEST]
