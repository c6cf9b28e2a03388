"""Content by git-annex itself, through the hub's door."""

from __future__ import annotations

from pathlib import Path

from tests.central.hub.world import World, call, project_in, quiet, refused, run

SCAN = b"\0\1" * 50_000


def test_content_goes_to_the_hub_and_comes_from_there(world: World, tmp_path: Path) -> None:
    """Plain git-annex brings content, a drop counts on the hub's copy, another clone gets it."""
    with world.client("clara") as clara, world.client("ben") as ben:
        project = project_in(tmp_path / "bring", clara, {"data/scan.bin": SCAN})
        clara.publish_project(project.root)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", "data/scan.bin")
        run(project.root, "git", "annex", "drop", "--quiet", "data/scan.bin")
        assert not (project.root / "data/scan.bin").exists()
        run(project.root, "git", "annex", "get", "--quiet", "data/scan.bin")
        assert (project.root / "data/scan.bin").read_bytes() == SCAN
        clara.publish_project(project.root)
        clara.share_project("clara/bring", "ben", "write")
        cloned = ben.clone_project(
            "clara/bring", tmp_path / "ben" / "bring", get=True, progress=quiet
        )
        assert (cloned.project.root / "data/scan.bin").read_bytes() == SCAN
        assert not cloned.faults


def test_only_what_a_branch_names_is_taken_and_only_by_those_who_write(
    world: World, tmp_path: Path
) -> None:
    """Content of a file that was not pushed waits for the branch; a reader gets and brings nothing."""
    with world.client("clara") as clara, world.client("rhea") as rhea:
        project = project_in(tmp_path / "named", clara, {"data/scan.bin": SCAN})
        clara.publish_project(project.root)
        (project.root / "data/new.bin").write_bytes(b"new" * 1000)
        run(project.root, "git", "annex", "add", "--quiet", "data/new.bin")
        assert call(project.root, "git", "annex", "copy", "--to", "hub", "data/new.bin").returncode
        clara.share_project("clara/named", "rhea", "read")
        cloned = rhea.clone_project("clara/named", tmp_path / "rhea" / "named", progress=quiet)
        (cloned.project.root / "data/mine.bin").write_bytes(b"mine" * 1000)
        run(cloned.project.root, "git", "annex", "add", "--quiet", "data/mine.bin")
        assert call(cloned.project.root, "git", "annex", "copy", "--to", "hub", ".").returncode
        said = refused(cloned.project.root, "git", "push", "hub", "HEAD:refs/heads/rhea")
        assert "rhea reads clara/named" in said


def test_a_copy_has_the_content_and_goes_on_with_the_original(world: World, tmp_path: Path) -> None:
    """A copy's content is there and told of; what the original took in may be pushed to the copy."""
    with world.client("clara") as clara, world.client("otto") as otto:
        project = project_in(tmp_path / "fork", clara, {"data/scan.bin": SCAN})
        clara.publish_project(project.root)
        run(project.root, "git", "annex", "copy", "--quiet", "--to", "hub", ".")
        clara.publish_project(project.root)
        clara.show_project_to("clara/fork", "internal")
        copy = otto.copy_project("clara/fork")
        cloned = otto.clone_project(
            "otto/fork", tmp_path / "otto" / "fork", get=True, progress=quiet
        )
        root = cloned.project.root
        assert (root / "data/scan.bin").read_bytes() == SCAN
        assert copy.annex in run(root, "git", "annex", "whereis", "data/scan.bin")
        # Content is shared, not stored twice; deleting the original takes nothing from the copy.
        run(project.root, "git", "annex", "fsck", "--quiet", "--fast")
        clara.publish_project(project.root)
        with_original = otto.clone_project(
            "clara/fork", tmp_path / "o2", progress=quiet
        ).project.root
        run(
            root,
            "git",
            "fetch",
            "--quiet",
            str(with_original),
            "refs/remotes/hub/git-annex:refs/remotes/up/git-annex",
        )
        run(root, "git", "annex", "merge", "--quiet")
        run(root, "git", "push", "--quiet", "hub", "git-annex")
        clara.delete_project("clara/fork", "Moved")
        run(root, "git", "annex", "drop", "--quiet", "data/scan.bin")
        run(root, "git", "annex", "get", "--quiet", "data/scan.bin")
