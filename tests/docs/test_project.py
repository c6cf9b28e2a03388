"""The page on keeping a project is followed as a reader would."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import DOCS
from tests.docs.test_environments import follow


def test_a_project_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder on, every block in order."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    said = follow(DOCS / "how-to" / "keep-a-project.md", tmp_path, tmp_path / "store")
    assert "data/wear.csv" in said
    assert "The reviewer asks for the median, too" in said
    assert "3 teeth" in said
    assert "identical  results/mean.csv" in said
    assert "are whole and signed" in said


def test_confidential_data_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules, a key, a second clone, a receipt."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    person = tmp_path / "gitconfig"
    person.write_text("[user]\nname = Mira\nemail = mira@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(person))
    said = follow(DOCS / "how-to" / "keep-confidential-data.md", tmp_path, tmp_path / "store")
    assert "data/patients/wear.csv  confidential  2039-12-31" in said
    assert "Removed 1 from this clone, kept 0" in said
    assert "Removed 1 content from this clone. Analysed" in said
    assert "data/patients/wear.csv  2039-12-31  here" in said


def test_data_and_models_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that stay apart, checks that pass, and a train that names its origin."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    said = follow(DOCS / "how-to" / "check-data-and-models.md", tmp_path, tmp_path / "store")
    assert "passed   patients                 required" in said
    assert "passed   error                    required" in said
    assert "No milestone has been measured yet" in said
    assert "made with   training@1" in said


@pytest.mark.slow
def test_a_project_is_shared_at_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a hub of one's own to a copy that is deleted, every block in order."""
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\nname = Somebody\nemail = somebody@example.org\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    said = follow(DOCS / "how-to" / "share-a-project.md", tmp_path, tmp_path / "store")
    assert "clara/tooth-wear is internal now" in said
    assert "Cloned tooth-wear into" in said
    assert "(3 copies)" in said
    assert "ben/wear-again is a copy of clara/tooth-wear" in said
    assert "ben/wear-again is deleted at the hub" in said
