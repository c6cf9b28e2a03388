"""What people ask of Debian by name, held against what its lists have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from branchline.environment.lock.debian.deb822 import Index, Stanza
from branchline.environment.lock.debian.versions import version_key
from branchline.foundation.errors import Refused

_PACKAGE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<architecture>[a-z0-9]+))?"
    r"(?:=(?P<version>[A-Za-z0-9.+:~-]+))?"
)
_ANY_ARCHITECTURE = ("all", "native")
_NEAR = 3
_FARTHEST = 4


@dataclass(frozen=True)
class Request:
    """One package asked for, perhaps in one version only."""

    name: str
    version: str | None = None

    @property
    def word(self) -> str:
        """The request as apt takes it."""
        return f"{self.name}={self.version}" if self.version else self.name


def parse_requests(texts: Iterable[str], architecture: str) -> tuple[Request, ...]:
    """Read requests of the form ``name[:architecture][=version]``.

    Raises:
        Refused: Another form, another architecture, or two versions of one package.
    """
    found: dict[str, Request] = {}
    for text in texts:
        match = _PACKAGE.fullmatch(text)
        if match is None:
            raise Refused(
                f"{text[:80]!r} is not a Debian package",
                advice="Write name, name:architecture or name=version",
            )
        if (match["architecture"] or architecture) not in (architecture, *_ANY_ARCHITECTURE):
            raise Refused(
                f"{text} asks for the architecture {match['architecture']}, and an environment "
                f"holds one: {architecture}",
                advice=f"Write {match['name']} alone",
            )
        request = Request(match["name"], match["version"])
        other = found.get(request.name, request)
        if None not in (other.version, request.version) and other != request:
            raise Refused(f"{request.name} is asked for in two versions: {other.word}, {text}")
        found[request.name] = request if request.version else other
    return tuple(found[name] for name in sorted(found))


def settle(
    requests: Sequence[Request], indexes: Sequence[Index], suite: str
) -> tuple[tuple[Request, ...], tuple[str, ...]]:
    """Return the requests with real packages in place of virtual ones, and sentences on that.

    Every name and version is looked up here, so that apt never gets one that it would read as a
    pattern or as a wish to remove something.

    Raises:
        Refused: A package or a version that the lists do not have.
    """
    found = _find(requests, indexes)
    settled, notes = [], []
    for request in requests:
        stanzas = found.get(request.name, [])
        if not stanzas:
            request, note = _provided(request, indexes, suite)
            notes.append(note)
        elif request.version and all(s["version"] != request.version for s in stanzas):
            versions = sorted({s["version"] for s in stanzas}, key=version_key, reverse=True)
            raise Refused(
                f"Debian's {suite} has {request.name} {', '.join(versions)}, not {request.version}",
                advice=f"Write {request.name} alone, or a version it has",
            )
        settled.append(request)
    return tuple(dict.fromkeys(settled)), tuple(notes)


def _find(requests: Sequence[Request], indexes: Sequence[Index]) -> Mapping[str, list[Stanza]]:
    found: dict[str, list[Stanza]] = {}
    for index in indexes:
        for name, stanzas in index.find(request.name for request in requests).items():
            found.setdefault(name, []).extend(stanzas)
    return found


def _provided(request: Request, indexes: Sequence[Index], suite: str) -> tuple[Request, str]:
    """Return the one package that provides a virtual one."""
    providers = sorted({name for index in indexes for name in index.providers(request.name)})
    if len(providers) == 1 and request.version is None:
        return Request(providers[0]), f"{request.name} is provided by {providers[0]}"
    if providers:
        more = ", …" if len(providers) > _NEAR else ""
        raise Refused(
            f"{request.name} is no package of Debian's {suite} itself but a name for any of "
            f"{', '.join(providers[:_NEAR])}{more}",
            advice="Name the one that is meant",
        )
    near = _near(request.name, {name for index in indexes for name in index.names()})
    raise Refused(
        f"Debian's {suite} has no package {request.name}",
        advice=f"Is one of these meant: {', '.join(near)}" if near else "Check the name",
        detail={"package": request.name, "near": near},
    )


def _near(name: str, names: Iterable[str]) -> list[str]:
    likely = [
        other
        for other in names
        if abs(len(other) - len(name)) <= _FARTHEST and (other[0] == name[0] or name in other)
    ]
    return difflib.get_close_matches(name, sorted(likely), _NEAR)
