"""``Project.toml``: which Julia, and which packages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.toml_values import read_toml, table

DEFAULT = "1.6"
"""The constraint where the file says none: any version 1 from 1.6 on."""

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
