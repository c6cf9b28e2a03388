"""Python advisories in the Open Source Vulnerability format (OSV schema 1.x)."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from branchline.environment.lock.audit.findings import Weakness
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused
from branchline.foundation.zips import DAMAGED_ZIP

_ECOSYSTEM = "PyPI"
_LONGEST = 1 << 24
_MOST = 1 << 20
_SUMMARY = 160


class _Package(msgspec.Struct, frozen=True):
    ecosystem: str = ""
    name: str = ""


class _Event(msgspec.Struct, frozen=True):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


class _Range(msgspec.Struct, frozen=True):
    type: str
    events: tuple[_Event, ...] = ()


class _Affected(msgspec.Struct, frozen=True):
    package: _Package = _Package()
    ranges: tuple[_Range, ...] = ()
    versions: tuple[str, ...] = ()


class Advisory(msgspec.Struct, frozen=True):
    """One advisory; what else it says is passed over."""

    id: str
    summary: str = ""
    details: str = ""
    aliases: tuple[str, ...] = ()
    withdrawn: str | None = None
    affected: tuple[_Affected, ...] = ()


def read_advisories(place: Path) -> Iterator[Advisory]:
    """Read a folder of advisories, an archive (zip) of them, or one file with one or a list.

    Raises:
        Refused: Something there is no advisory; the sentence names it.
    """
    if place.is_dir():
        for file in sorted(place.rglob("*.json")):
            yield from _parse(file.read_bytes(), str(file))
        return
    data = place.read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        for name, text in _members(data, str(place)):
            yield from _parse(text, name)
    else:
        yield from _parse(data, str(place))


def known_to_advisories(
    versions: Mapping[str, str], advisories: Iterable[Advisory]
) -> Iterator[Weakness]:
    """Yield the weaknesses that advisories name of locked distributions, given by their versions."""
    found: dict[tuple[str, str], list[Weakness]] = defaultdict(list)
    for advisory in advisories:
        if advisory.withdrawn:
            continue
        for affected in advisory.affected:
            name = canonicalize_name(affected.package.name)
            if name not in versions or affected.package.ecosystem != _ECOSYSTEM:
                continue
            fixes = _fixes(affected, versions[name])
            if fixes is not None:
                found[name, advisory.id].append(_weakness(advisory, name, versions[name], fixes))
    for same in found.values():
        # An advisory may name a package more than once: one entry for each line of versions.
        yield max(same, key=lambda weakness: weakness.fixed)


def _members(data: bytes, what: str) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist()[:_MOST]:
                if member.filename.endswith(".json") and member.file_size <= _LONGEST:
                    yield member.filename, archive.read(member)
    except DAMAGED_ZIP as error:
        raise Refused(f"{what} is a damaged zip: {error}", advice="Fetch it again") from error


def _parse(data: bytes, what: str) -> Iterator[Advisory]:
    try:
        if data.lstrip()[:1] == b"[":
            yield from decode_json(data, tuple[Advisory, ...])
        else:
            yield decode_json(data, Advisory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{what} is not an advisory in the OSV format: {error}") from error


def _weakness(advisory: Advisory, name: str, version: str, fixed: str) -> Weakness:
    said = advisory.summary or advisory.details.strip().partition("\n")[0]
    return Weakness(
        "python",
        name,
        version,
        advisory.id,
        fixed,
        summary=" ".join(said.split())[:_SUMMARY],
        aliases=tuple(sorted(advisory.aliases)),
    )


def _fixes(affected: _Affected, version: str) -> str | None:
    """Return the version that mends a weak version, empty where none does; None if it is not weak.

    OSV schema, "affected[].ranges[].events": a version is weak from ``introduced`` on, up to
    ``fixed`` or with ``last_affected``.
    """
    at = Version(version)
    for one in affected.ranges:
        if one.type == "ECOSYSTEM":
            weak, fixed = _within(one.events, at)
            if weak:
                return fixed
    if any(_version(listed) == at for listed in affected.versions):
        later = (e.fixed for one in affected.ranges for e in one.events if e.fixed)
        return min((text for text in later if _after(text, at)), key=Version, default="")
    return None


def _within(events: Iterable[_Event], at: Version) -> tuple[bool, str]:
    weak, fixed = False, ""
    marks = [
        (_version(event.introduced or event.fixed or event.last_affected), event)
        for event in events
    ]
    for mark, event in sorted(
        ((mark, event) for mark, event in marks if mark is not None), key=lambda pair: pair[0]
    ):
        if event.introduced is not None and mark <= at:
            weak, fixed = True, ""
        elif event.last_affected is not None and mark < at:
            weak = False
        elif event.fixed is not None:
            if mark <= at:
                weak = False
            elif weak and not fixed:
                fixed = event.fixed
    return weak, fixed


def _version(text: str | None) -> Version | None:
    try:
        return Version(text or "0")
    except InvalidVersion:
        return None


def _after(text: str, at: Version) -> bool:
    found = _version(text)
    return found is not None and found > at
