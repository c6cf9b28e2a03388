"""Projects for the tests: real git, real git-annex, keys and settings of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from branchline.foundation.keys import Identity
from branchline.project.beginning import begin
from branchline.project.git import command
from branchline.project.place import Project
from branchline.project.saving import Saved, save

BIN = Path(sys.executable).parent
IDENTITY = Identity.create()
"""Mira's keys."""


def quiet(_: str) -> None:
    """Take what is said of progress, and say nothing."""


@dataclass(frozen=True)
class Scene:
    """One person and one project."""

    root: Path
    identity: Identity

    @property
    def project(self) -> Project:
        """The project, opened anew."""
        return Project.open(self.root)

    def write(self, path: str, text: str | bytes) -> Path:
        """Write a file of the project; a link in its place gives way."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            file.unlink()
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def save(self, message: str = "", *paths: str) -> Saved:
        """Save all, or some paths."""
        with self.project.working() as project:
            return save(project, self.identity, quiet, paths=paths, message=message)

    def git(self, *words: str) -> str:
        """Call the system's own git, as anybody would."""
        return run(self.root, "git", *words)

    def annex(self, *words: str) -> str:
        """Call git-annex itself, as anybody would."""
        return run(self.root, "git-annex", *words)


Prepared = Callable[[Callable[[Scene], None]], Scene]
"""See the fixture `prepared`."""


def run(folder: Path, *words: str) -> str:
    """Run a program that must succeed, and return what it printed."""
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
    return done.stdout


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a person a name, and settings that are nobody else's, below a folder."""
    settings = folder / "gitconfig"
    settings.write_text(
        "[user]\nname = Mira\nemail = mira@example.org\n[init]\ndefaultBranch = main\n"
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("BRANCHLINE_HOME", str(folder / "home"))
    monkeypatch.setattr(command, "_user", {})


def copied(scene: Scene, root: Path) -> Scene:
    """Copy a project as if it had been made there: it does not count as a clone of its own."""
    shutil.copytree(scene.root, root, symlinks=True)
    state = root / ".git" / "branchline"
    here, file = state.stat(), state / "clone.json"
    if file.exists():
        known = json.loads(file.read_text()) | {"device": here.st_dev, "inode": here.st_ino}
        file.write_text(json.dumps(known))
    settings = root / ".git" / "config"
    # Where others are: they are copied, too.
    old, new = str(scene.root.parent), str(root.parent)
    settings.write_text(settings.read_text().replace(old, new))
    return Scene(root, scene.identity)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A new project that nobody touches: beginning one takes longer than copying it."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        begin(folder / "project", IDENTITY, quiet)
    return Scene(folder / "project", IDENTITY)


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Somebody with a name, whose own settings are nobody else's."""
    settle(tmp_path, monkeypatch)
    return IDENTITY


@pytest.fixture
def scene(tmp_path: Path, begun: Scene) -> Scene:
    """A new project."""
    return copied(begun, tmp_path / "project")


@pytest.fixture(scope="session")
def prepared_before() -> dict[str, Scene]:
    """What tests prepared, and nobody touches, by the name of the function that did it."""
    return {}


@pytest.fixture
def prepared(
    scene: Scene, prepared_before: dict[str, Scene], tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """Give a function that has the project prepared: the first time by work, then by a copy."""

    def prepare(work: Callable[[Scene], None]) -> Scene:
        name = f"{work.__module__}.{work.__qualname__}"
        if name in prepared_before:
            shutil.rmtree(scene.root)
            return copied(prepared_before[name], scene.root)
        work(scene)
        folder = tmp_path_factory.mktemp("prepared")
        prepared_before[name] = copied(scene, folder / "project")
        return scene

    return prepare
