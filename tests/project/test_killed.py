"""Whoever kills a save, at whatever point: nothing is lost, and the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.project.conftest import Scene

from branchline.foundation.durable import write_durably
from branchline.foundation.errors import Unavailable
from branchline.project import saving
from branchline.project.activity import files
from branchline.project.activity.verify import verify
from branchline.project.git import calling, command, intake, packing

SAVE = """
import sys
from pathlib import Path
from branchline.foundation.keys import Identity
from branchline.project.git import intake, packing
from branchline.project.place import Project
from branchline.project.saving import save
packing._MANY = 1
intake._DIVIDED = 4
identity = Identity.load_or_create(Path(sys.argv[2]))
print("go", flush=True)
with Project.open(Path(sys.argv[1])).working() as project:
    save(project, identity, lambda _: None)
"""


class Killed(BaseException):
    """Stands for the end of the process, at a point between two steps."""


def wrote(scene: Scene, mark: str) -> dict[str, str]:
    """Write data and code of which nothing may be lost."""
    texts = {f"data/{mark}/{i}": f"{mark} data {i}" for i in range(20)}
    texts |= {f"code/{mark}.py": f"{mark} code", "code/changing.py": mark}
    for path, text in texts.items():
        scene.write(path, text)
    return texts


def whole(scene: Scene, texts: dict[str, str]) -> None:
    """Hold the project to everything that was written and to all that was recorded."""
    for path, text in texts.items():
        assert (scene.root / path).read_text() == text, path
    scene.save()
    for path, text in texts.items():
        assert (scene.root / path).read_text() == text, path
    assert scene.git("status", "--porcelain") == ""
    checked = verify(scene.project)
    assert checked.faults == []
    scene.git("fsck", "--strict", "--no-dangling")


@pytest.mark.slow
def test_ended_between_any_two_steps(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of git and each file written in turn is the last one; then the next save goes on."""
    done, ended = False, 0
    while not done:
        texts = wrote(scene, f"round{ended}")
        left = ended
        with monkeypatch.context() as patch:

            def before(real: Callable[..., Any]) -> Callable[..., Any]:
                def step(*given: Any, **named: Any) -> Any:
                    nonlocal left
                    if left == 0:
                        raise Killed
                    left -= 1
                    return real(*given, **named)

                return step

            patch.setattr(command, "call", before(calling.call))
            patch.setattr(command, "pour_into", before(calling.pour_into))
            patch.setattr(packing, "_MANY", 1)
            patch.setattr(files, "write_durably", before(write_durably))
            patch.setattr(intake, "sync_file_system", before(intake.sync_file_system))
            try:
                scene.save()
                done = True
            except Killed:
                ended += 1
        # The steps of a round are many; those that only look change nothing.
        whole(scene, texts)
        ended += 0 if ended < 4 else 2
    assert ended > 10
    scene.annex("fsck", "--quiet", "--fast")


def _killed(scene: Scene, after: float, identity: Path) -> None:
    environment = dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-c", SAVE, str(scene.root), str(identity)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "go\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def test_what_a_killed_save_recorded_is_overtaken_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records are true, though there is no commit of what they say; nobody rewrote history."""

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    scene.write("code/a.py", "1")
    scene.write("data/a.csv", "1")
    with monkeypatch.context() as patch:
        patch.setattr(saving, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.save()
    scene.write("code/b.py", "2")
    assert scene.save().commit
    assert verify(scene.project).faults == []


@pytest.mark.slow
def test_killed_at_any_moment(scene: Scene, tmp_path: Path) -> None:
    """The process is killed; the programs it called may go on for a moment, and are waited for."""
    rng = random.Random(20261121)
    for number in range(12):
        texts = wrote(scene, f"kill{number}")
        _killed(scene, rng.uniform(0, 0.35), tmp_path / "keys")
        for path, text in texts.items():
            assert (scene.root / path).read_text() == text
        if number % 3 == 2:
            whole(scene, texts)
    whole(scene, texts)
    scene.annex("fsck", "--quiet")


@pytest.mark.soak
def test_killed_in_a_long_loop(scene: Scene, tmp_path: Path) -> None:
    """Many more moments."""
    for seed in range(150):
        texts = wrote(scene, f"kill{seed}")
        _killed(scene, random.Random(seed).uniform(0, 0.5), tmp_path / "keys")
        whole(scene, texts)
    scene.annex("fsck", "--quiet")


def test_what_a_killed_git_left_locked_is_cleared_away(scene: Scene) -> None:
    """Only where the marker says that one of ours was killed; another's lock is respected."""
    lock = scene.root / ".git/index.lock"
    lock.touch()
    scene.write("code/a.py", "1")
    with pytest.raises(calling.GitFailed, match=r"index\.lock"):
        scene.save()
    (scene.project.state / "working").touch()
    assert scene.save().commit


def test_a_second_command_waits_or_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two never change a project at once."""
    ticks = iter(range(0, 100, 4))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    with (
        scene.project.working(),
        pytest.raises(Unavailable, match="Another command is at work"),
    ):
        scene.save()


def test_a_full_disk_is_said_in_one_sentence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git says of it is not passed on; what was there is there."""
    scene.write("code/a.py", "1")
    real = subprocess.run

    def full(words: Any, **named: Any) -> Any:
        if "commit" in words:
            said = b"error: write error: No space left on device\nfatal: unable to write\n"
            return subprocess.CompletedProcess(words, 128, b"", said)
        return real(words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", full)
        with pytest.raises(Unavailable, match="The disk is full"):
            scene.save()
    assert (scene.root / "code/a.py").read_text() == "1"
    assert scene.save().commit
    assert not verify(scene.project).faults
