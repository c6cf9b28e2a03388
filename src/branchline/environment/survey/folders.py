"""Folders of repositories: each folder that holds spec files is one environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from branchline.environment.spec.names import FOLDERS, is_spec_file

MAX_DEPTH = 4
"""How deep repositories may lie below the folder that is given."""


def repositories(folder: Path) -> Iterator[Path]:
    """Yield the folders with spec files, at or below a folder; none lies within another.

    Symbolic links are not followed.
    """
    yield from _below(folder, 0)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    inner = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name in FOLDERS:
                    yield folder
                    return
                if not entry.name.startswith("."):
                    inner.append(entry.path)
            elif is_spec_file(entry.name):
                yield folder
                return
    if depth < MAX_DEPTH:
        for path in sorted(inner):
            yield from _below(Path(path), depth + 1)
