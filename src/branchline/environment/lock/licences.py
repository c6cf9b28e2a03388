"""Which licences packages say they are under: read from Debian's copyright files and METADATA."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_string

from branchline.environment.lock.debian.deb822 import stanzas
from branchline.foundation.errors import Corrupt

_LONGEST = 100
_EXPRESSION = re.compile(r"[A-Za-z0-9(][A-Za-z0-9.+() -]{0,499}")
_GNU = {
    f"{name}-{number}{sign}": f"{name}-{version}-{words}"
    for name, numbers in (
        ("GPL", {"1": "1.0", "2": "2.0", "2.0": "2.0", "3": "3.0", "3.0": "3.0"}),
        ("LGPL", {"2": "2.0", "2.0": "2.0", "2.1": "2.1", "3": "3.0", "3.0": "3.0"}),
        ("AGPL", {"3": "3.0", "3.0": "3.0"}),
        ("GFDL", {"1.1": "1.1", "1.2": "1.2", "1.3": "1.3"}),
    )
    for number, version in numbers.items()
    for sign, words in (("", "only"), ("+", "or-later"))
}
_SPDX = _GNU | {
    "Apache-2.0": "Apache-2.0",
    "Artistic": "Artistic-1.0-Perl",
    "Artistic-2": "Artistic-2.0",
    "Artistic-2.0": "Artistic-2.0",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause",
    "BSL-1.0": "BSL-1.0",
    "CC0-1.0": "CC0-1.0",
    "CC0": "CC0-1.0",
    "Expat": "MIT",
    "ISC": "ISC",
    "MIT": "MIT",
    "MPL-1.1": "MPL-1.1",
    "MPL-2.0": "MPL-2.0",
    "OpenSSL": "OpenSSL",
    "PSF-2": "PSF-2.0",
    "Sleepycat": "Sleepycat",
    "Unicode": "Unicode-TOU",
    "Unlicense": "Unlicense",
    "Zlib": "Zlib",
    "zlib": "Zlib",
}
"""Debian's short names of licences, and SPDX's."""


@dataclass(frozen=True, order=True)
class Licence:
    """One licence: an SPDX identifier where there surely is one, else a name, or an expression."""

    id: str = ""
    name: str = ""
    expression: str = ""


def debian_licences(text: str) -> tuple[Licence, ...]:
    """Return the licences of a machine-readable copyright file (DEP 5); none of any other."""
    found = set()
    try:
        for number, stanza in enumerate(stanzas(text, "a copyright file")):
            if number == 0 and "format" not in stanza and "format-specification" not in stanza:
                return ()
            found.add(" ".join(stanza.get("license", "").partition("\n")[0].split()))
    except Corrupt:
        return ()
    return _sorted(_licence(name) for name in found if name)


def python_licences(metadata: str) -> tuple[Licence, ...]:
    """Return the licences of a wheel's METADATA (Core metadata: License-Expression first)."""
    fields = message_from_string(metadata.partition("\n\n")[0] + "\n\n")
    expression = fields.get("License-Expression", "").strip()
    if _EXPRESSION.fullmatch(expression):
        return (Licence(expression=expression),)
    names = [
        value.rpartition("::")[2].strip()
        for value in fields.get_all("Classifier", [])
        if value.startswith("License ::")
    ]
    said = fields.get("License", "").strip()
    if said and "\n" not in said and len(said) <= _LONGEST:
        return (_licence(said),)
    return _sorted(Licence(name=name) for name in names if name)


def conda_licences(said: str) -> tuple[Licence, ...]:
    """Return what a channel says of a package's licence: an SPDX expression, as its rules ask."""
    if not said:
        return ()
    if said in _SPDX.values():
        return (Licence(id=said),)
    joined = any(f" {word} " in said for word in ("AND", "OR", "WITH"))
    if joined and _EXPRESSION.fullmatch(said):
        return (Licence(expression=said),)
    return (_licence(said),)


def _licence(name: str) -> Licence:
    known = _SPDX.get(name)
    return Licence(id=known) if known else Licence(name=name[:_LONGEST])


def _sorted(licences: Iterable[Licence]) -> tuple[Licence, ...]:
    return tuple(sorted(set(licences)))
