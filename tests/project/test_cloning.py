"""A project from elsewhere is looked through before anything of it is laid out."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.project.conftest import Scene, quiet, run

from branchline.cli.root import root
from branchline.foundation.errors import BranchlineError, Conflict, NotFound, Refused, Unavailable
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.cloning import clone


def commit_entry(scene: Scene, path: str, content: str, mode: str = "100644") -> None:
    """Commit a path that no honest tool would, straight into the index."""
    name = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=scene.root,
        input=content,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if mode == "160000":
        name = scene.git("rev-parse", "HEAD").strip()
    loose = ("-c", "core.protectNTFS=false", "-c", "core.protectHFS=false")
    scene.git(*loose, "update-index", "--add", "--cacheinfo", f"{mode},{name},{path}")
    scene.git("commit", "-q", "--no-verify", "-m", "hostile")


@pytest.mark.parametrize(
    ("source", "kind", "sentence"),
    [
        ("{here}/nowhere", NotFound, "There is no repository at .*nowhere"),
        ("{here}", NotFound, "There is no repository at"),
        ("http://me:s3cret@127.0.0.1:9/x", Unavailable, "The connection to http://127.0.0.1:9/x"),
    ],
)
def test_a_place_that_cannot_be_cloned_is_told_without_its_secret(
    tmp_path: Path, source: str, kind: type[BranchlineError], sentence: str
) -> None:
    """In a sentence with what to do, and in what is said under way; nothing is left behind."""
    here = tmp_path / "here"
    here.mkdir()
    told: list[str] = []
    with pytest.raises(kind, match=sentence) as caught:
        clone(source.format(here=here), tmp_path / "clone", told.append)
    assert "s3cret" not in f"{caught.value} {told}"
    assert caught.value.advice
    assert [path.name for path in tmp_path.iterdir() if "clone" in path.name] == []


def test_a_clone_works_on_by_itself(scene: Scene, tmp_path: Path) -> None:
    """Data come when asked for; records are chained anew; both sides merge and verify."""
    scene.write("data/a.csv", "1,2\n")
    scene.save()
    cloned = clone(str(scene.root), tmp_path / "clone", quiet)
    assert cloned.records == 2
    assert not cloned.faults
    other = Scene(tmp_path / "clone", Identity.create())
    assert not (other.root / "data/a.csv").exists()
    other.annex("get", "-q", "data/a.csv")
    assert (other.root / "data/a.csv").read_text() == "1,2\n"
    other.write("code/theirs.py", "1")
    other.save()
    scene.write("code/ours.py", "2")
    scene.save()
    other.git("pull", "-q", "--no-rebase", "--no-edit")
    checked = verify(other.project)
    assert not checked.faults
    assert (checked.records, len(checked.clones), len(checked.keys)) == (4, 2, 2)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_data_can_come_along(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is on record as with `get`; a folder may be named from where one stands."""
    scene.write("data/a.csv", "1,2\n")
    scene.save()
    made = clone(f"file://{scene.root}", tmp_path / "clone", quiet, bringing=scene.identity)
    assert (tmp_path / "clone/data/a.csv").read_text() == "1,2\n"
    assert made.got is not None
    assert [(each.path, each.remote) for each in made.got.arrived] == [("data/a.csv", "origin")]
    said = feed(made.project)[-1].record
    assert (said.message, said.outcome) == ("Brought 1 contents from origin", "done")
    assert verify(made.project).faults == []
    monkeypatch.chdir(scene.root)
    assert clone(".", tmp_path / "another", quiet).records == 2


