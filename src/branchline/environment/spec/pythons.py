"""The Python versions of repo2docker 2026.4.0, and how it chooses one."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from branchline.environment.spec.refusal import SpecRefused, shown

REPO2DOCKER = "2026.4.0"
"""The version of repo2docker whose rules these are."""

DEFAULT = "3.10"
"""Taken where nobody asks for a version; repo2docker announces that it will change."""

MAJORS = {"2": "2.7", "3": DEFAULT}
"""What a bare major version stands for."""

KNOWN = ("2.7", *(f"3.{minor}" for minor in range(5, 15)))
"""The versions repo2docker has a base for, on amd64."""

CHOICE = tuple(f"3.{minor}" for minor in range(8, 15))
"""Where the default is not allowed by ``requires-python``, the last of these that is."""

_ADVICE = f"Write a version of the form x.y, from {KNOWN[1]} to {KNOWN[-1]}"


def check_version(file: str, text: str) -> str:
    """Return a Python version that a file asks for as ``x.y``; a bare 2 or 3 stands for one.

    Raises:
        SpecRefused: Not of that form, or a version nobody has.
    """
    version = MAJORS.get(text, text)
    if version not in KNOWN:
        raise SpecRefused(
            file,
            f"asks for Python {shown(text)}, which repo2docker does not have",
            reason="unknown Python version",
            advice=_ADVICE,
        )
    return version


def cut_version(file: str, text: str) -> str:
    """As ``check_version``, of the first two numbers of a longer version."""
    return check_version(file, ".".join(text.split(".")[:2]))


def is_old(version: str) -> bool:
    """Tell whether a version is too old for the server, which then has a Python of its own."""
    major, minor = version.split(".")
    return (int(major), int(minor)) < (3, 7)


def choose(version: str, fixed: bool, requires: SpecifierSet) -> str:
    """Return the version that ``requires-python`` leaves.

    Args:
        version: What ``runtime.txt`` says, or the default.
        fixed: Whether a person chose it.
        requires: From ``pyproject.toml``.

    Raises:
        SpecRefused: None is left.
    """
    if version in requires:
        return version
    if fixed:
        raise SpecRefused(
            "pyproject.toml",
            f"requires Python {shown(str(requires))}, but runtime.txt asks for {version}",
            reason="conflicting Python versions",
            advice="Change one of the two",
        )
    allowed = list(requires.filter(CHOICE))
    if not allowed:
        raise SpecRefused(
            "pyproject.toml",
            f"requires Python {shown(str(requires))}, which none of {', '.join(CHOICE)} meets",
            reason="unknown Python version",
        )
    return allowed[-1]


def specifiers(text: object) -> SpecifierSet:
    """Read ``requires-python``.

    Raises:
        SpecRefused: It is not a set of version specifiers (PEP 440).
    """
    try:
        if isinstance(text, str):
            return SpecifierSet(text)
    except InvalidSpecifier:
        pass
    raise SpecRefused(
        "pyproject.toml",
        f"has requires-python = {shown(str(text))}, which is not a set of version specifiers",
        reason="malformed pyproject.toml",
        advice="Write for example '>=3.11'",
    )
