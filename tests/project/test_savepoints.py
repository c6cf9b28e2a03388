"""Changes of files go on record while somebody works, whatever writes them; nothing is committed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.project.conftest import Scene

from branchline.foundation.digest import digest_of
from branchline.project.activity.chain import verify_records
from branchline.project.activity.feed import read_all
from branchline.project.activity.files import record_files
from branchline.project.activity.record import Record
from branchline.project.runs.places import Place
from branchline.project.runs.run import Order, run
from branchline.project.savepoints import TAG, SavePoints


def watching(scene: Scene) -> SavePoints:
    """Return a watch that does not wait long."""
    return SavePoints(scene.root, scene.identity, rest=0.05, apart=0.0, share=1.0)


def points(scene: Scene) -> list[Record]:
    """Return what is on record of changes that are not saved."""
    return [s.record for s in read_all(scene.project) if TAG in s.record.tags]


def eventually(met: Callable[[], Any]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def begun(scene: Scene) -> None:
    """Wait until a watch has looked for the first time."""
    eventually((scene.project.state / "watched.json").exists)


def test_what_changes_is_on_record_and_not_committed(scene: Scene) -> None:
    """With digests, and of programs the lines; the next save commits the records."""
    scene.write("code/fit.py", "a = 1\nb = 2\n")
    scene.save()
    head = scene.git("rev-parse", "HEAD")
    with watching(scene):
        begun(scene)
        scene.write("code/fit.py", "a = 1\nb = 3\n")
        eventually(lambda: len(points(scene)) == 1)
        scene.write("data/wear.csv", "age\n20\n")
        eventually(lambda: len(points(scene)) == 2)
        scene.write("code/fit.py", "a = 1\nb = 3\nc = 4\n")
        eventually(lambda: len(points(scene)) == 3)
        (scene.root / "code/fit.py").unlink()
        eventually(lambda: len(points(scene)) == 4)
    first, data, second, gone = points(scene)
    assert (first.type, first.action, first.message) == ("code", "edit", "code/fit.py")
    assert first.detail("diff").splitlines()[3:] == [" a = 1", "-b = 2", "+b = 3"]
    assert second.detail("diff").splitlines()[-1] == "+c = 4"  # against what was told last
    assert (data.type, data.action, data.detail("diff")) == ("data", "add", None)
    content = digest_of(b"age\n20\n")
    assert data.detail("manifest") == [
        {"path": "data/wear.csv", "change": "new", "content": content, "size": 7}
    ]
    assert (gone.action, gone.detail("manifest")) == (
        "delete",
        [{"path": "code/fit.py", "change": "removed"}],
    )
    assert scene.git("rev-parse", "HEAD") == head
    project = scene.project
    assert verify_records(record_files(project), project.described.id, {}).faults == []
    scene.save()
    assert scene.git("status", "--porcelain") == ""


def test_what_was_there_and_what_is_saved_is_no_news(scene: Scene) -> None:
    """Neither what somebody had before the first watch, nor what a save or a command tells itself."""
    scene.write("code/old.py", "1\n")
    with watching(scene):
        begun(scene)
        script = "open('results/n.txt', 'w').write('1'); import time; time.sleep(.5)"
        order = Order((sys.executable, "-c", script), (), ("results/n.txt",))
        run(scene.root, scene.identity, order, Place(None), lambda _: None, (None, None))
    assert points(scene) == []


def test_of_what_is_confidential_nothing_can_be_guessed(scene: Scene) -> None:
    """That it changed, and no digest of it."""
    file = scene.root / "branchline.toml"
    rule = '\n[[data]]\npaths = ["data/secret.csv", "code/secret.py"]\nconfidentiality = "confidential"\n'
    file.write_text(file.read_text() + rule)
    scene.save()
    with watching(scene):
        begun(scene)
        scene.write("data/secret.csv", "patient\n1\n")
        scene.write("code/secret.py", "patient = 1\n")
    told = {record.type: record for record in points(scene)}
    assert told["data"].detail("manifest") == [{"path": "data/secret.csv", "change": "new"}]
    assert told["code"].detail("diff") is None


def test_two_that_watch_tell_once(scene: Scene) -> None:
    """The second one takes over when the first one leaves."""
    with watching(scene) as first, watching(scene):
        begun(scene)
        scene.write("code/a.py", "1\n")
        eventually(lambda: len(points(scene)) == 1)
        first.__exit__()
        scene.write("code/b.py", "2\n")
        eventually(lambda: len(points(scene)) == 2)
    assert [record.message for record in points(scene)] == ["code/a.py", "code/b.py"]


def _watch(scene: Scene) -> None:
    with watching(scene):
        time.sleep(60)


def test_one_that_was_killed_leaves_a_gap_on_record(scene: Scene) -> None:
    """From when to when; and what changed meanwhile is told by the next one."""
    process = multiprocessing.get_context("fork").Process(target=_watch, args=(scene,))
    process.start()
    begun(scene)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    scene.write("code/meanwhile.py", "1\n")
    with watching(scene):
        eventually(lambda: len(points(scene)) == 2)
    gap, change = points(scene)
    said = gap.detail("metadata")
    assert gap.type == "gap"
    assert said["since"] <= said["from"] <= said["to"]
    assert change.message == "code/meanwhile.py"
    with watching(scene):
        pass
    assert len(points(scene)) == 2
