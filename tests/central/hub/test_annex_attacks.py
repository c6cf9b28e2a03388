"""The known attacks on git-annex's branch, pushed by a collaborator with plain git: none comes in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.central.hub.world import World, bearing, call, project_in, quiet, refused, run, saved

from branchline.project.git.keys import log_place

FAKE = "deadbeef-0000-4000-8000-000000000001"


@dataclass
class Scene:
    """A project with one content at the hub, its owner, and a collaborator who writes."""

    world: World
    owner: Path
    other: Path
    owners_uuid: str
    others_uuid: str
    hub_uuid: str
    key: str
    tokens: Mapping[Path, tuple[str, str]]
    """What git is told for each clone's person: a token, without the helper that would fetch it."""

    @property
    def log(self) -> str:
        """Where git-annex keeps the locations of the content."""
        return log_place(self.key)

    def refused(self, root: Path, *words: str) -> str:
        """Return what the hub said to git's words, which it must refuse."""
        return refused(root, "git", *self.tokens[root], *words)

    def push(self, root: Path, *words: str) -> str:
        """Return what git printed for words that must be let through."""
        return run(root, "git", *self.tokens[root], *words)

    def forge(self, lines: Mapping[str, str], *, folder: Path | None = None) -> str:
        """Write lines to the end of files of the branch, and return what the hub said to the push."""
        root = folder or self.other
        if folder is not None:
            self.push(root, "fetch", "--quiet", "hub")
            run(root, "git", "annex", "merge", "--quiet")
        made = forged(root, {path: held(root, path) + text for path, text in lines.items()})
        return self.refused(root, "push", "hub", f"{made}:refs/heads/git-annex")


def held(root: Path, path: str) -> str:
    """Return what a file of git-annex's branch holds."""
    done = call(root, "git", "show", f"git-annex:{path}")
    return done.stdout if done.returncode == 0 else ""


