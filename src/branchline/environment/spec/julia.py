"""``Project.toml``, ``Manifest.toml`` and ``REQUIRE``: which Julia, and which packages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import lines_of, utf8
from branchline.environment.spec.toml_values import read_toml, table

DEFAULT = "1.6"
"""The constraint where the file says none: any version 1 from 1.6 on."""

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BOUND = re.compile(r"v?[0-9][0-9A-Za-z.+-]*")
_CONSTRAINT = re.compile(r"(?:[\^~]\s*|>=|≥|<=|≤|==|!=|=|<|>)?[0-9]+(?:\.[0-9]+){0,2}")


@dataclass(frozen=True)
class JuliaProject:
    """What a Julia project asks for: the constraint on Julia itself, and packages' names."""

    julia: str = DEFAULT
    packages: tuple[str, ...] = ()


def parse_julia(file: str, data: bytes) -> JuliaProject:
    """Read a ``Project.toml``.

    Raises:
        SpecRefused: Not TOML, or a constraint on Julia that repo2docker cannot use.
    """
    value = read_toml(file, data)
    compat = value.get("compat")
    constraint = compat.get("julia", DEFAULT) if isinstance(compat, dict) else DEFAULT
    if not isinstance(constraint, str) or not _CONSTRAINT.fullmatch(constraint.strip()):
        raise SpecRefused(
            file,
            f"asks for Julia {shown(str(constraint))}, which is not one version with or without "
            "a sign of comparison",
            reason="malformed Project.toml",
            advice='Write for example julia = "1.10"',
        )
    packages = table(file, value, "deps")
    return JuliaProject(constraint.strip(), tuple(sorted(str(name) for name in packages)))


def parse_manifest(file: str, data: bytes) -> tuple[str, ...]:
    """Read a ``Manifest.toml``: all packages with their exact versions, as ``Plots 1.39.0``, sorted.

    Packages of Julia's own have no version there, and are named without one.

    Raises:
        SpecRefused: Not TOML, or not of the first or second form of a manifest.
    """
    value = read_toml(file, data)
    listed = table(file, value, "deps") if "manifest_format" in value else value
    found = []
    for name, entries in listed.items():
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise SpecRefused(
                file,
                f"says of {shown(str(name))} what no manifest of Julia's says",
                reason="malformed Manifest.toml",
                advice="Let Julia write it anew: Pkg.resolve()",
            )
        found += [f"{name} {each.get('version', '')}".strip() for each in entries]
    return tuple(sorted(found))


def parse_require(file: str, data: bytes) -> JuliaProject:
    """Read a ``REQUIRE``: a package a line, with bounds on its version; ``julia`` is Julia itself.

    Raises:
        SpecRefused: A line says something else.
    """
    julia, packages = "", set()
    for number, line in enumerate(lines_of(file, utf8(file, data)), 1):
        words = [word for word in line.partition("#")[0].split() if not word.startswith("@")]
        if not words:
            continue
        if not _PACKAGE.fullmatch(words[0]) or not all(map(_BOUND.fullmatch, words[1:])):
            raise SpecRefused(
                file,
                f"says {shown(line.strip())}, which is no package with bounds on its version",
                line=number,
                reason="malformed REQUIRE",
                advice="Write a Project.toml; Julia has not read REQUIRE since 0.7",
            )
        if words[0] == "julia":
            julia = " ".join(words[1:])
        else:
            packages.add(words[0])
    return JuliaProject(julia, tuple(sorted(packages)))
