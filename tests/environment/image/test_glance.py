"""Looking at a tree in two processes sees what one sees, whatever becomes of the other."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from branchline.environment.image import glance
from branchline.environment.image.glance import WIDTH, Plan, look

FOLDERS, FILES = 50, 100


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree that is worth a second process."""
    root = tmp_path_factory.mktemp("root")
    for folder in range(FOLDERS):
        (root / f"{folder}").mkdir()
        for file in range(FILES):
            (root / f"{folder}" / f"{file}").touch()
    return root


def plan() -> list[Plan]:
    """Return its plan, with a folder and files that are not there."""
    names = tuple(map(str, range(FILES)))
    folders = [Plan(str(folder), names) for folder in range(FOLDERS)]
    return [Plan("", ()), *folders, Plan("gone", ("a", "b"))]


def alone(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[int]:
    """Look in one process."""
    with monkeypatch.context() as patch:
        patch.setattr(glance, "_may_share", lambda: False)
        patch.setattr(os, "fork", lambda: pytest.fail("a second process"))
        return list(look(root, plan()))


def test_two_see_what_one_sees(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half comes from another process, and stands where it belongs."""
    forks = []
    real = os.fork

    def fork() -> int:
        forks.append(real())
        return forks[-1]

    monkeypatch.setattr(glance, "_may_share", lambda: True)
    monkeypatch.setattr(os, "fork", fork)
    seen = list(look(tree, plan()))
    assert len(forks) == 1
    assert seen == alone(monkeypatch, tree)
    assert len(seen) == WIDTH * sum(1 + len(part.files) for part in plan())
    assert seen[-3 * WIDTH :] == [0] * 3 * WIDTH
    info = (tree / "49" / "99").stat()
    assert seen[-4 * WIDTH : -3 * WIDTH] == [info.st_ino, info.st_mtime_ns, info.st_ctime_ns]


def test_a_second_process_that_dies_changes_nothing(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not bring back is looked at here."""
    expected, mine, look_here = alone(monkeypatch, tree), os.getpid(), glance._look

    def dying(root: Path, part: list[Plan]) -> object:
        if os.getpid() != mine:
            os._exit(9)
        return look_here(root, part)

    monkeypatch.setattr(glance, "_may_share", lambda: True)
    monkeypatch.setattr(glance, "_look", dying)
    assert list(look(tree, plan())) == expected


def test_beside_other_threads_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A station has threads, and a copy of it would have them cut short."""
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not glance._may_share()