def forged(
    root: Path, files: Mapping[str, str | None], parents: tuple[str, ...] = ("git-annex",)
) -> str:
    """Commit a tree like git-annex's with other files, as any program could; return the commit."""
    index = root / ".git" / "forged-index"
    index.unlink(missing_ok=True)
    use = ("env", f"GIT_INDEX_FILE={index}", "git")
    run(root, *use, "read-tree", "git-annex")
    for path, text in files.items():
        if text is None:
            run(root, *use, "update-index", "--force-remove", path)
            continue
        file = root / ".git" / "forged"
        file.write_text(text)
        blob = run(root, "git", "hash-object", "-w", str(file)).strip()
        run(root, *use, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = run(root, *use, "write-tree").strip()
    words = [word for parent in parents for word in ("-p", parent)]
    return run(root, "git", "commit-tree", tree, *words, "-m", "update").strip()


@pytest.fixture(scope="module")
def scene(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give the project; the tests change nothing at the hub but by ways of their own."""
    folder = tmp_path_factory.mktemp("attacks")
    with world.client("clara") as clara, world.client("ben") as ben:
        project = project_in(folder / "clara" / "forge", clara, {"data/scan.bin": b"\1\2" * 5000})
        hosted = clara.publish_project(project.root)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        clara.publish_project(project.root)
        clara.share_project("clara/forge", "ben", "write")
        cloned = ben.clone_project("clara/forge", folder / "ben" / "forge", progress=quiet).project
        run(cloned.root, "git", "annex", "merge", "--quiet")
        run(cloned.root, "git", "push", "--quiet", "hub", "git-annex")
        yield Scene(
            world,
            project.root,
            cloned.root,
            run(project.root, "git", "config", "annex.uuid").strip(),
            run(cloned.root, "git", "config", "annex.uuid").strip(),
            hosted.annex,
            Path((project.root / "data/scan.bin").readlink()).name,
            {
                project.root: bearing(clara.hub_token("clara/forge").token),
                cloned.root: bearing(ben.hub_token("clara/forge").token),
            },
        )


def test_forged_trust_that_would_delete_the_last_copy(scene: Scene) -> None:
    """Three forged lines make git-annex drop the last copy; the hub takes none of them in."""
    now = f"{time.time():.0f}s"
    said = scene.forge(
        {
            "uuid.log": f"{FAKE} fake timestamp={now}\n",
            "trust.log": f"{FAKE} 1 timestamp={now}\n",
            scene.log: f"1577836800s 1 {FAKE}\n",
        }
    )
    assert f"git-annex would trust the repository {FAKE} unseen" in said
    run(scene.owner, "git", "annex", "merge", "--quiet")
    assert FAKE not in held(scene.owner, "trust.log")


def test_not_even_an_owner_has_a_repository_trusted(scene: Scene) -> None:
    """Trust is refused whoever pushes it."""
    said = scene.forge(
        {"trust.log": f"{scene.owners_uuid} 1 timestamp={time.time():.0f}s\n"}, folder=scene.owner
    )
    assert "unseen" in said


def test_a_copy_somebody_else_is_said_to_have(scene: Scene) -> None:
    """Nobody writes locations of another's clone, known or not."""
    now = f"{time.time():.0f}s"
    said = scene.forge({scene.log: f"{now} 0 {scene.owners_uuid}\n"})
    assert f"speaks for the repository {scene.owners_uuid}, which is clara's" in said
    said = scene.forge({scene.log: f"{now} 1 {FAKE}\n"})
    assert f"speaks for the repository {FAKE}, which was never told of here" in said
    said = scene.forge({"uuid.log": f"{scene.owners_uuid} mine now timestamp={now}\n"})
    assert "which is clara's" in said


def test_what_is_said_of_the_hub_is_held_against_its_disk(scene: Scene) -> None:
    """The hub's own copies are told as they are, and nothing else is."""
    now = f"{time.time():.0f}s"
    said = scene.forge({scene.log: f"{now} 0 {scene.hub_uuid}\n"})
    assert "would say that the hub has not the content" in said
    other = f"SHA256E-s4--{'0' * 64}.bin"
    said = scene.forge({log_place(other): f"{now} 1 {scene.hub_uuid}\n"})
    assert "would say that the hub has the content" in said
    said = scene.forge({"trust.log": f"{scene.hub_uuid} X timestamp={now}\n"})
    assert "speaks for the hub" in said


def test_fewer_copies_than_the_owners_want(scene: Scene) -> None:
    """A collaborator lowers no number of copies, and nobody lowers it below one."""
    now = f"{time.time():.6f}s"
    for file in ("numcopies.log", "mincopies.log"):
        assert "ben does not own the project" in scene.forge({file: f"{now} 1\n"})
        assert "At least one copy" in scene.forge({file: f"{now} 0\n"}, folder=scene.owner)


def test_what_is_decided_for_others(scene: Scene) -> None:
    """Required and preferred content, groups and special remotes of others are theirs, or owners'."""
    stamp = f"timestamp={time.time():.0f}s"
    for file in ("required-content.log", "preferred-content.log", "group.log"):
        assert "which is clara's" in scene.forge({file: f"{scene.owners_uuid} nothing {stamp}\n"})
    remote = (
        f"{FAKE} autoenable=true encryption=none externaltype=evil name=x type=external {stamp}\n"
    )
    assert "ben does not own" in scene.forge({"remote.log": remote})
    uuid = f"{FAKE} x {stamp}\n"
    said = scene.forge({"uuid.log": uuid, "remote.log": remote}, folder=scene.owner)
    assert "would set itself up in every clone" in said
    assert "ben does not own" in scene.forge(
        {"config.log": f"{stamp[10:]} annex.autocommit false\n"}
    )


def test_a_line_from_the_future_wins_over_nothing(scene: Scene) -> None:
    """A later line always wins, so none may be dated ahead."""
    later = f"{time.time() + 10_000:.0f}s"
    said = scene.forge({scene.log: f"{later} 0 {scene.others_uuid}\n"})
    assert "is dated in the future" in said


def test_files_that_are_none_of_git_annexs(scene: Scene) -> None:
    """What cannot be judged is not taken in."""
    assert "is no file of git-annex's branch" in scene.forge({"evil.log": "x\n"})
    now = f"{time.time():.0f}s"
    wrong = f"000/000/{scene.key}.log"
    assert "stands in a wrong place" in scene.forge({wrong: f"{now} 1 {scene.others_uuid}\n"})


def test_git_annex_forget_is_not_taken_in(scene: Scene, tmp_path: Path) -> None:
    """History that git-annex has forgotten does not replace the one the hub has."""
    root = tmp_path / "forgetful"
    shutil.copytree(scene.other, root, symlinks=True)
    words = scene.tokens[scene.other]
    before = run(root, "git", "rev-parse", "git-annex").strip()
    run(root, "git", "annex", "forget", "--force", "--quiet")
    said = refused(root, "git", *words, "push", "--force", "hub", "git-annex")
    assert "would not go on from where it ends here" in said
    made = forged(root, {}, ("git-annex", before))
    said = refused(root, "git", *words, "push", "hub", f"{made}:refs/heads/git-annex")
    assert "History of git-annex's branch would be forgotten" in said


def test_lines_and_files_that_would_be_gone(scene: Scene) -> None:
    """Erasing what was said, by whole files or by lines, is refused, also by way of ``synced/``."""
    for files in ({scene.log: None}, {scene.log: ""}, {"uuid.log": ""}):
        made = forged(scene.other, files)
        said = scene.refused(scene.other, "push", "hub", f"{made}:refs/heads/git-annex")
        assert "would be gone" in said or "would be taken from" in said
    line = f"{time.time():.0f}s 0 {scene.owners_uuid}\n"
    made = forged(scene.other, {scene.log: held(scene.other, scene.log) + line})
    said = scene.refused(scene.other, "push", "hub", f"{made}:refs/heads/synced/git-annex")
    assert "which is clara's" in said


def test_a_branch_that_is_rewritten_or_removed(scene: Scene) -> None:
    """Branches only grow; tags stand."""
    rewritten = run(scene.other, "git", "commit-tree", "HEAD^{tree}", "-m", "Other").strip()
    said = scene.refused(scene.other, "push", "--force", "hub", f"{rewritten}:refs/heads/main")
    assert "history would be rewritten" in said
    assert "was pushed here is evidence" in scene.refused(scene.other, "push", "hub", ":main")
    said = scene.refused(scene.other, "push", "hub", "HEAD:refs/notes/x")
    assert "is no branch or tag" in said


def test_work_goes_on_after_all_that(scene: Scene) -> None:
    """What is honest comes in: a copy of one's own, told by oneself, and merged by the other."""
    run(scene.other, "git", "annex", "get", "--quiet", ".")
    run(scene.other, "git", "annex", "merge", "--quiet")
    scene.push(scene.other, "push", "--quiet", "hub", "git-annex")
    scene.push(scene.owner, "fetch", "--quiet", "hub")
    run(scene.owner, "git", "annex", "merge", "--quiet")
    told = run(scene.owner, "git", "annex", "whereis", "data/scan.bin")
    assert "(3 copies)" in told
    with scene.world.client("ben") as ben:
        saved(scene.other, ben, {"data/more.bin": b"\3" * 3000})
        scene.push(scene.other, "push", "--quiet", "hub", "main")
        assert "ok" in run(scene.other, "git", "annex", "sync", "--content", "hub")
