"""``apt.txt``: one Debian package a line."""

from __future__ import annotations

import re

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import lines_of, utf8

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
"""A package: ``name[:architecture][=version]``, always matched whole."""

_ADVICE = "Write one package a line: name, name:architecture or name=version"


def parse_apt(file: str, data: bytes) -> tuple[str, ...]:
    """Return the packages, sorted, each once.

    Raises:
        SpecRefused: A line that is anything else than one package and a comment; an option or a
            shell's sign above all.
    """
    packages = set()
    for number, line in enumerate(lines_of(file, utf8(file, data)), 1):
        package = line.partition("#")[0].strip()
        if not package:
            continue
        if not PACKAGE.fullmatch(package):
            raise SpecRefused(
                file,
                f"says {shown(package)}, which is not a Debian package",
                line=number,
                reason="not a Debian package",
                advice=_ADVICE,
            )
        packages.add(package)
    return tuple(sorted(packages))
