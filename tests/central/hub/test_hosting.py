"""Publishing, sharing, copying and deleting hosted projects, over real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.central.hub.world import World, project_in, refused, run, saved

from branchline.foundation.errors import Conflict, NotAllowed, NotFound, Refused
from branchline.journey import acts


def test_a_published_project_is_at_the_hub_and_plain_git_reaches_it(
    world: World, tmp_path: Path
) -> None:
    """After publish, push and fetch need nothing but git; publish again changes nothing."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "wear", clara, {"code/a.py": "print(1)\n"})
        found = clara.publish_project(project.root)
        assert (found.place, found.role, found.visibility) == ("clara/wear", "own", "private")
        assert found.heads["main"] == project.git.head()
        positions = len(clara.home.acts("central.test/branchline"))
        assert clara.publish_project(project.root) == found
        assert len(clara.home.acts("central.test/branchline")) == positions
        saved(project.root, clara, {"code/a.py": "print(2)\n"})
        run(project.root, "git", "push", "hub", "main")
        head = run(project.root, "git", "rev-parse", "HEAD").strip()
        assert clara.hosted_project("clara/wear").heads["main"] == head
        assert run(project.root, "git", "ls-remote", "hub", "main").split()[0] == head


def test_what_is_done_to_a_hosted_project_stands_in_the_ledger(
    world: World, tmp_path: Path
) -> None:
    """Each act is signed by whoever does it; sent again it has no second effect."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "acts", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        clara.share_project("clara/acts", "ben", "write")
        clara.share_project("clara/acts", "ben", "write")
        clara.show_project_to("clara/acts", "internal")
        clara.unshare_project("clara/acts", "ben")
        clara.delete_project("clara/acts", "No longer needed")
        entries = clara.home.acts("central.test/branchline")
        made = [acts.read_act(entry, clara.home.identity.public) for entry in entries]
    kinds = [acts.kind_of(act) for act in made][-5:]
    assert kinds == [
        *("project.published", "project.shared", "project.shown"),
        *("project.unshared", "project.deleted"),
    ]


def test_roles_say_who_may_do_what(world: World, tmp_path: Path) -> None:
    """An outsider learns nothing, a reader reads, a writer shares with nobody."""
    with (
        world.client("clara") as clara,
        world.client("ben") as ben,
        world.client("rhea") as rhea,
        world.client("otto") as otto,
    ):
        project = project_in(tmp_path / "roles", clara, {"code/a.py": "1\n"})
        clara.publish_project(project.root)
        with pytest.raises(NotFound, match="no project clara/roles here that you may see"):
            otto.hosted_project("clara/roles")
        with pytest.raises(NotFound):
            otto.hub_token("clara/roles")
        clara.share_project("clara/roles", "ben", "write")
        found = clara.share_project("clara/roles", "rhea", "read")
        assert [(c.name, c.role) for c in found.collaborators] == [
            *(("clara", "own"), ("ben", "write"), ("rhea", "read"))
        ]
        assert rhea.hub_token("clara/roles").right == "read"
        with pytest.raises(NotAllowed, match="rhea reads clara/roles"):
            rhea.hub_token("clara/roles", "write")
        with pytest.raises(NotAllowed, match="ben writes to clara/roles"):
            ben.share_project("clara/roles", "otto", "read")
        with pytest.raises(Conflict, match="stays its owner"):
            clara.share_project("clara/roles", "clara", "read")
        with pytest.raises(NotFound, match="nobody"):
            clara.share_project("clara/roles", "nobody", "read")
        assert clara.show_project_to("clara/roles", "internal").visibility == "internal"
        seen = otto.hosted_project("clara/roles")
        assert (seen.role, seen.collaborators) == ("read", ())
        assert "clara/roles" in {each.place for each in otto.hosted_projects()}
        rhea.unshare_project("clara/roles", "rhea")
        clara.show_project_to("clara/roles", "private")
        with pytest.raises(NotFound):
            rhea.hosted_project("clara/roles")


def test_names_that_collide_are_told_apart_or_refused(world: World, tmp_path: Path) -> None:
    """One name is one project for each owner; a name that is none for a hub is refused."""
    with world.client("clara") as clara, world.client("ben") as ben:
        first = project_in(tmp_path / "a" / "same", clara, {"code/a.py": "1\n"})
        second = project_in(tmp_path / "b" / "same", clara, {"code/a.py": "2\n"})
        third = project_in(tmp_path / "c" / "same", ben, {"code/a.py": "3\n"})
        clara.publish_project(first.root)
        with pytest.raises(Conflict, match="clara/same is another project"):
            clara.publish_project(second.root)
        assert ben.publish_project(third.root).place == "ben/same"
        with pytest.raises(Refused, match="not a name for a hosted project"):
            clara.publish_project(second.root, name="../same")


def test_a_copy_is_a_project_of_its_own(world: World, tmp_path: Path) -> None:
    """A copy has the branches and goes its own way; only who may read can copy."""
    with world.client("clara") as clara, world.client("otto") as otto:
        project = project_in(tmp_path / "orig", clara, {"code/a.py": "1\n"})
        original = clara.publish_project(project.root)
        with pytest.raises(NotFound):
            otto.copy_project("clara/orig")
        clara.show_project_to("clara/orig", "internal")
        copy = otto.copy_project("clara/orig", name="mine")
        assert (copy.place, copy.visibility, copy.role) == ("otto/mine", "private", "own")
        assert copy.heads == original.heads
        assert copy.project == original.project
        assert otto.copy_project("clara/orig", name="mine").hosted == copy.hosted
        saved(project.root, clara, {"code/a.py": "2\n"})
        run(project.root, "git", "push", "hub", "main")
        assert otto.hosted_project("otto/mine").heads == original.heads


def test_what_is_deleted_is_gone_and_its_name_is_free(world: World, tmp_path: Path) -> None:
    """Deleting is refused when something came meanwhile; afterwards nothing is left on the disk."""
    with world.client("clara") as clara:
        project = project_in(tmp_path / "gone", clara, {"code/a.py": "1\n"})
        first = clara.publish_project(project.root)
        repository = world.repository(clara, "clara/gone")
        found, _ = clara.delete_project("clara/gone", "Tidying up")
        assert found == first
        assert not repository.exists()
        with pytest.raises(NotFound):
            clara.hosted_project("clara/gone")
        assert "There is no project clara/gone" in refused(
            project.root, "git", "push", "hub", "main"
        )
        assert clara.publish_project(project.root).hosted != first.hosted
