"""``pyproject.toml``: is the folder a Python package, which Python does it need, and what else."""

from __future__ import annotations

from typing import Any, NamedTuple

from branchline.environment.spec.pep508 import NoRequirement, read_requirement
from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.toml_values import read_toml, table

FILE = "pyproject.toml"
"""It counts in the root alone."""


class PyProject(NamedTuple):
    """What a ``pyproject.toml`` says.

    Args:
        is_package: Whether repo2docker installs the folder: it has [project] and [build-system].
        requires_python: What stands there, unchecked: it does not always count. None if nothing.
        dependencies: What [project] depends on, in one spelling; direct URLs are not among them.
        dynamic: Whether a build would have to be run to know the dependencies, or a URL followed.
    """

    is_package: bool = False
    requires_python: object = None
    dependencies: tuple[str, ...] = ()
    dynamic: bool = False


def parse_pyproject(data: bytes) -> PyProject:
    """Read a ``pyproject.toml``.

    Raises:
        SpecRefused: Not TOML, or [project] is not of its form (PEP 621) as far as it is read.
    """
    value = read_toml(FILE, data)
    project = table(FILE, value, "project")
    is_package = "project" in value and "build-system" in value
    requires = project.get("requires-python")
    dependencies, urls = _dependencies(project)
    dynamic = urls or "dependencies" in _texts(project, "dynamic")
    return PyProject(is_package, requires, dependencies, dynamic)


def _dependencies(project: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    lines, urls = [], False
    for text in _texts(project, "dependencies"):
        try:
            line, url = read_requirement(text)
        except NoRequirement as error:
            raise SpecRefused(
                FILE,
                f"depends on {shown(text)}, which {error}",
                reason="not a requirement",
                advice="Write it as in 'numpy>=1.26' (PEP 508)",
            ) from None
        if url:
            urls = True
        else:
            lines.append(line)
    return tuple(lines), urls


def _texts(project: dict[str, Any], key: str) -> list[str]:
    value = project.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SpecRefused(
            FILE,
            f"has {key} that are not a list of texts",
            reason="malformed pyproject.toml",
            advice="See PEP 621",
        )
    return [str(item) for item in value]
