"""Two people sync with a hub: what either did arrives, contents too, and a reader is told he may not send."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.central.hub.world import World, project_in, quiet, saved

from branchline import Client
from branchline.foundation.errors import BranchlineError
from branchline.project.activity.verify import verify
from branchline.project.place import Project
from branchline.project.syncing.sync import Synced, sync


def synced(folder: Path, client: Client, *, content: bool | None = None) -> Synced:
    """Sync with the hub."""
    with Project.open(folder).working() as project:
        return sync(project, client.home.identity, "", {}, quiet, content=content)


@pytest.mark.slow
def test_work_and_contents_go_through_the_hub(world: World, tmp_path: Path) -> None:
    """Over HTTP, with tokens that the clone's own helper fetches."""
    with world.client("clara") as clara, world.client("ben") as ben:
        project = project_in(tmp_path / "synced", clara, {"code/a.py": "1\n", "data/a.csv": "a\n"})
        clara.publish_project(project.root)
        clara.share_project("clara/synced", "ben", "write")
        assert synced(project.root, clara, content=True).remote == "hub"
        ben.clone_project("clara/synced", tmp_path / "bens")
        done = synced(tmp_path / "bens", ben, content=True)
        assert done.exchanged is not None
        assert "data/a.csv" in done.exchanged.brought
        assert (tmp_path / "bens/data/a.csv").read_text() == "a\n"
        saved(tmp_path / "bens", ben, {"code/b.py": "2\n", "data/b.csv": "b\n"})
        saved(project.root, clara, {"code/c.py": "3\n"})
        synced(project.root, clara)
        done = synced(tmp_path / "bens", ben)
        assert done.merge is not None
        assert done.exchanged is not None
        assert "data/b.csv" in done.exchanged.sent
        for folder, who in ((project.root, clara), (tmp_path / "bens", ben), (project.root, clara)):
            synced(folder, who)
        assert (project.root / "data/b.csv").read_text() == "b\n"
        heads = {Project.open(f).git.head() for f in (project.root, tmp_path / "bens")}
        assert heads == {clara.hosted_project("clara/synced").heads["main"]}
        assert verify(Project.open(project.root)).faults == []


def test_a_reader_keeps_his_work_and_is_told(world: World, tmp_path: Path) -> None:
    """What he did is saved in his clone; the hub takes nothing of it."""
    with world.client("clara") as clara, world.client("rhea") as rhea:
        project = project_in(tmp_path / "read", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        clara.share_project("clara/read", "rhea", "read")
        rhea.clone_project("clara/read", tmp_path / "rheas")
        (tmp_path / "rheas/code/mine.py").write_text("mine\n")
        before = clara.hosted_project("clara/read").heads["main"]
        with pytest.raises(BranchlineError):
            synced(tmp_path / "rheas", rhea)
        assert clara.hosted_project("clara/read").heads["main"] == before
        assert "mine" in Project.open(tmp_path / "rheas").git.word("show", "HEAD:code/mine.py")
