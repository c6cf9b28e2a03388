"""The trains on the how-to pages run over simulated stations."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import DOCS, files_of

from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.workbench.trial import try_train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "train", "result"),
    [("command-train.md", "stays", "mean"), ("sequential-train.md", "running", "sums")],
)
async def test_a_train_of_the_pages_runs(
    tmp_path: Path, page: str, train: str, result: str
) -> None:
    """Laid down as the page says, the train comes through a trial with its result."""
    for name, text in files_of(DOCS / "how-to" / page):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    trial = await try_train(tmp_path / train, Bubblewrap(), stations=2, rows=40)
    assert result in trial.values
    assert {each.action for each in trial.rounds} == {"release"}
