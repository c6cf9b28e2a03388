"""A small train, as the tests of this room want it."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.train.archive import File
from branchline.train.template import new_train, write_train


@pytest.fixture
def files() -> dict[str, File]:
    """The files of a train, in memory."""
    return {path: File(text.encode()) for path, text in new_train("mean-age").items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same train as a folder."""
    write_train(tmp_path / "mean-age", new_train("mean-age"))
    return tmp_path / "mean-age"
