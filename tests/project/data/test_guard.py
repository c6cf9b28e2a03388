"""What the rules keep here is not sent: real git, real git-annex, real hooks."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
from tests.project.conftest import BIN, Scene, quiet, run

from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Refused
from branchline.project.cloning import clone
from branchline.project.data.guard import check_push, judge_keys, paths_of_keys
from branchline.project.data.places import check_lines, describe, here, place_of_remote
from branchline.project.finding import FILE
from branchline.project.git.keyed import DataKey, keep

DAY = date(2026, 11, 21)
RULE = '\n[[data]]\npaths = ["{}"]\nconfidentiality = "{}"\n{}\n'


def rule(
    scene: Scene, pattern: str, word: str = "confidential", more: str = "", *, named: bool = True
) -> None:
    """Write a rule into the project's file, and a data key where it will be asked for."""
    text = (scene.root / FILE).read_text()
    if named and "[confidential]" not in text:
        key = DataKey.create()
        keep(scene.root, key)
        text += f'\n[confidential]\nkey = "{key.id}"\n'
    (scene.root / FILE).write_text(text + RULE.format(pattern, word, more))


def remote(scene: Scene, tmp_path: Path, name: str = "hub") -> Path:
    """Make an empty repository, and tell git of it."""
    folder = tmp_path / f"{name}.git"
    run(tmp_path, "git", "init", "-q", "--bare", str(folder))
    scene.git("remote", "add", name, str(folder))
    return folder


def push(scene: Scene, *words: str) -> subprocess.CompletedProcess[str]:
    """Push as anybody would, with plain git."""
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        ["git", "push", "-q", *words], cwd=scene.root, env=variables, capture_output=True, text=True
    )


def test_confidential_files_go_to_the_annex_whatever_gitattributes_say(scene: Scene) -> None:
    """Also those below code, and those whose names begin with a dot."""
    rule(scene, "code/private")
    scene.write("code/private/notes.txt", "what Mr M. said")
    scene.write("code/private/.hidden", "and his number")
    scene.write("code/open.py", "print(1)")
    scene.save()
    assert scene.git("ls-files", "-s", "code/private").count("120000") == 2
    assert scene.git("ls-files", "-s", "code/open.py").startswith("100644")
    scene.annex("fsck", "--quiet")
    assert scene.git("status", "--porcelain") == ""


def test_a_rule_that_is_younger_than_a_file_takes_it_out_of_git(scene: Scene) -> None:
    """With the next save; history has it still, and the guard knows."""
    scene.write("code/list.csv", "name\nMeyer\n")
    scene.save()
    assert scene.git("ls-files", "-s", "code/list.csv").startswith("100644")
    rule(scene, "code/*.csv")
    saved = scene.save()
    assert {e.path for e in saved.entries} >= {"code/list.csv"}
    assert scene.git("ls-files", "-s", "code/list.csv").startswith("120000")
    assert (scene.root / "code/list.csv").read_text() == "name\nMeyer\n"
    assert scene.save().commit is None
    with pytest.raises(NotAllowed, match=r"'code/list.csv' is kept in git itself"):
        check_push(scene.project.git, scene.project.rules, None, ["HEAD"], [], DAY)


def test_a_rule_for_everything_leaves_git_what_git_needs(scene: Scene) -> None:
    """The project's own file, attributes and records stay readable in every clone."""
    rule(scene, "**", more='except = ["code/README.md"]')
    scene.write("results/x", "1")
    scene.save()
    modes = {line.split("\t")[1]: line[:6] for line in scene.git("ls-files", "-s").splitlines()}
    assert modes["branchline.toml"] == modes[".gitattributes"] == "100644"
    assert modes["code/README.md"] == "100644"
    assert modes["results/x"] == modes["results/README.md"] == "120000"
    assert all(m == "100644" for p, m in modes.items() if p.startswith("activity/clone-"))


