"""A line that is cut in the middle of a sync or a clone: one sentence, nothing lost, and the next one goes on."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from tests.project.conftest import Scene, run
from tests.project.syncing.conftest import Pair, synced

from branchline.foundation.errors import NotFound, Unavailable
from branchline.project.activity.verify import verify
from branchline.project.cloning import clone

SSH = """#!{python}
# A connection that ends after so many bytes, told in a file, of what comes or of what goes.
import os, subprocess, sys, threading
way, _, most = open("{cut}").read().partition(":")
child = subprocess.Popen(["sh", "-c", sys.argv[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

def pump(source, target, left):
    while left > 0 and (piece := os.read(source, min(65536, left))):
        os.write(target, piece)
        left -= len(piece)
    if left <= 0:
        child.kill()
        os._exit(255)

size = lambda this: int(most) if way == this else 1 << 60
inward = threading.Thread(target=pump, args=(child.stdout.fileno(), 1, size("in")))
inward.start()

def outward():
    pump(0, child.stdin.fileno(), size("out"))
    child.stdin.close()

threading.Thread(target=outward, daemon=True).start()
inward.join()
os._exit(child.wait())
"""


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that tells where the line is cut, and an ``ssh`` that obeys it."""
    programs, told = tmp_path / "bin", tmp_path / "cut"
    programs.mkdir()
    told.write_text("")
    (programs / "ssh").write_text(SSH.format(cut=told, python=sys.executable))
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return told


def state(scene: Scene) -> tuple[str, set[str]]:
    """Return the commit that is checked out, and the files that are there."""
    files = {p.relative_to(scene.root).as_posix() for p in (scene.root / "code").rglob("*")}
    return scene.git("rev-parse", "HEAD"), files


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_sync_whose_line_is_cut_goes_on_with_the_next(pair: Pair, cut: Path, way: str) -> None:
    """Wherever it is cut: the branches are as they were, or all of it arrived."""
    rng = random.Random(11)
    for scene in (pair.mira, pair.jo):
        scene.git("remote", "set-url", "origin", f"ssh://there{pair.between}")
    pair.mira.write("code/large.txt", "".join(f"{rng.random()}\n" for _ in range(20_000)))
    pair.mira.save()
    if way == "in":
        synced(pair.mira)
    who = pair.jo if way == "in" else pair.mira
    who.write("code/own.py", "own\n")
    who.save()
    before = state(who), run(pair.between, "git", "rev-parse", "main")
    for size in (0, 3, 200, 900, 5_000, 60_000):
        cut.write_text(f"{way}:{size}")
        with pytest.raises((Unavailable, NotFound)) as refused:
            synced(who)
        assert "origin" in refused.value.refused
        now = state(who), run(pair.between, "git", "rev-parse", "main")
        assert now[1] == before[1]
        assert now[0][1] == before[0][1]
        assert who.git("merge-base", "--is-ancestor", before[0][0].strip(), "HEAD") == ""
        assert who.git("status", "--porcelain") == ""
    cut.write_text("")
    for scene in (pair.mira, pair.jo, pair.mira):
        assert synced(scene).state == "synced"
    for scene in (pair.mira, pair.jo):
        assert {"code/large.txt", "code/own.py"} <= state(scene)[1]
        assert verify(scene.project).faults == []
        scene.git("fsck", "--strict", "--no-dangling")


def test_a_clone_whose_line_is_cut_leaves_nothing(pair: Pair, cut: Path, tmp_path: Path) -> None:
    """Neither at the folder nor beside it."""
    folder = tmp_path / "new" / "clone"
    for size in (0, 3, 200, 2_000):
        cut.write_text(f"in:{size}")
        with pytest.raises((Unavailable, NotFound)):
            clone(f"ssh://there{pair.between}", folder, lambda _: None)
        assert list(folder.parent.iterdir()) == []
    cut.write_text("")
    assert clone(f"ssh://there{pair.between}", folder, lambda _: None).faults == []
