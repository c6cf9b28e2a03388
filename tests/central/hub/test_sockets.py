"""Where central's sockets are: below its own folder, and nothing of a killed one stays."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from branchline.central.hub.p2phttp import Servers
from branchline.foundation.errors import Unavailable
from branchline.foundation.ids import new_id


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for that of a socket, wherever temporary files are."""
    with TemporaryDirectory(prefix="s", dir="/tmp") as name:
        yield Path(name)


def bound(folder: Path) -> Path:
    """Bind a socket as a hosted project's server does, in the one folder that was made for them."""
    name = folder / new_id("hosted")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(name))
    return name


async def test_what_a_killed_central_left_is_gone(short: Path) -> None:
    """Its own folder is used again; at an end in peace nothing is left at all."""
    Servers(short)
    left = bound(short / "sockets")
    again = Servers(short)
    assert not left.exists()
    bound(short / "sockets")
    await again.close()
    assert list(short.iterdir()) == []


async def test_below_a_long_name_the_sockets_are_elsewhere(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Always in the same place, which is short enough for a socket's name."""
    central = tmp_path / ("deep" * 20) / "central"
    central.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    Servers(central)
    (made,) = short.iterdir()
    left = bound(made)
    again = Servers(central)
    assert list(short.iterdir()) == [made]
    assert not left.exists()
    await again.close()
    assert list(short.iterdir()) == []


def test_a_folder_of_somebody_elses_is_not_used(short: Path) -> None:
    """Nor is a link followed."""
    (short / "other").mkdir()
    (short / "sockets").symlink_to(short / "other")
    with pytest.raises(Unavailable, match="somebody else"):
        Servers(short)
