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
