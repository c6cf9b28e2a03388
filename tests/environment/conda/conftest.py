"""A channel on loopback, by the name `lab` as this machine has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.environment.conda.channel import PACKAGES, Server, write_channel


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the channel `lab`, which conda's own configuration says how to find."""
    write_channel(tmp_path / "channels" / "lab", PACKAGES)
    server = Server(tmp_path / "channels")
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.stop()
