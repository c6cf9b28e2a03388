"""Branches and going back lose nothing, and the activity goes on across them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet

from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.branching import Switched, branches, elsewhere, rollback, switch
from branchline.project.cloning import clone


def go_back(scene: Scene, which: str, name: str = "") -> Switched:
    """Go back to a record."""
    with scene.project.working() as project:
        return rollback(project, scene.identity, which, quiet, name=name)


def change(scene: Scene, name: str) -> Switched:
    """Change the branch."""
    with scene.project.working() as project:
        return switch(project, scene.identity, name, quiet)


def test_going_back_keeps_everything(scene: Scene) -> None:
    """Files are as they were; later and unsaved work is on the old branch; the chain is whole."""
    scene.write("data/a.csv", "good")
    scene.write("code/fit.py", "1")
    good = scene.save("good").records[0]
    scene.write("data/a.csv", "a mistake")
    scene.save("mistake")
    scene.write("code/fit.py", "not saved yet")
    done = go_back(scene, good.digest[7:19])
    assert done.saved
    assert scene.git("branch", "--show-current").strip() == done.branch
    assert (scene.root / "data/a.csv").read_text() == "good"
    assert (scene.root / "code/fit.py").read_text() == "1"
    assert scene.git("status", "--porcelain") == ""
    assert scene.git("show", "main:code/fit.py") == "not saved yet"
    told = feed(scene.project)
    assert (told[-1].record.action, told[-1].record.about) == ("rollback", good.digest)
    assert "mistake" in [signed.record.message for signed in told]
    assert not verify(scene.project).faults
    change(scene, "main")
    assert (scene.root / "data/a.csv").read_text() == "a mistake"
    scene.git("merge", "-q", "--no-edit", done.branch)
    assert not verify(scene.project).faults


def test_work_on_two_branches_verifies_after_a_merge(scene: Scene) -> None:
    """The chain of one clone runs through both."""
    scene.write("code/a.py", "1")
    change(scene, "aside")
    scene.write("code/b.py", "1")
    change(scene, "main")
    assert not (scene.root / "code/b.py").exists()
    scene.write("code/c.py", "1")
    scene.save()
    assert not verify(scene.project).faults
    scene.git("merge", "-q", "--no-edit", "aside")
    assert not verify(scene.project).faults
    assert branches(scene.project) == ["aside", "main"]


def test_what_is_in_the_way_is_named(scene: Scene) -> None:
    """A branch that exists, names that are none, files that git ignores."""
    first = feed(scene.project)[0].digest
    change(scene, "aside")
    with pytest.raises(Conflict, match="already"):
        go_back(scene, first, "main")
    for name in ("-x", "a..b", "Main", "git-annex", "adjusted/main", "con"):
        with pytest.raises(Refused):
            change(scene, name)
    with pytest.raises(NotFound):
        go_back(scene, "0123456789ab")
    scene.write("kept/notes.txt", "kept")
    scene.save()
    change(scene, "main")
    scene.write(".gitignore", "kept/\n")
    scene.write("kept/notes.txt", "only here")
    with pytest.raises(Conflict, match="in the way"):
        change(scene, "aside")
    assert (scene.root / "kept/notes.txt").read_text() == "only here"


def test_a_branch_of_another_place_begins_as_it_is_there(scene: Scene, tmp_path: Path) -> None:
    """A clone changes to it by its name; two places with another one each are told apart."""
    scene.write("code/fit.py", "1")
    change(scene, "aside")
    scene.write("code/fit.py", "2")
    scene.save("two")
    change(scene, "main")
    made = clone(str(scene.root), tmp_path / "clone", quiet).project
    assert branches(made) == ["main"]
    assert sorted(elsewhere(made)) == ["aside", "main"]
    with made.working() as project:
        done = switch(project, scene.identity, "aside", quiet)
    assert (done.branch, done.made, done.record) == ("aside", False, None)
    assert (made.root / "code/fit.py").read_text() == "2"
    assert made.git.head() == scene.git("rev-parse", "aside").strip()
    with made.working() as project:
        switch(project, scene.identity, "main", quiet)
    assert (made.root / "code/fit.py").read_text() == "1"
    head = made.git.head()
    made.git.run("update-ref", "refs/remotes/one/both", f"{head}")
    made.git.run("update-ref", "refs/remotes/other/both", f"{head}~1")
    with made.working() as project, pytest.raises(Conflict, match="one and other each have"):
        switch(project, scene.identity, "both", quiet)


def test_a_hostile_branch_of_another_place_is_not_laid_out(scene: Scene, tmp_path: Path) -> None:
    """It is looked through first, as a clone is."""
    scene.write("code/fit.py", "1")
    scene.save()
    made = clone(str(scene.root), tmp_path / "clone", quiet).project
    blob = scene.git("hash-object", "-w", "code/fit.py").strip()
    scene.git("update-index", "--add", "--cacheinfo", f"100644,{blob},con.py")
    commit = scene.git(
        "commit-tree", scene.git("write-tree").strip(), "-p", "HEAD", "-m", "x"
    ).strip()
    scene.git("branch", "trap", commit)
    made.git.run("fetch", "-q", "origin")
    with made.working() as project, pytest.raises(Refused, match=r"con\.py"):
        switch(project, scene.identity, "trap", quiet)
    assert branches(made) == ["main"]
    assert (made.root / "code/fit.py").read_text() == "1"
