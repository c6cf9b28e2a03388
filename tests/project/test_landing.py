"""Another commit is laid out whole, whoever kills whatever lays it out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.project.conftest import Scene, quiet

from branchline.foundation.errors import Conflict
from branchline.project.activity.verify import verify
from branchline.project.branching import rollback, switch
from branchline.project.git import calling, command, landing
from branchline.project.git.landing import land


def two(scene: Scene) -> tuple[str, str]:
    """Make two commits that differ in each way files can; the older one is laid out."""
    scene.write("code/a.py", "old a, and some more of it\n")
    scene.write("code/gone.py", "gone\n")
    scene.write("data/d.csv", "old\n")
    scene.save()
    before = scene.git("rev-parse", "HEAD").strip()
    scene.write("code/a.py", "new a, and some more of it\n")
    (scene.root / "code/gone.py").unlink()
    scene.write("code/new.py", "new\n")
    scene.write("data/d.csv", "new\n")
    scene.save()
    after = scene.git("rev-parse", "HEAD").strip()
    with scene.project.working() as project:
        land(project.git, before, "aside")
    return before, after


def half(scene: Scene, before: str, after: str) -> None:
    """Leave the project as a killed command would that was to lay a commit out."""
    intent = {"before": before, "after": after, "branch": "main", "was": after}
    (scene.project.state / "landing.json").write_bytes(msgspec.json.encode(intent))
    (scene.root / ".git/index.lock").touch()
    (scene.project.state / "working").touch()


def test_what_was_half_laid_out_is_finished(scene: Scene) -> None:
    """New files, beginnings of new files, old ones: all are the new ones afterwards."""
    before, after = two(scene)
    half(scene, before, after)
    scene.write("code/a.py", "new a, and")
    scene.write("code/new.py", "new\n")
    (scene.root / "code/gone.py").unlink()
    with scene.project.working():
        pass
    assert scene.git("status", "--porcelain") == ""
    assert scene.git("rev-parse", "HEAD", "main").split() == [after, after]
    assert (scene.root / "data/d.csv").read_text() == "new\n"
    assert not (scene.project.state / "landing.json").exists()


def test_what_somebody_wrote_since_is_put_aside(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither overwritten nor taken for what was saved."""
    before, after = two(scene)
    half(scene, before, after)
    scene.write("code/a.py", "mine, after the crash\n")
    scene.write("code/new.py", "mine, too\n")
    with caplog.at_level(logging.WARNING), scene.project.working():
        pass
    assert scene.git("status", "--porcelain") == ""
    assert "and 1 more" in caplog.text
    (kept,) = (scene.project.state / "rescued").iterdir()
    assert (kept / "code/a.py").read_text() == "mine, after the crash\n"
    assert (kept / "code/new.py").read_text() == "mine, too\n"


def test_files_that_are_not_kept_are_in_the_way(scene: Scene) -> None:
    """Nothing has changed then; folders and files of one name, too."""
    before, after = two(scene)
    scene.write(".git/info/exclude", "new.py\nignored\n")
    scene.write("code/new.py", "only here\n")
    with scene.project.working() as project, pytest.raises(Conflict, match=r"code/new\.py"):
        land(project.git, after, "main")
    assert scene.git("rev-parse", "HEAD").strip() == before
    (scene.root / "code/new.py").unlink()
    scene.write("code/new.py/ignored", "only here\n")
    with scene.project.working() as project, pytest.raises(Conflict, match=r"code/new\.py/ignored"):
        land(project.git, after, "main")
    assert (scene.root / "code/new.py/ignored").read_text() == "only here\n"


class Killed(BaseException):
    """Stands for the end of the process, at a point between two steps."""


def test_a_rollback_ended_between_any_two_steps(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command finds either the old state or the new one, never some of each."""
    scene.write("code/a.py", "1")
    first = scene.save().records[0].digest
    with scene.project.working() as project:
        switch(project, scene.identity, "main", quiet)
    ended = 0
    while True:
        scene.write("code/a.py", f"work {ended}")
        left = ended

        def before(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*given: Any, **named: Any) -> Any:
                nonlocal left
                # Looking changes nothing.
                if (
                    given
                    and given[0][1:2]
                    and given[0][1] in ("read-tree", "update-ref", "symbolic-ref")
                ):
                    if left == 0:
                        raise Killed
                    left -= 1
                return real(*given, **named)

            return step

        with monkeypatch.context() as patch:
            patch.setattr(command, "call", before(calling.call))
            try:
                with scene.project.working() as project:
                    rollback(project, scene.identity, first, quiet, name=f"back-{ended}")
                break
            except Killed:
                ended += 1
        with scene.project.working() as project:
            switch(project, scene.identity, "main", quiet)
        assert (scene.root / "code/a.py").read_text() == f"work {ended - 1}"
        assert scene.git("status", "--porcelain") == ""
    assert ended > 3
    assert (scene.root / "code/a.py").read_text() == "1"
    assert verify(scene.project).faults == []
    assert landing.put_aside(scene.root, []) is None
