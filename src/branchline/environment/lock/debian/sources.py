"""Where this machine's own apt takes Debian from: its lists of sources, read and chosen from.

Only Debian's own suites count: the suite itself, its updates and its security updates, component
``main``. Whatever else a machine has (other vendors, backports) stays out of locks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from branchline.environment.lock.debian.deb822 import stanzas
from branchline.foundation.errors import Refused

COMPONENT = "main"
KINDS = ("", "-updates", "-security")
"""What is added to a suite's name for the suites that belong to it."""

_CODENAMES = (
    *("bookworm", "trixie", "bullseye", "forky", "duke", "buster"),
    *("stable", "oldstable", "testing"),
)
"""Debian's suites, whose sources can stand for one another's once the name is replaced."""

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)")
_DEBIANS_KEYRING = re.compile(r"(?:\S*/)?debian-archive-[^/\s]*")
_NO = frozenset(("no", "false", "without", "off", "disable"))
_YES = frozenset(("yes", "true", "with", "on", "enable"))


@dataclass(frozen=True)
class Source:
    """One suite at one mirror.

    Args:
        uri: The mirror's root, ending in a slash.
        suite: The suite's name.
        signed_by: What ``Signed-By`` says: keyrings, fingerprints, or a key's own text; empty
            where the machine's trusted keys count.
    """

    uri: str
    suite: str
    signed_by: str = ""


def parse_list(text: str, architecture: str) -> Iterator[Source]:
    """Read one-line sources (sources.list(5), ONE-LINE-STYLE FORMAT); the rest is passed over."""
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if not match:
            continue
        options = dict(_option(word) for word in (match["options"] or "").split())
        try:
            uri, suite, *components = shlex.split(match["rest"])
        except ValueError:
            continue
        if _counts(options, components, options.get("arch", ""), architecture):
            yield Source(_slash(uri), suite, options.get("signed-by", "").replace(",", " "))


def parse_sources(text: str, what: str, architecture: str) -> Iterator[Source]:
    """Read sources in stanzas (sources.list(5), DEB822-STYLE FORMAT).

    Raises:
        Corrupt: Not of that format.
    """
    for stanza in stanzas(text, what):
        components = stanza.get("components", "").split()
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "").lower() in _NO:
            continue
        if not _counts(stanza, components, stanza.get("architectures", ""), architecture):
            continue
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield Source(_slash(uri), suite, stanza.get("signed-by", "").strip())


def choose(sources: Iterable[Source], suite: str) -> tuple[Source, ...]:
    """Return the sources of a suite, of its updates and of its security updates.

    Sources that Debian's own archive keys sign go before others, which count only where there
    are none of those: then they are a mirror under the keys of whoever runs it. A machine that has
    no source for the suite, but for another suite of Debian, has the same mirrors asked for it.

    Raises:
        Refused: Nothing here is a mirror of Debian.
    """
    every = tuple(dict.fromkeys(sources))
    for name in (suite, *(other for other in _CODENAMES if other != suite)):
        found = [
            replace(source, suite=suite + kind)
            for kind in KINDS
            for source in every
            if source.suite == name + kind
        ]
        if any(source.suite == suite for source in found):
            debians = [source for source in found if _is_debians(source)]
            return tuple(debians or found)
    raise Refused(
        f"This machine's apt knows no mirror of Debian, so nothing of {suite} can be resolved",
        advice="Add Debian's sources to apt's configuration, or lock on a machine that has them",
    )


def _counts(
    options: Mapping[str, str], components: list[str], architectures: str, architecture: str
) -> bool:
    """Tell whether an entry is signed, has the component, and is for this architecture."""
    wanted = architectures.replace(",", " ").split()
    is_signed = options.get("trusted", "").lower() not in _YES
    return COMPONENT in components and is_signed and (not wanted or architecture in wanted)


def _option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name.rstrip("+-").lower(), value


def _is_debians(source: Source) -> bool:
    return all(_DEBIANS_KEYRING.fullmatch(word) for word in source.signed_by.split())


def _slash(uri: str) -> str:
    return uri if uri.endswith("/") else uri + "/"
