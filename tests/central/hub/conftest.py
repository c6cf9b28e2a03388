"""One hub for a whole run; every test has projects of its own there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.central.hub.world import World, world_in

from branchline.project.git import command


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give the hub and its people."""
    with world_in(tmp_path_factory.mktemp("hub")) as made:
        yield made


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git know nobody's settings but these."""
    file = tmp_path / "gitconfig"
    file.write_text("[user]\nname = Somebody\nemail = somebody@example.org\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(command, "_user", {})
