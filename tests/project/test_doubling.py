"""A double of a process does a part of its work: always in a process of its own, with one thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.project.conftest import Scene

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="this system does not tell of threads"
)

SAVE = """
import os, sys
from pathlib import Path
from branchline.foundation.keys import Identity
from branchline.project.git import doubling, intake
from branchline.project.place import Project
from branchline.project.saving import save
first, doubled, real = os.getpid(), [], intake.beside
def beside(work):
    doubled.append(1)
    return real(work)
intake._DIVIDED, intake.beside = 4, beside
{more}
with Project.open(Path(sys.argv[1])).working() as project:
    saved = save(project, Identity.load_or_create(Path(sys.argv[2])), lambda _: None)
print(len(saved.entries), len(doubled))
"""
FAILS = """
real_read = intake.read_file
def read_file(file, path, *given, **named):
    if os.getpid() != first and path == "data/30":
        raise PermissionError(13, "Permission denied", file)
    return real_read(file, path, *given, **named)
intake.read_file = read_file
"""
KILLED = """
real_read = intake.read_file
def read_file(file, path, *given, **named):
    if os.getpid() != first and path == "data/30":
        os.kill(os.getpid(), 9)
    return real_read(file, path, *given, **named)
intake.read_file = read_file
"""
THREADS = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def script(text: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a program of its own."""
    line = [sys.executable, "-c", text, *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def numbered(scene: Scene) -> None:
    """Write forty files, some with the content of others."""
    for i in range(40):
        scene.write(f"data/{i:02}", f"content {i % 25}")


def all_there(scene: Scene) -> None:
    """Hold the project to what `numbered` wrote."""
    for i in range(40):
        assert (scene.root / f"data/{i:02}").is_symlink()
        assert (scene.root / f"data/{i:02}").read_text() == f"content {i % 25}"
    assert scene.git("status", "--porcelain") == ""
    assert not list((scene.root / "data").glob(".*"))
    scene.annex("fsck", "--quiet")


@pytest.mark.parametrize(("more", "doubled"), [("", 1), (FAILS, 1), (THREADS, 0)])
def test_two_processes_take_in_what_one_would(
    scene: Scene, tmp_path: Path, more: str, doubled: int
) -> None:
    """Where the double fails, the first process goes on; beside other threads there is none."""
    numbered(scene)
    done = script(SAVE.format(more=more), scene.root, tmp_path / "keys")
    assert done.stdout.split() == ["40", str(doubled)], done.stderr
    all_there(scene)


def test_a_double_that_is_killed_is_told_and_nothing_is_lost(scene: Scene, tmp_path: Path) -> None:
    """The next save finds what it did."""
    numbered(scene)
    done = script(SAVE.format(more=KILLED), scene.root, tmp_path / "keys")
    assert done.returncode == 1
    assert "A part of the work was ended. Do the same again" in done.stderr
    for i in range(40):
        assert (scene.root / f"data/{i:02}").read_text() == f"content {i % 25}"
    assert len(scene.save().entries) == 40
    all_there(scene)


def test_what_the_double_did_is_told_also_when_it_fails() -> None:
    """More than a pipe holds, too; nothing of the first process's is done twice at its end."""
    done = script("""
import atexit, sys
from branchline.project.git.doubling import beside, may_double
atexit.register(print, "end")
def work():
    for i in range(30000):
        yield b"piece %d" % i
    raise ValueError
assert may_double()
print("begin", end=" ")
with beside(work) as told:
    assert told == []
print(len(told), told[-1].decode())
with beside(lambda: iter(())) as told:
    pass
print(told)
""")
    assert done.stdout == "begin 30000 piece 29999\n[]\nend\n", done.stderr
