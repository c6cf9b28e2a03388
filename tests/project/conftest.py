"""Projects for the tests: real git, real git-annex, keys and settings of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from branchline.foundation.keys import Identity
from branchline.project.beginning import begin
from branchline.project.git import command
from branchline.project.place import Project
from branchline.project.saving import Saved, save

BIN = Path(sys.executable).parent


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


def run(folder: Path, *words: str) -> str:
    """Run a program that must succeed, and return what it printed."""
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
    return done.stdout


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Somebody with a name, whose own settings are nobody else's."""
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[user]\nname = Mira\nemail = mira@example.org\n[init]\ndefaultBranch = main\n"
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("BRANCHLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command, "_user", {})
    return Identity.create()


@pytest.fixture
def scene(tmp_path: Path, person: Identity) -> Scene:
    """A new project."""
    begin(tmp_path / "project", person, quiet)
    return Scene(tmp_path / "project", person)