def test_rules_hold_for_data_that_come_along(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may come comes; what may not is named, on record, and not asked for."""
    text = (scene.root / "branchline.toml").read_text()
    rule = (
        '[places.north]\naddress = "https://north.example.org"\n\n[[data]]\npaths = ["data/in"]\n'
    )
    more = 'confidentiality = "internal"\nallowed = ["north"]\n'
    scene.write("branchline.toml", f"{text}\n{rule}{more}")
    scene.write("data/in/list.csv", "inner\n")
    scene.write("data/out.csv", "outer\n")
    scene.save()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["clone", str(scene.root), "clone", "--get", "--json"])
    assert done.exit_code == 4, done.output
    said = json.loads(done.stdout)
    assert said["arrived"] == [{"path": "data/out.csv", "from": "origin"}]
    ((path, why),) = [(each["path"], each["why"]) for each in said["failed"]]
    assert path == "data/in/list.csv"
    assert "may not come into this clone" in why
    other = Scene(tmp_path / "clone", scene.identity)
    assert not (other.root / "data/in/list.csv").exists()
    assert feed(other.project)[-1].record.outcome == "failed"
    assert verify(other.project).faults == []


@pytest.mark.parametrize(
    ("path", "content", "mode", "why"),
    [
        ("data/aux.csv", "1", "100644", "reserved on Windows"),
        ("code/README.MD", "1", "100644", "cannot tell its name"),
        ("a\nb", "1", "100644", "control character"),
        ("git~1", "1", "100644", "'.git'"),
        ("data/passwd", "/etc/passwd", "120000", "leads out of the project"),
        ("data/config", "../.git/config", "120000", "leads out of the project"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(
    scene: Scene, tmp_path: Path, path: str, content: str, mode: str, why: str
) -> None:
    """Nothing is left at the folder, nor beside it."""
    commit_entry(scene, path, content, mode)
    with pytest.raises(Refused) as refused:
        clone(str(scene.root), tmp_path / "clone", quiet)
    assert why in str(refused.value)
    assert not (tmp_path / "clone").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_submodules_are_left_out(scene: Scene, tmp_path: Path) -> None:
    """And said."""
    commit_entry(scene, ".gitmodules", '[submodule "x"]\npath = x\nurl = ext::sh -c "touch no"\n')
    commit_entry(scene, "x", "", "160000")
    cloned = clone(str(scene.root), tmp_path / "clone", quiet)
    assert cloned.modules == ["x"]
    assert list((tmp_path / "clone/x").iterdir()) == []


@pytest.mark.parametrize(
    "source", ["ext::sh -c 'touch trap'", "--upload-pack=touch trap", "git://h/x", "gopher://h/x"]
)
def test_addresses_that_run_programs_are_refused(source: str, tmp_path: Path) -> None:
    """And those that nobody should speak any more."""
    with pytest.raises(Refused):
        clone(source, tmp_path / "clone", quiet)
    assert not (tmp_path / "trap").exists()


def test_what_is_no_project_is_refused(scene: Scene, tmp_path: Path) -> None:
    """A repository without branchline.toml, an empty one, none at all, a folder that is taken."""
    scene.git("init", "-q", str(tmp_path / "empty"))
    with pytest.raises(NotFound, match="nothing in it yet"):
        clone(str(tmp_path / "empty"), tmp_path / "clone", quiet)
    scene.git("rm", "-q", "branchline.toml")
    scene.git("commit", "-q", "--no-verify", "-m", "no project any more")
    with pytest.raises(Refused, match="no project"):
        clone(str(scene.root), tmp_path / "clone", quiet)
    with pytest.raises(NotFound):
        clone(str(tmp_path / "nowhere"), tmp_path / "clone", quiet)
    with pytest.raises(Conflict, match="something at"):
        clone(str(scene.root), scene.root, quiet)


def test_special_remotes_are_not_set_up_by_themselves(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch may ask for a program to be started; it is not."""
    program = tmp_path / "bin" / "git-annex-remote-trap"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/trap\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    asked = "autoenable=true encryption=none externaltype=trap name=t type=external"
    stream = (
        "commit refs/heads/git-annex\ncommitter x <x@x> 1 +0000\ndata 1\nx\n"
        "from refs/heads/git-annex^0\nM 100644 inline remote.log\ndata <<END\n"
        f"11111111-1111-1111-1111-111111111111 {asked} timestamp=1700000000s\nEND\n"
    )
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=scene.root, input=stream, text=True, check=True
    )
    assert "trap" in scene.git("show", "git-annex:remote.log")
    clone(str(scene.root), tmp_path / "clone", quiet, bringing=scene.identity)
    assert not (tmp_path / "trap").exists()
    # Whoever asks for it gets it: the trap is one.
    run(tmp_path, "git", "clone", "-q", str(scene.root), "theirs")
    run(tmp_path / "theirs", "git-annex", "init", "-q")
    assert (tmp_path / "trap").exists()