def test_a_plain_git_push_is_refused(scene: Scene, tmp_path: Path) -> None:
    """By the hook, with the sentence; nothing has arrived."""
    scene.write("code/list.csv", "name\nMeyer\n")
    scene.save()
    rule(scene, "code/list.csv")
    folder = remote(scene, tmp_path)
    done = push(scene, "hub", "main")
    assert done.returncode != 0
    assert "'code/list.csv' is kept in git itself, and may not go to that place" in done.stderr
    assert run(folder, "git", "for-each-ref") == ""


def test_a_push_runs_nothing_of_the_project(scene: Scene, tmp_path: Path) -> None:
    """Git calls the hook in the project's folder, where modules of any name may lie."""
    rule(scene, "code/list.csv")
    for module in ("branchline/__init__", "branchline/__main__", "click", "json", "os"):
        scene.write(f"{module}.py", "import pathlib\npathlib.Path('ran').touch()\n")
    remote(scene, tmp_path)
    done = push(scene, "hub", "main")
    assert done.returncode == 0, done.stderr
    assert not (scene.root / "ran").exists()


def test_what_may_go_is_pushed(scene: Scene, tmp_path: Path) -> None:
    """With its annexed names; git-annex's own branch goes, too."""
    rule(scene, "data/patients")
    scene.write("data/patients/1.csv", "a\n1\n")
    scene.save()
    folder = remote(scene, tmp_path)
    done = push(scene, "hub", "main", "git-annex")
    assert done.returncode == 0, done.stderr
    assert "refs/heads/main" in run(folder, "git", "for-each-ref")


def test_a_branch_brings_its_own_rules(scene: Scene, tmp_path: Path) -> None:
    """A push from a branch that has none does not send another branch's files."""
    scene.git("checkout", "-q", "-b", "careful")
    scene.write("code/list.csv", "name\nMeyer\n")
    scene.save()
    rule(scene, "code/list.csv")
    scene.save()
    scene.git("checkout", "-q", "main")
    assert not scene.project.rules.rules
    remote(scene, tmp_path)
    assert push(scene, "hub", "main").returncode == 0
    done = push(scene, "hub", "careful")
    assert "may not go to that place" in done.stderr


def test_what_a_merge_brought_in_and_took_out_is_seen(scene: Scene, tmp_path: Path) -> None:
    """A file that stood in one commit of a side branch only goes with the history all the same."""
    scene.git("checkout", "-q", "-b", "side")
    scene.write("code/list.csv", "name\nMeyer\n")
    scene.save()
    (scene.root / "code/list.csv").unlink()
    scene.save()
    scene.git("checkout", "-q", "main")
    scene.write("code/x.py", "1")
    scene.save()
    scene.git("merge", "-q", "--no-edit", "side")
    rule(scene, "code/list.csv")
    remote(scene, tmp_path)
    assert "may not go" in push(scene, "hub", "main").stderr


def test_content_is_judged_by_every_path_it_ever_stood_at(scene: Scene) -> None:
    """A copy or a move to an open folder does not set it free; unlocked files count."""
    rule(scene, "data/patients")
    scene.write("data/patients/1.csv", "a\n1\n")
    scene.write("data/patients/2.csv", "a\n2\n")
    scene.write("data/open.csv", "a\n3\n")
    scene.save()
    scene.git("mv", "data/patients/1.csv", "data/moved.csv")
    scene.annex("unlock", "data/patients/2.csv")
    scene.save()
    stood = paths_of_keys(scene.project.git)
    by_path = {path: key for key, paths in stood.items() for path in paths}
    assert stood[by_path["data/moved.csv"]] == {"data/moved.csv", "data/patients/1.csv"}
    said = judge_keys(scene.project.git, scene.project.rules, list(stood), "x", DAY)
    assert said[by_path["data/moved.csv"]] == "it is confidential, and may not be at 'x'"
    assert said[by_path["data/patients/2.csv"]] is not None
    assert said[by_path["data/open.csv"]] is None


def test_content_that_no_file_has_goes_nowhere(scene: Scene) -> None:
    """Where there are rules at all: nobody can say which would hold."""
    key = "SHA256E-s1--" + digest_of(b"x").removeprefix("sha256:")
    git = scene.project.git
    assert judge_keys(git, scene.project.rules, [key], None, DAY) == {key: None}
    rule(scene, "data", "public")
    assert judge_keys(git, scene.project.rules, [key], None, DAY)[key] is not None


