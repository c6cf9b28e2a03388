"""A content that is nowhere any more stands in nobody's way."""

from __future__ import annotations

from tests.project.conftest import quiet
from tests.project.syncing.conftest import Pair, synced

from branchline.project.activity.verify import verify
from branchline.project.branching import rollback, switch
from branchline.project.merging.merge import merge


def test_work_goes_on_without_a_content_that_is_missing_everywhere(pair: Pair) -> None:
    """Save, branch, merge, roll back, sync, clone alike: its name is kept, and what it was is known."""
    mira, link = pair.mira, pair.mira.root / "data/wear.csv"
    target = link.readlink()
    mira.annex("drop", "--force", "--quiet", "data/wear.csv")
    mira.write("code/more.py", "1\n")
    first = mira.save().records[0].digest
    with mira.project.working() as project:
        switch(project, mira.identity, "aside", quiet)
    mira.git("mv", "data/wear.csv", "data/moved.csv")
    mira.write("code/aside.py", "2\n")
    mira.save()
    with mira.project.working() as project:
        switch(project, mira.identity, "main", quiet)
    mira.write("code/main.py", "3\n")
    mira.save()
    with mira.project.working() as project:
        assert merge(project, mira.identity, "aside", {}, quiet).state == "merged"
    assert (mira.root / "data/moved.csv").readlink() == target
    assert synced(mira, content=True).state == "synced"
    assert synced(pair.jo, content=True).state == "synced"
    assert (pair.jo.root / "data/moved.csv").readlink() == target
    with mira.project.working() as project:
        rollback(project, mira.identity, first, quiet, name="back")
    assert link.readlink() == target
    for scene in (mira, pair.jo):
        assert verify(scene.project).faults == []
        assert scene.git("status", "--porcelain") == ""
