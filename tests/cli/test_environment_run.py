"""``environment run`` and ``shell``, as a person calls them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.environment.built import Built

from branchline.environment.image.build import build_image
from branchline.environment.image.store import Store
from branchline.environment.image.trees import materialise

COMMAND = (sys.executable, "-m", "branchline", "environment")


@pytest.fixture
def project(tmp_path: Path, built_environment: Built) -> Path:
    """Give a folder with the lock of the environment that was built."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "branchline.lock").write_text(built_environment.lock.text)
    return folder


def call(
    where: Path, built: Built, *words: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder, with the store of the tests."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=where,
        env={**os.environ, "BRANCHLINE_STORE": str(built.store.folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=typed,
    )


def test_a_command_runs_in_the_environment_of_the_folder(
    project: Path, built_environment: Built
) -> None:
    """It has the lock's packages, works in the folder, and its exit code is passed on."""
    program = (
        "import numpy, pyarrow; open('made', 'w').write(numpy.__version__); raise SystemExit(5)"
    )
    done = call(project, built_environment, "run", "--", "python3", "-c", program)
    assert done.returncode == 5, done.stderr
    assert (project / "made").read_text() == next(
        wheel.version
        for wheel in (built_environment.lock.python.wheels if built_environment.lock.python else ())
        if wheel.name == "numpy"
    )


def test_what_follows_the_dashes_is_passed_on_as_it_is(
    project: Path, built_environment: Built
) -> None:
    """Options of the other command are its own; no shell reads them."""
    words = ["--json", "--help", "a b", "$HOME", "--", "*"]
    program = "import sys, json; print(json.dumps(sys.argv[1:]))"
    done = call(project, built_environment, "run", "--", "python3", "-c", program, *words)
    assert done.stdout == '["--json", "--help", "a b", "$HOME", "--", "*"]\n', done.stderr


def test_an_image_can_be_named_and_nothing_shown(tmp_path: Path, built_environment: Built) -> None:
    """Without a folder of the person's, scratch space is all there is to write to."""
    (tmp_path / "mine").write_text("mine")
    image = built_environment.image.digest
    words = ("run", image, "--no-work", "--", "sh", "-c", "pwd; ls")
    assert call(tmp_path, built_environment, *words).stdout == "/tmp\n"


def test_a_shell_is_one(project: Path, built_environment: Built) -> None:
    """What a person types is done inside."""
    done = call(project, built_environment, "shell", typed="cat /etc/debian_version; exit 3\n")
    assert done.returncode == 3
    assert done.stdout.startswith("12.")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("run",), 2, "Say after --"),
        (("run", "sha256:" + "0" * 64, "--", "true"), 4, "is not in the store"),
        (("run", "sha256:0", "--", "true"), 2, "not a digest"),
        (("run", "--", "true"), 4, "There is no branchline.lock"),
        (("run", "--work", "/", "--", "true"), 2, "whole machine"),
        (("shell", "--work", ".", "--no-work"), 2, "contradict"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_sentence(
    tmp_path: Path, built_environment: Built, words: tuple[str, ...], code: int, sentence: str
) -> None:
    """What was refused, and nothing else is printed."""
    done = call(tmp_path, built_environment, *words)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_is_not_there_is_told(project: Path, built_environment: Built) -> None:
    """As by any shell, with a code that says that it was not run."""
    done = call(project, built_environment, "run", "--", "no-such-program")
    assert done.returncode == 1
    assert "no-such-program" in done.stderr


def test_nothing_runs_in_a_damaged_environment(
    project: Path, built_environment: Built, cloned: Callable[..., Store]
) -> None:
    """A byte is flipped: the file is named, the exit code says so, and the command never began."""
    store = cloned(built_environment.store)
    image = build_image(built_environment.locked.lock, store)
    file = materialise(image, store).local / "lib/python3.11/dist-packages/numpy/version.py"
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    # Put in its place: the content itself is a file that the tests' own store shares.
    file.parent.chmod(0o755)
    file.unlink()
    file.write_bytes(content)
    damaged = dataclasses.replace(built_environment, store=store)
    done = call(project, damaged, "run", "--", "touch", "ran")
    assert (done.returncode, done.stdout) == (6, "")
    assert "numpy/version.py' has changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert [each.name for each in project.iterdir()] == ["branchline.lock"]
