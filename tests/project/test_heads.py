"""What is checked out, read from git's files, is what git says; settings that changed are judged anew."""

from __future__ import annotations

import time

import pytest
from tests.project.conftest import Scene

from branchline.foundation.errors import Refused
from branchline.project.git.heads import read_head
from branchline.project.place import Project


def agrees(scene: Scene) -> tuple[str | None, str | None]:
    """Return what is checked out, once both ways say the same."""
    git = Project.open(scene.root).git
    assert read_head(scene.root / ".git") == (git.head(), git.branch()) == git.where()
    return git.where()


def test_files_say_what_git_says(scene: Scene) -> None:
    """On a branch, on one with a folder in its name, packed, without a branch, before the first commit."""
    commit, branch = agrees(scene)
    assert branch == "main"
    scene.git("switch", "-q", "-c", "a/b.c")
    assert agrees(scene) == (commit, "a/b.c")
    scene.git("pack-refs", "--all")
    assert agrees(scene) == (commit, "a/b.c")
    scene.git("commit", "-q", "--allow-empty", "-m", "x")
    assert agrees(scene)[0] not in (commit, None)
    scene.git("switch", "-q", "--detach", "main")
    assert agrees(scene) == (commit, None)
    scene.git("switch", "-q", "--orphan", "empty")
    assert read_head(scene.root / ".git") == (None, "empty")


@pytest.mark.parametrize(
    "said", ["ref: refs/heads/../../../secret", "ref: refs/heads/", "x", "ref: refs/tags/a", ""]
)
def test_what_is_not_plain_is_left_to_git(scene: Scene, said: str) -> None:
    """No path leads out, and nothing that is no commit is taken for one."""
    (scene.root / ".git" / "HEAD").write_text(f"{said}\n")
    (scene.root.parent / "secret").write_text("a" * 40)
    assert read_head(scene.root / ".git") is None


def test_settings_that_changed_are_judged_again(scene: Scene) -> None:
    """However often a project was worked on before."""
    project = Project.open(scene.root)
    time.sleep(0.2)
    for _ in range(2):
        with project.working() as held:
            assert held.git.own["annex.version"] == "10"
    scene.git("config", "filter.evil.clean", "touch /tmp/evil")
    with project.working() as held, pytest.raises(Refused, match=r"filter\.evil"):
        _ = held.git.own
