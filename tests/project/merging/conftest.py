"""Two lines of work in one project."""

from __future__ import annotations

from collections.abc import Mapping

from tests.project.conftest import Scene, quiet

from branchline.project.branching import switch
from branchline.project.merging.merge import Merged, abandon, merge, resume
from branchline.project.merging.pending import How


def on(scene: Scene, branch: str) -> None:
    """Change the branch, or begin it."""
    with scene.project.working() as project:
        switch(project, scene.identity, branch, quiet)


def merged(scene: Scene, name: str, **wanted: How) -> Merged:
    """Merge a branch; paths are given with __ for a slash and _ for a dot."""
    return merging(
        scene, name, {k.replace("__", "/").replace("_", "."): v for k, v in wanted.items()}
    )


def merging(scene: Scene, name: str, wanted: Mapping[str, How]) -> Merged:
    """Merge a branch."""
    with scene.project.working() as project:
        return merge(project, scene.identity, name, wanted, quiet)


def resumed(scene: Scene, wanted: Mapping[str, How], *, done: bool = False) -> Merged:
    """Go on with the merge that waits."""
    with scene.project.working() as project:
        return resume(project, scene.identity, wanted, quiet, done=done)


def left(scene: Scene) -> Merged:
    """Leave the merge that waits."""
    with scene.project.working() as project:
        return abandon(project)
