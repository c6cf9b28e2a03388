"""What tests of locks share: an index of Python packages, and a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.environment.lock.python.index import Index, serving

from branchline.environment.lock.pool import Pool


@dataclass(frozen=True)
class Shelf:
    """A store as far as locking needs one."""

    folder: Path
    debs: Pool
    wheels: Pool
    texts: Pool


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty store."""
    folder = tmp_path / "store"
    return Shelf(folder, Pool(folder / "debs"), Pool(folder / "wheels"), Pool(folder / "texts"))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that is the only one uv knows, and a cache that nobody else fills."""
    with serving(Index()) as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{served.url}/simple")
        monkeypatch.setenv("UV_FIND_LINKS", "")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield served
