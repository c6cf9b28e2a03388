"""The Debian security tracker's data: which version of which source mends which weakness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from branchline.environment.lock.audit.findings import Weakness
from branchline.environment.lock.debian.versions import is_older, without_rebuild
from branchline.environment.lock.model import DebianPackage, DebianPart, source_of
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused

MAX_TRACKER = 1 << 29
"""The most bytes the tracker's data may have; in 2026 they have some 70 million."""

_NOT_AFFECTED = "0"
_SUMMARY = 160


class _Release(msgspec.Struct, frozen=True):
    status: str
    fixed_version: str = ""
    urgency: str = ""


class _Issue(msgspec.Struct, frozen=True):
    releases: dict[str, _Release] = {}
    description: str = ""


Tracker: TypeAlias = dict[str, dict[str, _Issue]]
"""Issues by source package and identifier. What else the data say is passed over."""


def read_tracker(data: bytes) -> Tracker:
    """Read the tracker's JSON.

    Raises:
        Refused: Too large, or of another form.
    """
    if len(data) > MAX_TRACKER:
        raise Refused(f"The tracker's data have {len(data)} bytes; at most {MAX_TRACKER} are read")
    try:
        return decode_json(data, Tracker)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(
            f"This is not the Debian security tracker's data: {error}",
            advice="Take its JSON export, {source: {CVE: {releases: …}}}",
        ) from error


def known_to_tracker(part: DebianPart, tracker: Tracker) -> Iterable[Weakness]:
    """Yield the weaknesses of locked packages that the tracker knows and no locked version mends."""
    for (source, version), packages in _sources(part).items():
        for name, issue in tracker.get(source, {}).items():
            release = issue.releases.get(part.suite)
            if release is None or not _affects(release, version):
                continue
            fixed = release.fixed_version if release.status == "resolved" else ""
            yield Weakness(
                "debian",
                source,
                version,
                name,
                fixed,
                release.urgency,
                " ".join(issue.description.split())[:_SUMMARY],
                tuple(sorted(package.name for package in packages)),
            )


def _sources(part: DebianPart) -> Mapping[tuple[str, str], list[DebianPackage]]:
    found: dict[tuple[str, str], list[DebianPackage]] = defaultdict(list)
    for package in part.packages:
        version = package.source_version or without_rebuild(package.version)
        found[source_of(package), version].append(package)
    return found


def _affects(release: _Release, version: str) -> bool:
    """Tell whether a version is weak; where nobody knows, it is said to be."""
    if release.status == "resolved":
        fixed = release.fixed_version
        return fixed not in ("", _NOT_AFFECTED) and is_older(version, fixed)
    return True
