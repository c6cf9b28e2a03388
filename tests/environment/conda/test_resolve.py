"""Conda's packages, chosen by the real client from a channel on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.environment.conda.channel import PACKAGES, PURE, TOOL, Server, write_channel

from branchline.environment.lock.conda.channels import address_of, channels_meant
from branchline.environment.lock.conda.fetch import fetch_conda
from branchline.environment.lock.conda.resolve import CondaWanted, lock_conda, of_python
from branchline.environment.lock.model import CondaPart
from branchline.environment.lock.pool import Pool
from branchline.environment.lock.suites import SUITES
from branchline.foundation.errors import Corrupt, NotFound, Refused, Unavailable

BOOKWORM = SUITES["bookworm"]


def lock(
    folder: Path, *specs: str, channels: tuple[str, ...] = ("lab",), **more: object
) -> CondaPart:
    """Lock what is asked of channels."""
    wanted = CondaWanted(specs, ("python",), channels)
    return lock_conda(wanted, BOOKWORM, "amd64", folder / "cache", **more)  # type: ignore[arg-type]


def test_exact_packages_are_chosen_with_all_they_need(channel: Server, tmp_path: Path) -> None:
    """Names, builds, hashes, where they stand; no address of the channel; the same each time."""
    found = lock(tmp_path, "pure-thing >=1")
    packages = {package.name: package for package in found.packages}
    assert set(packages) == {"python", "tool", "pure-thing"}
    pure = packages["pure-thing"]
    assert (pure.version, pure.build, pure.channel) == ("2.0", "0", "lab")
    assert (pure.subdir, pure.file, pure.licence) == ("noarch", "pure-thing-2.0-0.conda", "MIT")
    assert (pure.requested, pure.python) == (True, True)
    assert packages["tool"].file == "tool-1.2-0.tar.bz2"
    assert not packages["tool"].requested
    assert found.python == "3.11.2"
    assert of_python(found) == {"pure-thing": "2.0"}
    assert lock(tmp_path / "elsewhere", "pure-thing >=1") == found


def test_what_was_locked_stays_unless_it_is_named(channel: Server, tmp_path: Path) -> None:
    """A newer version in the channel is taken for what may move, and for nothing else."""
    before = lock(tmp_path, "pure-thing")
    newer = [
        *PACKAGES,
        type(TOOL)("tool", "1.3", TOOL.files),
        type(PURE)("pure-thing", "2.1", PURE.files, PURE.depends, "python"),
    ]
    write_channel(channel.folder / "lab", newer)

    def versions(name: str, free: tuple[str, ...] | None) -> dict[str, str]:
        found = lock(tmp_path / name, "pure-thing", before=before, free=free)
        return {package.name: package.version for package in found.packages}

    kept = {"python": "3.11.2", "pure-thing": "2.0", "tool": "1.2"}
    assert versions("a", ()) == kept
    assert versions("b", ("tool",)) == kept | {"tool": "1.3"}
    assert versions("c", None) == kept | {"tool": "1.3", "pure-thing": "2.1"}


def test_a_set_that_does_not_fit_is_refused(channel: Server, tmp_path: Path) -> None:
    """The sentence names the channel and what is missing."""
    for specs, word in ((("pure-thing >3",), "pure-thing"), (("absent",), "absent")):
        with pytest.raises(Refused, match=word) as refused:
            lock(tmp_path, *specs)
        assert "(lab)" in refused.value.refused


def test_a_channel_that_cannot_be_reached_is_named(channel: Server, tmp_path: Path) -> None:
    """Of two channels the one that is away; with its list at hand it is not asked."""
    found = lock(tmp_path, "pure-thing")
    away = "http://127.0.0.1:9/gone"
    with pytest.raises(Unavailable, match=f"channel {away} is needed, and it cannot be reached"):
        lock(tmp_path, "pure-thing", channels=("lab", away))
    channel.stop()
    with pytest.raises(Unavailable, match="channel lab is needed"):
        lock(tmp_path / "elsewhere", "pure-thing")
    assert lock(tmp_path, "pure-thing", offline=True) == found
    with pytest.raises(Unavailable, match="its list is not at hand"):
        lock(tmp_path / "elsewhere", "pure-thing", offline=True)


def test_packages_are_fetched_by_hash(channel: Server, tmp_path: Path) -> None:
    """What was changed, cut or taken away since it was locked is refused, each with its sentence."""
    found = lock(tmp_path, "pure-thing")
    pool = Pool(tmp_path / "condas")
    fetch_conda(found.packages, pool)
    assert all(pool.has(package.sha256) for package in found.packages)
    fetch_conda(found.packages, pool)
    file = channel.folder / "lab" / "linux-64" / TOOL.file
    whole = file.read_bytes()
    for data, error, word in (
        (whole[:-1] + bytes([whole[-1] ^ 1]), Corrupt, "SHA-256"),
        (whole[:-1], Corrupt, "cut short"),
        (None, NotFound, "channel lab no longer has linux-64/tool"),
    ):
        file.unlink() if data is None else file.write_bytes(data)
        with pytest.raises(error, match=word):
            fetch_conda(found.packages, Pool(tmp_path / f"condas-{word[:3]}"))
    channel.stop()
    with pytest.raises(Unavailable, match="channel lab cannot be reached"):
        fetch_conda(found.packages, Pool(tmp_path / "away"))


def test_channels_are_had_from_where_conda_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable, a file, or an address in place of a name; the defaults stand for two channels."""
    monkeypatch.delenv("CONDA_CHANNEL_ALIAS", raising=False)
    file = tmp_path / "condarc"
    file.write_text("channel_alias: http://127.0.0.1:1/from-file\n")
    monkeypatch.setenv("CONDARC", str(file))
    assert address_of("lab") == "http://127.0.0.1:1/from-file/lab/"
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", "http://127.0.0.1:1/said/")
    assert address_of("lab/label/new") == "http://127.0.0.1:1/said/lab/label/new/"
    assert address_of("http://127.0.0.1:2/own") == "http://127.0.0.1:2/own/"
    assert channels_meant(["lab", "nodefaults"]) == ("lab",)
    assert channels_meant([]) == channels_meant(["defaults", "main"]) == ("main", "r")
    file.write_text("channel_alias: [")
    monkeypatch.delenv("CONDA_CHANNEL_ALIAS")
    with pytest.raises(Refused, match="no YAML"):
        address_of("lab")
