"""Status is quick and says the same whichever way it is asked; it never stands in anybody's way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.project.conftest import Scene

from branchline.cli import quick
from branchline.cli.root import root
from branchline.foundation.errors import Refused
from branchline.project.differing import changes_of
from branchline.project.standing import standing_of


def told(scene: Scene) -> dict[str, str]:
    """Return what differs, by path, as asked quickly; and as asked otherwise, it is the same."""
    standing = standing_of(str(scene.root))
    assert standing.changes == changes_of(scene.project, each=False)
    return {change.path: change.kind for change in standing.changes}


def test_what_differs_is_told_in_whatever_state(scene: Scene) -> None:
    """New, changed, removed, staged; a new folder is one; a second look says the same."""
    scene.write("data/a.csv", "a\n")
    scene.write("code/a.py", "1\n")
    scene.write("code/b.py", "1\n")
    assert told(scene) == {"data/a.csv": "new", "code/a.py": "new", "code/b.py": "new"}
    scene.save()
    assert told(scene) == {}
    scene.write("data/a.csv", "b\n")
    scene.write("code/a.py", "2\n")
    (scene.root / "code/b.py").unlink()
    scene.write("new/ü\n.txt", "x\n")
    scene.write("code/staged.py", "x\n")
    scene.git("add", "code/staged.py")
    expected = {
        "data/a.csv": "changed",
        "code/a.py": "changed",
        "code/b.py": "removed",
        "new/": "new",
        "code/staged.py": "new",
    }
    assert told(scene) == told(scene) == expected
    scene.git("switch", "-q", "-c", "side/way")
    assert standing_of(str(scene.root / "code")).branch == "side/way"


def test_what_is_new_is_seen_in_folders_looked_at_before(scene: Scene) -> None:
    """What git remembers of folders is given up as soon as one of them changes."""
    scene.write("code/deep/kept.py", "x\n")
    scene.save()
    for turn in range(4):
        assert told(scene) == {f"code/deep/{n}.py": "new" for n in range(turn)}
        scene.write(f"code/deep/{turn}.py", "x\n")
    scene.write(".gitignore", "*.py\n")
    assert told(scene) == {".gitignore": "changed"}


def test_unlocked_files_are_changed_only_if_they_are(scene: Scene) -> None:
    """Git alone would call each of them changed that was touched; git-annex is asked."""
    for name in ("a", "b", "c"):
        scene.write(f"data/{name}", name)
    scene.save()
    scene.annex("unlock", "-q", "data")
    scene.save()
    scene.write("code/a.py", "new\n")
    scene.write("data/b", "other\n")
    for name in ("a", "c"):
        (scene.root / f"data/{name}").touch()
    assert told(scene) == {"code/a.py": "new", "data/b": "changed"}


def test_status_keeps_out_of_the_way_of_whoever_is_at_work(scene: Scene) -> None:
    """Git writes down what it learned only if nobody changes the project meanwhile."""
    index = scene.root / ".git/index"
    (scene.root / "code/README.md").touch()
    before = index.read_bytes()
    with scene.project.working():
        assert standing_of(str(scene.root)).changes == []
        assert index.read_bytes() == before
    assert standing_of(str(scene.root)).changes == []
    assert index.read_bytes() != before


def test_both_ways_say_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The quick way and the command line differ in no letter."""
    scene.write("code/ö \x1b[1m.py", "1\n")
    monkeypatch.chdir(scene.root)
    for words in (["status"], ["status", "--json"]):
        assert quick.answer(words)
        assert capsys.readouterr().out == CliRunner().invoke(root, words).stdout
    assert not quick.answer(["status", "--help"])


def test_what_the_project_says_of_itself_is_read_anew_when_it_changed(scene: Scene) -> None:
    """Also what is not acceptable is noticed then, and what was left half written is no trouble."""
    assert standing_of(str(scene.root)).name == "project"
    file, known = scene.root / "branchline.toml", scene.root / ".git/branchline/known"
    text = file.read_text()
    file.write_text(text.replace('name = "project"', 'name = "other"'))
    assert standing_of(str(scene.root)).name == "other"
    for torn in (b"", b"x", known.read_bytes()[:-1]):
        known.write_bytes(torn)
        assert standing_of(str(scene.root)).name == "other"
    file.write_text("[project")
    with pytest.raises(Refused, match="not acceptable"):
        standing_of(str(scene.root))


def test_a_repository_that_would_run_a_program_is_not_looked_into(scene: Scene) -> None:
    """The quick way refuses it like every other."""
    scene.git("config", "filter.evil.clean", f"touch {scene.root}/ran")
    scene.write(".gitattributes", "* filter=evil\n")
    with pytest.raises(Refused, match="names a program"):
        standing_of(str(scene.root))
    assert not (scene.root / "ran").exists()


def test_status_loads_next_to_nothing(scene: Scene) -> None:
    """Where all is saved, neither the command line nor what reads descriptions is loaded."""
    standing_of(str(scene.root))
    words = [sys.executable, "-X", "importtime", "-m", "branchline", "status", "--json"]
    done = subprocess.run(words, cwd=scene.root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["saved"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "branchline.project.standing" in loaded
    assert not loaded & {"click", "msgspec", "tomllib", "subprocess", "logging", "asyncio"}
    assert Path(scene.root, ".git/branchline/known").is_file()
