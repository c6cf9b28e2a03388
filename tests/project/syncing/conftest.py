"""Two people, a project of each, and a repository between them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.project.conftest import Scene, copied, quiet, run, settle

from branchline.foundation.keys import Identity
from branchline.project.cloning import clone
from branchline.project.merging.pending import How
from branchline.project.syncing.sync import Synced, sync


@dataclass(frozen=True)
class Pair:
    """Two clones and what lies between them."""

    mira: Scene
    jo: Scene
    between: Path


def synced(
    scene: Scene,
    where: str = "",
    wanted: Mapping[str, How] | None = None,
    *,
    done: bool = False,
    accept: bool = False,
    content: bool | None = None,
) -> Synced:
    """Sync."""
    with scene.project.working() as project:
        return sync(
            project,
            scene.identity,
            where,
            wanted or {},
            quiet,
            done=done,
            accept=accept,
            content=content,
        )


def bare(folder: Path) -> Path:
    """Make an empty repository."""
    folder.mkdir()
    run(folder, "git", "init", "--quiet", "--bare", "--initial-branch=main")
    return folder


@pytest.fixture(scope="session")
def sent(begun: Scene, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Mira's project, sent to an empty repository, and Jo's clone of it; nobody touches them."""
    folder = tmp_path_factory.mktemp("sent")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        between = bare(folder / "between.git")
        mira = copied(begun, folder / "project")
        mira.write("code/fit.py", "a = 1\nb = 2\nc = 3\n")
        mira.write("data/wear.csv", "age,wear\n20,0.4\n")
        synced(mira, str(between))
        clone(str(between), folder / "jo", quiet)
    return Pair(mira, Scene(folder / "jo", Identity.create()), between)


@pytest.fixture
def pair(sent: Pair, tmp_path: Path) -> Pair:
    """Mira's project, sent to an empty repository, and Jo's clone of it."""
    between = tmp_path / "between.git"
    shutil.copytree(sent.between, between, symlinks=True)
    mira = copied(sent.mira, tmp_path / "project")
    return Pair(mira, copied(sent.jo, tmp_path / "jo"), between)
