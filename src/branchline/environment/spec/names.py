"""The names of spec files, and where they count."""

from __future__ import annotations

FOLDERS = ("binder", ".binder")
"""Folders that, where one is there, hold all spec files; the root's are then ignored."""

ROOT_ONLY = ("DESCRIPTION", "pyproject.toml", "setup.py")
"""Files that count in the root alone, and only where there is no such folder."""

NAMES = (
    "Dockerfile",
    "JuliaProject.toml",
    "Pipfile",
    "Pipfile.lock",
    "Project.toml",
    "REQUIRE",
    "apt.txt",
    "default.nix",
    "environment.yaml",
    "environment.yml",
    "install.R",
    "postBuild",
    "requirements.txt",
    "requirements3.txt",
    "runtime.txt",
    "start",
    *ROOT_ONLY,
)
"""Every spec file's name."""

SPELLINGS = {name.lower(): name for name in NAMES}
"""The names by their lower-case form, for telling people of a misspelt one."""

ALL = frozenset(NAMES)
"""The same as a set."""


def is_spec_file(path: str) -> bool:
    """Tell whether a path has a spec file's name, wherever it lies."""
    return path.rpartition("/")[2] in ALL
