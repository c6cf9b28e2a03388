"""Where central's sockets are: below its own folder, and nothing of a killed one stays."""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from branchline.central.hub.p2phttp import Servers
from branchline.foundation.errors import Unavailable
from branchline.foundation.ids import new_id


def bound(folder: Path) -> Path:
    """Bind a socket as a hosted project's server does, in the one folder that was made for them."""
    name = folder / new_id("hosted")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(name))
    return name


async def test_what_a_killed_central_left_is_gone(tmp_path: Path) -> None:
    """Its own folder is used again; at an end in peace nothing is left at all."""
    central = tmp_path / "c"
    central.mkdir()
    Servers(central)
    left = bound(central / "sockets")
    again = Servers(central)
    assert not left.exists()
    bound(central / "sockets")
    await again.close()
    assert list(central.iterdir()) == []


async def test_below_a_long_name_the_sockets_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Always in the same place, which is short enough for a socket's name."""
    central = tmp_path / ("deep" * 20) / "central"
    central.mkdir(parents=True)
    with TemporaryDirectory(prefix="r", dir="/tmp") as name:
        runtime = Path(name)
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        Servers(central)
        (made,) = runtime.iterdir()
        left = bound(made)
        again = Servers(central)
        assert list(runtime.iterdir()) == [made]
        assert not left.exists()
        await again.close()
        assert list(runtime.iterdir()) == []


def test_a_folder_of_somebody_elses_is_not_used(tmp_path: Path) -> None:
    """Nor is a link followed."""
    (tmp_path / "other").mkdir()
    (tmp_path / "sockets").symlink_to(tmp_path / "other")
    with pytest.raises(Unavailable, match="somebody else"):
        Servers(tmp_path)
