"""Confidential contents that a place swapped are noticed before they stand where they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.project.conftest import Scene, quiet, run
from tests.project.data.test_guard import rule

from branchline.foundation.keys import Identity
from branchline.project.activity.feed import newest
from branchline.project.cloning import clone
from branchline.project.data.keys import accept, make, share
from branchline.project.data.places import describe
from branchline.project.git.keys import object_place
from branchline.project.syncing.getting import get
from branchline.project.syncing.sync import sync

TRUE, FALSE = "p1,yes\n", "p1,non\n"
PATH = "data/patients/4711.csv"


@pytest.fixture
def hub(scene: Scene, tmp_path: Path) -> Path:
    """A place without the key, that has a confidential content."""
    rule(scene, "data/patients", more='allowed = ["desk*"]', named=False)
    with scene.project.working() as project:
        make(project, scene.identity, quiet)
    scene.write(PATH, TRUE)
    scene.save()
    hub = tmp_path / "hub.git"
    run(tmp_path, "git", "init", "-q", "--bare", "--initial-branch=main", str(hub))
    run(hub, "git-annex", "init", "-q", "hub")
    scene.git("remote", "add", "hub", str(hub))
    scene.annex("copy", "-q", "--to=hub", PATH)
    with scene.project.working() as project:
        sync(project, scene.identity, "hub", {}, quiet)
    return hub


def swap(hub: Path, scene: Scene, text: str = FALSE) -> None:
    """Do what a man at the place's disk can do: the name stays, the size stays, the bytes do not."""
    name = Path(os.readlink(scene.root / PATH)).name
    (place,) = hub.glob(f"annex/objects/**/{name}/{name}")
    place.parent.chmod(0o755)
    place.chmod(0o644)
    place.write_text(text)


def another(scene: Scene, hub: Path, tmp_path: Path, *, key: bool) -> Scene:
    """Somebody else's clone of the place, with or without the project's data key."""
    made = clone(str(hub), tmp_path / "other", quiet).project
    other = Scene(made.root, Identity.create())
    with other.project.working() as project:
        describe(project, other.identity, "desk", "", "Another computer", quiet)
    if key:
        sealed = share(scene.project, (other.identity.public.seal,))
        accept(other.project, other.identity, sealed)
    return other


def is_there(scene: Scene) -> bool:
    """Tell whether the content stands in its place."""
    name = Path(os.readlink(scene.root / PATH)).name
    return (scene.root / ".git/annex/objects" / object_place(name)).exists()


@pytest.mark.parametrize("own", ["", "annex.verify", "remote.origin.annex-verify"])
def test_get_takes_nothing_that_does_not_fit_its_name(
    scene: Scene, hub: Path, tmp_path: Path, own: str
) -> None:
    """Whatever the clone's settings say; it is on record that it did not come; and the true one does."""
    other = another(scene, hub, tmp_path, key=True)
    if own:
        other.git("config", own, "false")
    swap(hub, scene)
    with other.project.working() as project:
        got = get(project, other.identity, [PATH], quiet)
    assert (len(got.arrived), [each.path for each in got.failed]) == (0, [PATH])
    assert not is_there(other)
    assert next(newest(other.project)).record.outcome == "failed"
    swap(hub, scene, TRUE)
    with other.project.working() as project:
        got = get(project, other.identity, [PATH], quiet)
    assert [each.path for each in got.arrived] == [PATH]
    assert got.unchecked == ()
    assert (other.root / PATH).read_text() == TRUE


def test_sync_takes_nothing_either(scene: Scene, hub: Path, tmp_path: Path) -> None:
    """With contents asked for."""
    other = another(scene, hub, tmp_path, key=True)
    swap(hub, scene)
    with other.project.working() as project:
        done = sync(project, other.identity, "", {}, quiet, content=True)
    assert done.exchanged is not None
    assert list(done.exchanged.failed) == [PATH]
    assert not is_there(other)


def test_a_clone_without_the_key_says_what_it_could_not_check(
    scene: Scene, hub: Path, tmp_path: Path
) -> None:
    """It holds what it cannot judge, and names it; once it has the key, it is found out."""
    other = another(scene, hub, tmp_path, key=False)
    swap(hub, scene)
    with other.project.working() as project:
        got = get(project, other.identity, [PATH], quiet)
    assert ([each.path for each in got.arrived], got.unchecked) == ([PATH], (PATH,))
    sealed = share(scene.project, (other.identity.public.seal,))
    accept(other.project, other.identity, sealed)
    with pytest.raises(AssertionError, match="Bad file content"):
        other.annex("fsck", PATH)
