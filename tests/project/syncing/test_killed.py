"""Whoever kills a sync or a rollback, at whatever point: nothing is lost, and the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet, run
from tests.project.syncing.conftest import Pair, synced

from branchline.project.activity.verify import verify
from branchline.project.branching import switch

PROGRAM = """
import sys
from pathlib import Path
from branchline.foundation.keys import Identity
from branchline.project.place import Project
from branchline.project.branching import rollback
from branchline.project.syncing.sync import sync
identity = Identity.load_or_create(Path(sys.argv[2]))
quiet = lambda _: None
print("go", flush=True)
with Project.open(Path(sys.argv[1])).working() as project:
    if sys.argv[3] == "sync":
        sync(project, identity, "", {".": "both"}, quiet)
    else:
        rollback(project, identity, sys.argv[3], quiet, name=sys.argv[4])
"""


def killed(scene: Scene, after: float, *words: str) -> None:
    """Begin a command, and kill it; the programs it called may go on for a moment."""
    keys = scene.root.parent / "keys"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(scene.root), str(keys), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "go\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def killed_syncs(pair: Pair, rounds: int, seed: int) -> None:
    """Both work, one is killed at it, then both sync: each has all that either wrote."""
    rng = random.Random(seed)
    written: dict[str, str] = {}
    for number in range(rounds):
        for scene, who in ((pair.mira, "mira"), (pair.jo, "jo")):
            texts = {f"code/{who}-{number}.py": who, f"data/{who}-{number}.csv": f"{who} {number}"}
            for path, text in texts.items():
                scene.write(path, text)
            written |= {path: text for path, text in texts.items() if path.startswith("code")}
        synced(pair.mira)
        killed(pair.jo, rng.uniform(0, 0.9), "sync")
    for scene in (pair.jo, pair.mira, pair.jo):
        assert synced(scene).state == "synced"
    assert run(pair.between, "git", "rev-parse", "main") == pair.jo.git("rev-parse", "HEAD")
    for scene in (pair.mira, pair.jo):
        for path, text in written.items():
            assert (scene.root / path).read_text() == text, path
        assert (scene.root / "data/jo-0.csv").is_symlink()
        assert scene.git("status", "--porcelain") == ""
        assert verify(scene.project).faults == []
        scene.git("fsck", "--strict", "--no-dangling")
    pair.jo.annex("fsck", "--quiet", "--fast", "data/jo-0.csv")


def killed_rollbacks(scene: Scene, rounds: int, seed: int) -> None:
    """Each time either the old state or the new one is there, whole; all work is on its branch."""
    rng = random.Random(seed)
    for i in range(60):
        scene.write(f"code/{i}.py", "old\n" * 50)
    first = scene.save().records[0].digest
    for number in range(rounds):
        for i in range(60):
            scene.write(f"code/{i}.py", f"new {number}\n" * 50)
        scene.write("data/work.csv", f"work {number}\n")
        killed(scene, rng.uniform(0.1, 0.7), first, f"back-{number}")
        with scene.project.working() as project:
            switch(project, scene.identity, "main", quiet)
        texts = {(scene.root / f"code/{i}.py").read_text() for i in range(60)}
        assert texts == {f"new {number}\n" * 50}
        assert (scene.root / "data/work.csv").read_text() == f"work {number}\n"
        assert scene.git("status", "--porcelain") == ""
        assert not (scene.project.state / "rescued").exists()
    assert verify(scene.project).faults == []


@pytest.mark.slow
def test_syncs_are_killed(pair: Pair) -> None:
    """A few moments."""
    killed_syncs(pair, 4, 20261121)


@pytest.mark.slow
def test_rollbacks_are_killed(scene: Scene) -> None:
    """A few moments."""
    killed_rollbacks(scene, 4, 20261121)


@pytest.mark.soak
def test_syncs_and_rollbacks_are_killed_in_a_long_loop(pair: Pair, tmp_path: Path) -> None:
    """Many more moments."""
    for seed in range(20):
        killed_syncs(pair, 5, seed)
    killed_rollbacks(Scene(pair.mira.root, pair.mira.identity), 60, 7)
    assert tmp_path.exists()