def test_a_clone_has_the_hook_too(scene: Scene, tmp_path: Path) -> None:
    """It is this machine's own: no repository brings it along."""
    scene.write("code/list.csv", "1")
    rule(scene, "code/list.csv")
    scene.git("add", "code/list.csv", FILE)
    scene.git("commit", "-qm", "by hand")
    made = clone(str(scene.root), tmp_path / "clone", quiet)
    other = Scene(made.project.root, scene.identity)
    done = push(other, "origin", "main:elsewhere")
    assert "may not go" in done.stderr


def test_a_hook_of_somebody_elses_stays(scene: Scene, tmp_path: Path) -> None:
    """An adopted repository keeps its own."""
    from branchline.project.data.guard import install_hook

    file = scene.root / ".git/hooks/pre-push"
    assert "git annex pre-push" in file.read_text()
    file.write_text("#!/bin/sh\nexit 0\n")
    assert not install_hook(scene.root)
    assert file.read_text() == "#!/bin/sh\nexit 0\n"


def test_places_are_described_and_found_again(scene: Scene, tmp_path: Path) -> None:
    """This clone, and a remote by its address; what is said twice is refused."""
    folder = remote(scene, tmp_path)
    with scene.project.working() as project:
        describe(project, scene.identity, "desk", "", "On my desk", quiet)
        describe(project, scene.identity, "hub", "hub", "", quiet)
        fresh = scene.project
        assert here(fresh) == "desk"
        assert place_of_remote(fresh, "hub") == "hub"
        assert place_of_remote(fresh, "hub", str(tmp_path / "elsewhere")) is None
        assert place_of_remote(fresh, str(folder)) == "hub"
        assert scene.git("status", "--porcelain") == ""
    with scene.project.working() as project, pytest.raises(Conflict, match="already"):
        describe(project, scene.identity, "hub", "hub", "", quiet)
    with scene.project.working() as project, pytest.raises(Conflict, match="the place 'desk'"):
        describe(project, scene.identity, "table", "", "", quiet)
    with scene.project.working() as project, pytest.raises(NotFound, match="no remote"):
        describe(project, scene.identity, "moon", "moon", "", quiet)


def test_words_that_contradict_each_other_name_no_place(scene: Scene, tmp_path: Path) -> None:
    """A remote that has one place's address and another's uuid is trusted as neither."""
    remote(scene, tmp_path)
    with scene.project.working() as project:
        describe(project, scene.identity, "hub", "hub", "", quiet)
        describe(scene.project, scene.identity, "desk", "", "", quiet)
    scene.git("config", "remote.hub.annex-uuid", str(scene.project.annex.uuid))
    assert place_of_remote(scene.project, "hub") is None


def test_a_hook_is_told_other_things_by_git(scene: Scene) -> None:
    """Lines that are none of git's are refused, deletions send nothing."""
    with pytest.raises(Refused, match="not what git tells"):
        check_lines(scene.project, "origin", "", "rubbish\n", DAY)
    head, none = scene.git("rev-parse", "HEAD").strip(), "0" * 40
    assert check_lines(scene.project, "o", "", f"(delete) {none} refs/heads/x {head}\n", DAY) == 1


def test_the_command_says_what_may_go_where(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people in a table, for programs in JSON, with an exit code."""
    rule(scene, "data/patients", more='expires = 2999-01-01\npurpose = "Wear"')
    scene.write("data/patients/1.csv", "a\n1\n")
    scene.save()
    monkeypatch.chdir(scene.root)
    words = [str(BIN / "branchline"), "data", "rules", "--to", "hub", "--json"]
    done = subprocess.run(words, cwd=scene.root, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    (only,) = told["paths"]
    assert (only["path"], only["class"]) == ("data/patients/1.csv", "confidential")
    assert (only["expires"], only["purposes"]) == ("2999-01-01", ["Wear"])
