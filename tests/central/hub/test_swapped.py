"""A hub cannot check what is named under a secret; whoever has the secret can, and nothing gets past him."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.central.hub.world import World, call, project_in, quiet, run, saved

from branchline import Client
from branchline.project.data.keys import accept, make, share
from branchline.project.data.places import describe
from branchline.project.place import Project
from branchline.project.syncing.getting import get

RULE = """
[[data]]
paths = ["data/patients"]
confidentiality = "confidential"
allowed = ["*"]
"""
PATH = "data/patients/p1.csv"
TRUE, FALSE = "p1,yes\n", "p1,non\n"


def place(root: Path, client: Client, name: str, remote: str = "") -> None:
    """Describe a place, so that rules can speak of it."""
    with Project.open(root).working() as project:
        describe(project, client.home.identity, name, remote, name, quiet)


@pytest.mark.parametrize("who", ["the hub", "a collaborator"])
def test_a_content_that_was_swapped_at_the_hub_is_noticed_by_who_has_the_key(
    world: World, tmp_path: Path, who: str
) -> None:
    """Of the same size, by a man at its disk or by whoever may write: the hub serves it, get refuses it."""
    name = f"clara/swap-{who.split()[1]}"
    with world.client("clara") as clara, world.client("ben") as ben:
        root = project_in(tmp_path / name.partition("/")[2], clara, {"code/a.py": "1\n"}).root
        with Project.open(root).working() as project:
            make(project, clara.home.identity, quiet)
        text = (root / "branchline.toml").read_text()
        saved(root, clara, {"branchline.toml": text + RULE, PATH: TRUE})
        clara.publish_project(root)
        place(root, clara, "hub", "hub")
        clara.share_project(name, "ben", "write")
        clara.publish_project(root)
        cloned = ben.clone_project(name, tmp_path / "ben", progress=quiet).project.root
        sealed = share(Project.open(root), (ben.home.identity.public.seal,))
        accept(Project.open(cloned), ben.home.identity, sealed)
        place(cloned, ben, "desk")
        run(cloned, "git", "push", "--quiet", "hub", "HEAD:main")
        key = Path(os.readlink(root / PATH)).name
        if who == "the hub":
            run(root, "git", "annex", "copy", "--quiet", "--to", "hub", PATH)
            (there,) = world.repository(clara, name).glob(f"annex/objects/**/{key}/{key}")
            there.parent.chmod(0o755)
        else:
            # His program sends what he likes under that name; its own checks are his to switch off.
            there = (root / PATH).resolve()
            there.parent.chmod(0o755)
        there.chmod(0o644)
        there.write_text(FALSE)
        if who != "the hub":
            assert not call(root, "git", "annex", "copy", "--quiet", "--to", "hub", PATH).returncode
        with Project.open(cloned).working() as project:
            got = get(project, ben.home.identity, [PATH], quiet)
        assert ([each.path for each in got.failed], got.unchecked) == ([PATH], ())
        assert not (cloned / PATH).exists()
        # It is on the ledger who brought it, and that it went to ben: whoever looks finds where it was.
        moved = world.moved("project.content-received", clara.hosted_project(name).hosted)
        assert {act.party for act in moved} == {"clara"}
