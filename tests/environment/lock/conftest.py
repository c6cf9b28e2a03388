"""What tests of locks share: a mirror of Debian, an index of Python packages, and a store."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.environment.lock.debian.mirror import Key, Mirror, small_mirror
from tests.environment.lock.python.index import Index, serving

from branchline.environment.lock.pool import Pool


@dataclass
class Shelf:
    """A store as far as locking needs one."""

    folder: Path
    debs: Pool
    wheels: Pool
    condas: Pool
    texts: Pool


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty store."""
    folder = tmp_path / "store"
    pools = (Pool(folder / name) for name in ("debs", "wheels", "condas", "texts"))
    return Shelf(folder, *pools)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that is the only one uv knows, and a cache that nobody else fills."""
    with serving(Index()) as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{served.url}/simple")
        monkeypatch.setenv("UV_FIND_LINKS", "")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield served


def _key(folder: Path) -> Iterator[Key]:
    key = Key.new(folder)
    yield key
    # The agent that gpg starts for each home would outlive the test.
    subprocess.run(["gpgconf", "--homedir", key.home, "--kill", "all"], check=False)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    """The mirror's key."""
    yield from _key(tmp_path_factory.mktemp("keys") / "mirror")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    """A key that nobody trusts."""
    yield from _key(tmp_path_factory.mktemp("keys") / "stranger")


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Mirror:
    """The small mirror that tests get copies of."""
    return small_mirror(tmp_path_factory.mktemp("pattern") / "mirror", key)


@pytest.fixture
def mirror(tmp_path: Path, pattern: Mirror) -> Mirror:
    """A small mirror of bookworm."""
    return pattern.copy(tmp_path / "mirror")
