"""What tests of Debian's part share: keys, and a mirror each may change."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.environment.lock.debian.mirror import Key, Mirror, small_mirror


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
