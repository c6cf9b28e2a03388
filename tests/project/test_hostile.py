"""A repository from elsewhere is opened, saved and cloned without running anything that it names."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet, run

from branchline.foundation.errors import Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import write_note
from branchline.project.activity.verify import verify
from branchline.project.beginning import begin
from branchline.project.branching import rollback, switch
from branchline.project.carrying.bring import bring
from branchline.project.carrying.export import export
from branchline.project.carrying.judging import judged
from branchline.project.cloning import clone
from branchline.project.data.dropping import drop
from branchline.project.differing import changes_of
from branchline.project.merging.merge import merge
from branchline.project.place import Project
from branchline.project.runs.places import Place
from branchline.project.runs.run import Order
from branchline.project.runs.run import run as runs
from branchline.project.saving import save
from branchline.project.syncing.getting import get
from branchline.project.syncing.sync import sync

RUN = "touch {trap}; cat"

SETTINGS = {
    "core.fsmonitor": RUN,
    "core.hooksPath": "{hooks}",
    "core.pager": RUN,
    "core.editor": RUN,
    "core.sshCommand": RUN,
    "core.alternateRefsCommand": RUN,
    "core.askPass": RUN,
    "credential.helper": "!" + RUN,
    "diff.external": RUN,
    "diff.evil.command": RUN,
    "diff.evil.textconv": RUN,
    "merge.evil.driver": RUN,
    "filter.evil.clean": RUN,
    "filter.evil.smudge": RUN,
    "filter.evil.process": RUN,
    "filter.annex.clean": RUN,
    "filter.annex.process": RUN,
    "gpg.program": RUN,
    "commit.gpgSign": "true",
    "alias.status": "!" + RUN,
    "annex.secure-erase-command": RUN,
    "annex.freezecontent-command": RUN,
    "annex.thawcontent-command": RUN,
    "annex.post-update-command": RUN,
    "remote.origin.annex-ssh-command": RUN,
    "core.worktree": "{elsewhere}",
    "include.path": "{included}",
}
HOOKS = (
    *("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout"),
    *("post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc"),
    *("pre-commit-annex", "freezecontent-annex", "thawcontent-annex", "secure-erase-annex"),
    *("post-update-annex", "reference-transaction-annex"),
)


def set_trap(root: Path, tmp_path: Path) -> Path:
    """Lay hooks that leave a trace; return where it would be."""
    trap = tmp_path / "trap"
    for folder in (root / ".git" / "hooks", tmp_path / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in HOOKS:
            (folder / name).write_text(f"#!/bin/sh\ntouch {trap}\n")
            (folder / name).chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "private").write_text("nobody's business")
    (tmp_path / "included").write_text(f'[filter "evil"]\nclean = touch {trap}; cat\n')
    return trap


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_runs_a_program(
    setting: str, tmp_path: Path, person: Identity, scene: Scene
) -> None:
    """Everything a project can be asked is asked; it works, or is refused and named."""
    trap = set_trap(scene.root, tmp_path)
    scene.write(".gitattributes", "* filter=evil diff=evil merge=evil annex.largefiles=anything\n")
    known = {n: str(tmp_path / n) for n in ("trap", "hooks", "elsewhere", "included")}
    scene.git("config", setting, SETTINGS[setting].format(**known))
    scene.write("data/a", "content")
    scene.write("code/b", "content")
    refused = False
    try:
        with Project.open(scene.root).working() as project:
            changes_of(project)
            save(project, person, quiet)
            write_note(project, person, "still here", milestone=False)
            verify(project)
    except Refused as error:
        refused = ".git/config" in str(error)
    assert not trap.exists()
    kinds = ("filter.evil", "annex.", "remote.", "core.worktree", "include.")
    assert refused == setting.startswith(kinds)
    if not refused:
        assert scene.git("status", "--porcelain") == ""
        assert "nobody" not in scene.git("log", "-p", "--all", "--no-ext-diff", "--no-textconv")


def test_hooks_do_not_run_when_a_repository_is_adopted(tmp_path: Path, person: Identity) -> None:
    """Those that git-annex would run, which no setting switches off, are refused by name."""
    root = tmp_path / "theirs"
    run(tmp_path, "git", "init", "-q", "theirs")
    (root / "a").write_text("1")
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", "theirs")
    trap = set_trap(root, tmp_path)
    with pytest.raises(Refused, match="a hook that git-annex would run"):
        begin(root, person, quiet)
    assert not trap.exists()
    for hook in (root / ".git/hooks").glob("*-annex"):
        hook.unlink()
    begin(root, person, quiet)
    (root / "data").mkdir(exist_ok=True)
    (root / "data/a").write_text("1")
    with Project.open(root).working() as project:
        save(project, person, quiet)
    assert not trap.exists()


@pytest.mark.parametrize("path", ["activity", "activity/blobs", ".gitattributes"])
def test_nothing_is_written_through_links(path: str, tmp_path: Path, person: Identity) -> None:
    """A folder of the project that leads elsewhere is refused."""
    root, elsewhere = tmp_path / "theirs", tmp_path / "elsewhere"
    run(tmp_path, "git", "init", "-q", "theirs")
    elsewhere.mkdir()
    (root / path).parent.mkdir(exist_ok=True)
    os.symlink(elsewhere, root / path)
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", "theirs")
    with pytest.raises(Refused, match="link"):
        begin(root, person, quiet)
        for i in range(300):
            (root / f"{i}.py").write_text(f"{i}")
        with Project.open(root).working() as project:
            save(project, person, quiet)
    assert list(elsewhere.iterdir()) == []


def test_git_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """As a link, or as a file that names another folder."""
    run(tmp_path, "git", "init", "-q", "mine")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/.git").write_text(f"gitdir: {tmp_path}/mine/.git\n")
    with pytest.raises(Refused, match="leads to a repository elsewhere"):
        Project.open(tmp_path / "theirs")
    (tmp_path / "linked").mkdir()
    os.symlink(tmp_path / "mine/.git", tmp_path / "linked/.git")
    with pytest.raises(Refused, match="leads to a repository elsewhere"):
        Project.open(tmp_path / "linked")


def test_the_callers_shell_does_not_leak_in(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that point git to another repository change nothing."""
    run(tmp_path, "git", "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    scene.write("code/a", "1")
    assert [c.path for c in changes_of(scene.project)] == ["code/a"]
    assert scene.save().commit
    assert not (tmp_path / "index").exists()


def test_git_lfs_is_named(scene: Scene) -> None:
    """Where content passes through another program, that is said, not guessed around."""
    scene.git("config", "filter.lfs.clean", "git-lfs clean -- %f")
    with pytest.raises(Refused, match="Git LFS"):
        Project.open(scene.root)


def test_nothing_of_a_repository_runs_whatever_is_done_with_it(
    tmp_path: Path, person: Identity, scene: Scene
) -> None:
    """Hooks and settings that a folder brought along: through a day's work none of them is heard."""
    between = tmp_path / "between.git"
    run(tmp_path, "git", "init", "-q", "--bare", "--initial-branch=main", str(between))
    (between / "hooks").mkdir(exist_ok=True)
    scene.write("data/a.csv", "content\n")
    scene.write("code/b.py", "1\n")
    first = scene.save().records[0].digest
    trap = set_trap(scene.root, tmp_path)
    for hook in (scene.root / ".git/hooks").glob("*-annex"):
        hook.unlink()
    for name in ("post-merge", "post-rewrite", "pre-push", "push-to-checkout", "post-update"):
        hook = scene.root / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    # These are refused by name, here or where others are to be reached.
    refused = (
        *("filter.", "annex.", "remote.", "core.worktree", "include.", "core.askPass"),
        *("core.sshCommand", "credential.helper"),
    )
    known = {n: str(tmp_path / n) for n in ("trap", "hooks", "elsewhere", "included")}
    for setting, value in SETTINGS.items():
        if not setting.startswith(refused):
            scene.git("config", setting, value.format(**known))
    scene.write(".gitattributes", "*.py diff=evil merge=evil\ndata/** annex.largefiles=anything\n")
    # What the traps are for, they do: git itself falls into one, so that silence proves something.
    scene.git("-c", "alias.status=", "commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "x")
    assert trap.exists()
    trap.unlink()

    def held() -> AbstractContextManager[Project]:
        return Project.open(scene.root).working()

    with held() as project:
        save(project, person, quiet)
    with held() as project:
        switch(project, person, "aside", quiet)
    scene.write("code/b.py", "2\n")
    with held() as project:
        save(project, person, quiet)
        switch(project, person, "main", quiet)
    scene.write("code/c.py", "3\n")
    with held() as project:
        merge(project, person, "aside", {}, quiet)
        sync(project, person, str(between), {}, quiet, content=True)
        rollback(project, person, first, quiet, name="back")
        drop(project, person, ["data/a.csv"], "", quiet)
        get(project, person, ["data/a.csv"], quiet)
        export(project, person, tmp_path / "out.zip", quiet, crate=True)
    order = Order(("true",))
    runs(scene.root, person, order, Place(None), quiet, (None, None))
    with judged(tmp_path / "out.zip", quiet) as (found, _):
        assert found.good
    bring(tmp_path / "out.zip", tmp_path / "again", quiet)
    clone(str(scene.root), tmp_path / "cloned", quiet)
    assert verify(scene.project).faults == []
    assert not trap.exists()
