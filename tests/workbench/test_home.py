"""The researcher's folder: keys and references that stay, and trains by their digest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.train.template import new_train, write_train
from branchline.workbench.client import Client
from branchline.workbench.home import CentralRef, WorkbenchHome, default_folder


def reference(origin: str, url: str = "https://central.example") -> CentralRef:
    """Return a reference to a central service."""
    return CentralRef(origin, url, "anna", Identity.create().public, f"{origin}+0+0")


def test_the_keys_are_made_once_and_are_nobody_elses_to_read(tmp_path: Path) -> None:
    """A second look finds the same identity, in a file only its owner can read."""
    first, second = WorkbenchHome(tmp_path / "h"), WorkbenchHome(tmp_path / "h")
    assert first.identity.id == second.identity.id
    mode = stat.S_IMODE((tmp_path / "h" / "keys" / "identity").stat().st_mode)
    assert mode == 0o600


def test_central_services_are_remembered_with_their_pins(tmp_path: Path) -> None:
    """References survive a restart; one to the same ledger replaces the older one in its place."""
    home = WorkbenchHome(tmp_path / "h")
    a, b, moved = reference("a.org/l"), reference("b.org/l"), reference("a.org/l", "https://new")
    for ref in (a, b, moved):
        home.remember(ref)
    again = WorkbenchHome(tmp_path / "h")
    assert again.centrals() == (moved, b)
    assert again.central() == moved
    assert again.central("b.org/l") == b
    with pytest.raises(NotFound, match=r"c\.org/l"):
        again.central("c.org/l")


def test_a_folder_without_enrolment_says_what_to_do(tmp_path: Path) -> None:
    """A client that was never enrolled refuses with the command that enrols."""
    with Client(tmp_path / "h") as client, pytest.raises(NotFound, match="branchline enroll"):
        client.journeys()


def test_a_damaged_settings_file_is_refused_by_name(tmp_path: Path) -> None:
    """Settings that cannot be read are named."""
    (tmp_path / "workbench.json").write_text('{"centrals": [{}]}')
    with pytest.raises(Refused, match=r"workbench\.json"):
        WorkbenchHome(tmp_path).centrals()


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``BRANCHLINE_HOME`` names the folder; without it, it is below the user's home."""
    monkeypatch.setenv("BRANCHLINE_HOME", "/somewhere/else")
    assert default_folder() == Path("/somewhere/else")
    monkeypatch.delenv("BRANCHLINE_HOME")
    assert default_folder() == Path.home() / ".branchline"


def test_a_packed_train_is_kept_with_its_signature(tmp_path: Path) -> None:
    """Packing signs once: the same files give the same digest and the same signature."""
    write_train(tmp_path / "t", new_train("t"))
    with Client(tmp_path / "h") as client:
        bundle = client.pack(tmp_path / "t")
        first = client.home.train(bundle.digest)
        assert client.pack(tmp_path / "t").digest == bundle.digest
        assert client.home.train(bundle.digest) == first
        assert client.home.trains() == [bundle.digest]
        assert first[0] == bundle.data
