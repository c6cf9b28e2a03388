"""The files of a new train: a mean over sites, to run at once and then to change."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from branchline.foundation.ids import check_name
from branchline.train.errors import BundleRefused

_SUFFIX = ".template"  # so that no tool takes them for this package's own modules
_NAME = "NAME-OF-THE-TRAIN"


def new_train(
    name: str,
    *,
    route: Literal["parallel", "sequential"] = "parallel",
    kind: Literal["functions", "command"] = "functions",
) -> dict[str, str]:
    """Return the texts of a new train's files by their paths.

    Parallel: every station gives a count and a sum, the aggregator divides. Sequential: a
    running count and sum goes from station to station. ``kind`` says what runs at the stations.
    """
    check_name(name, "train")
    folder = files("branchline.train") / "templates" / f"{route}-{kind}"
    return {
        file.name.removesuffix(_SUFFIX): file.read_text("utf-8").replace(_NAME, name)
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }


def write_train(folder: Path, texts: dict[str, str]) -> None:
    """Write a new train's files into a new or empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BundleRefused(
            f"The folder {folder.name} is not empty", advice="Choose a new folder for a new train"
        )
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
