"""``merge``, ``sync``, ``get``, ``export`` and ``import`` as people and programs call them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from branchline.cli.project import merge as commands
from branchline.cli.root import root


def call(*words: str, **extra: Any) -> Result:
    """Call a command in this process."""
    return CliRunner().invoke(root, list(words), **extra)


def told(*words: str, code: int = 0) -> dict[str, Any]:
    """Call a command with --json; its exit code must be this one."""
    done = call(*words, "--json")
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which two branches contradict each other; one stands in it."""
    for name in ("HOME", "BRANCHLINE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "wear").mkdir()
    monkeypatch.chdir(tmp_path / "wear")
    told("init")
    file, data = Path("code/fit.py"), Path("data/a.csv")
    file.write_text("a = 1\n")
    data.write_text("20,0.4\n")
    told("branch", "aside")
    file.write_text("a = 2\n")
    told("branch", "main")
    file.write_text("a = 3\n")
    return tmp_path / "wear"


def test_a_conflict_is_told_and_resolved(project: Path) -> None:
    """Exit code 5 while it waits; the answer is one more call."""
    found = told("merge", "aside", code=5)
    assert [each["path"] for each in found["conflicts"]] == ["code/fit.py"]
    assert found["conflicts"][0]["theirs"]["lines"] == ["a = 2"]
    said = call("merge", "aside")
    assert said.exit_code == 5
    assert "code/fit.py: changed on both sides" in said.output
    assert "line 1: a = 3" in said.output
    assert "'branchline merge' with --mine" in said.output
    assert told("merge", "--hand", "code/fit.py", code=5)["by_hand"] == ["code/fit.py"]
    assert "being merged by hand" in told("save", code=5)["refused"]
    assert told("merge", "--theirs", "code")["state"] == "merged"
    assert (project / "code/fit.py").read_text() == "a = 2\n"
    assert told("merge", "aside")["state"] == "nothing"
    assert told("merge", "--abandon", code=4)["error"] == "not-found"
    assert call("merge", "--abandon", "aside").exit_code == 2
    assert call("merge", "x", "--mine", "a", "--theirs", "a").exit_code == 2


def test_a_person_at_a_terminal_is_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each conflict in turn; what is left for later waits."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    class Sys:
        stdin = stderr = Terminal()

    monkeypatch.setattr(commands, "sys", Sys)
    later = call("merge", "aside", input="later\n")
    assert later.exit_code == 5
    done = call("merge", "aside", input="perhaps\nboth\n")
    assert done.exit_code == 0, done.output
    assert (project / "code/fit.from-aside.py").read_text() == "a = 2\n"


def test_a_project_is_synced_exported_and_imported(project: Path) -> None:
    """Each command's answer for programs says what it did."""
    empty = project.parent / "hub.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(empty)], check=True)
    first = told("sync", str(empty), "--content")
    assert (first["state"], first["remote"]) == ("synced", "origin")
    assert "data/a.csv" in first["contents"]["sent"]
    assert "both sides have the same" in call("sync").output
    found = told("export", "../wear.zip")
    assert found["contents"] >= 1
    assert (found["missing"], found["left_out"]) == ([], [])
    again = told("import", "../wear.zip", "../again")
    assert again["verified"]
    assert again["records"] == found["records"]
    told("clone", str(empty), "../third")
    got = told("get", "data/a.csv", "--project", "../third", code=2)
    assert "not in the project" in got["refused"]
    done = subprocess.run(
        [sys.executable, "-m", "branchline", "get", "data/a.csv", "--json"],
        cwd=project.parent / "third",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["arrived"] == [{"path": "data/a.csv", "from": "origin"}]
