"""A station's settings: written whole, read strictly."""

from pathlib import Path

import pytest

from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.station.settings import FILE, CentralRef, StationHome, StationSettings


def _settings() -> StationSettings:
    ref = CentralRef("https://central.example", Identity.create().public, "vkey")
    return StationSettings(name="north", central=ref)


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    """What is written is read again, equal in every field."""
    home = StationHome(tmp_path)
    home.write_settings(_settings_kept := _settings())
    assert home.settings() == _settings_kept


def test_every_default_stands_in_the_file(tmp_path: Path) -> None:
    """Whoever edits the file sees what there is to edit."""
    home = StationHome(tmp_path)
    home.write_settings(_settings())
    text = (tmp_path / FILE).read_text()
    for key in ("min_group = 10", "auto_release = [", "memory_bytes = ", 'accept = "policy"'):
        assert key in text


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    """A misspelt key is no silent default."""
    home = StationHome(tmp_path)
    home.write_settings(_settings())
    file = tmp_path / FILE
    file.write_text(file.read_text().replace("min_group", "min_grupp"))
    with pytest.raises(Refused, match="min_grupp"):
        home.settings()


def test_a_folder_without_a_station_says_what_to_do(tmp_path: Path) -> None:
    """The sentence names the command that makes one."""
    with pytest.raises(NotFound, match="station enroll"):
        StationHome(tmp_path).settings()
