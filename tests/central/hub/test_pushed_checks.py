"""A hub takes no main branch while a check is not met that is required on a sync; it runs nothing."""

from __future__ import annotations

from pathlib import Path

from tests.central.hub.world import World, project_in, quiet, refused, run, saved

from branchline.project.runs.places import Place
from branchline.workbench.checking import run_checks

CHECKS = """
[data.people]
files = ["data/*.csv"]
required = true
on = ["sync"]
columns.age = { type = "integer", minimum = 0, maximum = 120 }
[data.later]
files = ["data/*.parquet"]
required = true
"""


def test_a_push_waits_for_its_checks(world: World, tmp_path: Path) -> None:
    """Never run, failed, run on other data; other branches come in, and what is only for packing."""
    with world.client("clara") as clara:
        identity = clara.home.identity
        files: dict[str, str | bytes] = {"code/a.py": "1\n", "data/p.csv": "age\n30\n"}
        project = project_in(tmp_path / "checked", clara, files)
        clara.publish_project(project.root)
        saved(project.root, clara, {"checks.toml": CHECKS})
        said = refused(project.root, "git", "push", "hub", "main")
        assert "The check 'people' was never run; the hub needs it" in said
        run(project.root, "git", "push", "hub", "main:refs/heads/side")

        def check() -> bool:
            done = run_checks(project.root, identity, Place(None), quiet, when="sync")
            return all(result.passed for result, _ in done)

        assert check()
        run(project.root, "git", "push", "hub", "main")
        saved(project.root, clara, {"data/p.csv": "age\n300\n"})
        said = refused(project.root, "git", "push", "hub", "main")
        assert "was not run since data/p.csv changed" in said
        assert not check()
        said = refused(project.root, "git", "push", "hub", "main")
        assert "'people' failed: data/p.csv: column 'age' has 1 value outside 0..120" in said
        saved(project.root, clara, {"data/p.csv": "age\n31\n"})
        assert check()
        run(project.root, "git", "push", "hub", "main")
