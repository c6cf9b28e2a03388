"""Checks of a project: run, on record, and in the way of what needs them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.project.conftest import Prepared, Scene, quiet, run
from tests.project.data.test_guard import rule
from tests.project.data.test_lists import csv, make

from branchline.checks.results import Result
from branchline.cli.root import root
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import feed, write_note
from branchline.project.activity.verify import verify
from branchline.project.cloning import clone
from branchline.project.runs.places import Place
from branchline.project.syncing.getting import get
from branchline.train.template import new_train, write_train
from branchline.workbench.checking import require_checks, run_checks, standing
from branchline.workbench.client import Client

CHECKS = f"""
[data.patients]
files = ["data/*.csv"]
required = true
on = ["save"]
columns.age = {{ type = "integer", minimum = 0, maximum = 120 }}

[model.accuracy]
command = ["{sys.executable}", "code/evaluate.py"]
metrics = "results/metrics.json"
inputs = ["code"]
lists = ["test"]
required = true
at_least = {{ accuracy = 0.8 }}
drift = {{ accuracy = 0.05 }}
"""
EVALUATE = "import json; json.dump({{'accuracy': {}}}, open('results/metrics.json', 'w'))\n"


@pytest.fixture
def checked(prepared: Prepared) -> Scene:
    """A project with checks, data, a list and a way to measure."""
    return prepared(add_checks)


def add_checks(scene: Scene) -> None:
    """Add checks, data, a list and a way to measure."""
    scene.write("data/a.csv", csv(range(30)))
    scene.write("code/evaluate.py", EVALUATE.format(0.9))
    scene.save()
    make(scene, "test", "data/a.csv")
    scene.write("checks.toml", CHECKS)
    scene.save()


def running(scene: Scene, *names: str, when: str = "") -> dict[str, Result]:
    """Run checks."""
    done = run_checks(scene.root, scene.identity, Place(None), quiet, names=names, when=when)
    return {result.check: result for result, _ in done}


def problems(result: Result) -> list[str]:
    """Return what kinds of things do not hold."""
    return [finding.problem for finding in result.findings]


def test_checks_are_run_and_put_on_record(checked: Scene) -> None:
    """Passed ones, too; a model's names the run that measured it."""
    done = running(checked)
    assert {name: each.passed for name, each in done.items()} == {
        "patients": True,
        "accuracy": True,
    }
    assert done["accuracy"].metrics == {"accuracy": 0.9}
    records = {
        s.record.message: s.record for s in feed(checked.project) if s.record.type == "check"
    }
    model = records["The check accuracy passed"]
    assert (model.action, model.outcome) == ("pass", "done")
    (run,) = [s for s in feed(checked.project) if s.record.type == "execution"]
    assert model.about == run.digest
    assert run.record.detail("lists")[0]["name"] == "test"
    assert standing(checked.project).unmet == []
    assert not verify(checked.project).faults
    require_checks(checked.project.git, "HEAD", "packing")


def test_a_required_check_stands_in_the_way_until_it_is_met(checked: Scene) -> None:
    """Never run, failed, run on other data: each is said; a clone by its commits alone says the same."""
    git = checked.project.git
    with pytest.raises(
        Conflict, match=r"'patients' was never run \(and 1 more\); packing needs it"
    ):
        require_checks(git, "HEAD", "packing")
    running(checked)
    checked.write("data/a.csv", csv(range(30), "p99,200,a\n"))
    checked.save()
    make(checked, "test", "data/a.csv")
    with pytest.raises(Conflict, match=r"not run since data/a\.csv changed"):
        require_checks(git, "HEAD", "packing")
    assert problems(running(checked, "patients")["patients"]) == ["invalid-values"]
    with pytest.raises(Conflict, match=r"'patients' failed: data/a\.csv: column 'age' has 1 value"):
        require_checks(git, "HEAD", "merging")
    bare = checked.root.parent / "hub.git"
    checked.git("clone", "-q", "--bare", str(checked.root), str(bare))
    from branchline.project.git.command import Git

    with pytest.raises(Conflict, match="'patients' failed"):
        require_checks(Git(bare), "main", "merging")


def test_a_model_that_is_not_good_enough_or_not_measured_fails(checked: Scene) -> None:
    """Below its floor; a command that fails; metrics that are none."""
    checked.write("code/evaluate.py", EVALUATE.format(0.7))
    assert problems(running(checked, "accuracy")["accuracy"]) == ["below"]
    checked.write("code/evaluate.py", "raise SystemExit(3)\n")
    (finding,) = running(checked, "accuracy")["accuracy"].findings
    assert (finding.problem, "exit code 3" in finding.sentence) == ("command", True)
    checked.write("code/evaluate.py", "open('results/metrics.json', 'w').write('no')\n")
    assert problems(running(checked, "accuracy")["accuracy"]) == ["command"]


def test_drift_is_held_against_the_last_milestone(checked: Scene) -> None:
    """What was measured before it; without one that is said."""
    first = running(checked, "accuracy")["accuracy"]
    assert first.notes == ("No milestone has been measured yet: drift is not known",)
    with checked.project.working() as project:
        write_note(project, checked.identity, "Release 1", milestone=True)
    checked.write("code/evaluate.py", EVALUATE.format(0.96))
    (finding,) = running(checked, "accuracy")["accuracy"].findings
    assert finding.sentence == (
        "accuracy is 0.96; it was 0.9 at the last milestone, and may move by 0.05"
    )
    checked.write("code/evaluate.py", EVALUATE.format(0.94))
    assert running(checked, "accuracy")["accuracy"].passed


def test_of_confidential_data_no_count_gets_into_a_record(scene: Scene) -> None:
    """Records go where names go."""
    rule(scene, "data")
    scene.write("data/a.csv", csv(range(30), "p99,200,a\n"))
    scene.write("checks.toml", CHECKS)
    scene.save()
    (finding,) = running(scene, "patients")["patients"].findings
    assert "has some values outside" in finding.sentence


def test_what_cannot_be_checked_is_said(checked: Scene) -> None:
    """No file, no content here, no such check, no checks at all."""
    with pytest.raises(NotFound, match="no check 'other'"):
        running(checked, "other")
    checked.annex("drop", "-q", "--force", "data/a.csv")
    with pytest.raises(NotFound, match="is not in this clone"):
        running(checked, "patients")
    checked.write("checks.toml", CHECKS.replace("data/*.csv", "data/*.parquet"))
    assert problems(running(checked, "patients")["patients"]) == ["nothing-to-check"]
    checked.write("checks.toml", "[data]\nx = 1\n")
    with pytest.raises(Refused, match=r"checks\.toml"):
        running(checked)
    (checked.root / "checks.toml").unlink()
    with pytest.raises(NotFound, match=r"no checks\.toml yet"):
        running(checked)


@pytest.mark.parametrize("when", ["save", "sync"])
def test_no_command_runs_unasked(checked: Scene, when: str) -> None:
    """A project from elsewhere would have its own programs run on the first save."""
    text = CHECKS.replace("required = true\nat_least", 'required = true\non = ["sync"]\nat_least')
    checked.write("checks.toml", text)
    checked.write("code/evaluate.py", "open('ran', 'w')\n")
    assert set(running(checked, when=when)) <= {"patients"}
    assert not (checked.root / "ran").exists()


def test_what_is_not_in_this_clone_is_passed_over_unasked(checked: Scene) -> None:
    """A save must not fail for want of data that another clone has."""
    checked.annex("drop", "-q", "--force", "data/a.csv")
    assert running(checked, when="save") == {}


def test_packing_waits_for_the_checks(checked: Scene) -> None:
    """And goes on when they are met."""
    write_train(checked.root / "train", new_train("mean-age", route="parallel", kind="functions"))
    checked.save()
    with Client(checked.root.parent / "home") as client:
        with pytest.raises(Conflict, match="packing needs it"):
            client.pack(checked.root / "train")
        running(checked)
        assert client.pack(checked.root / "train", ["test"]).manifest.origin is not None


def call(scene: Scene, *words: str, code: int = 0) -> dict[str, Any]:
    """Call a command as a person does."""
    with chdir(scene.root):
        done = CliRunner().invoke(root, [*words, "--json"])
    assert done.exit_code == code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_commands_run_show_and_refuse(checked: Scene) -> None:
    """On save, by hand, and a merge of a branch that does not meet them."""
    assert len(call(checked, "checks", "show", code=5)["unmet"]) == 2
    checked.write("data/b.csv", csv(range(3), "p9,-1,a\n"))
    saved = call(checked, "save")
    assert [(each["check"], each["passed"]) for each in saved["checks"]] == [("patients", False)]
    assert call(checked, "checks", "run", "patients", code=1)["passed"] is False
    call(checked, "branch", "other")
    checked.write("code/more.py", "1\n")
    call(checked, "save", "-m", "more")
    call(checked, "branch", "main")
    refused = call(checked, "merge", "other", code=5)
    assert "merging other needs it" in refused["refused"]
    (checked.root / "data/b.csv").unlink()
    assert call(checked, "save")["checks"][0]["passed"] is True
    assert call(checked, "checks", "run")["passed"] is True
    assert call(checked, "checks", "show")["unmet"] == []
    assert Path(checked.root / "results/metrics.json").exists()


def test_a_merge_waits_for_what_its_result_has_to_meet(checked: Scene) -> None:
    """Data are checked at once; where they fail, nothing but the record of that is new."""
    running(checked)
    call(checked, "branch", "other")
    checked.write("data/b.csv", csv(range(3), "p9,-1,a\n"))
    checked.save()
    call(checked, "branch", "main")
    refused = call(checked, "merge", "other", code=5)["refused"]
    assert "'patients' failed: data/b.csv: column 'age' has 1 value" in refused
    assert not (checked.root / "data/b.csv").exists()
    assert call(checked, "merge", code=4)["refused"] == "No merge waits for an answer"
    failed = feed(checked.project)[-1].record
    assert (failed.type, failed.outcome) == ("check", "failed")
    call(checked, "branch", "other")
    checked.write("data/b.csv", csv(range(3)))
    checked.save()
    call(checked, "branch", "main")
    assert call(checked, "merge", "other")["state"] == "merged"
    assert standing(checked.project).unmet == []
    assert verify(checked.project).faults == []


def test_a_merge_measures_models_when_it_is_told_to(checked: Scene) -> None:
    """Nobody's commands run unasked; then they run on a copy of what the merge makes."""
    running(checked)
    measured = (checked.root / "results/metrics.json").read_text()
    for accuracy in (0.5, 0.95):
        call(checked, "branch", "other")
        checked.write("code/evaluate.py", EVALUATE.format(accuracy))
        checked.save()
        call(checked, "branch", "main")
        refused = call(checked, "merge", "other", code=5)["refused"]
        assert "'accuracy' was not run since code/evaluate.py changed" in refused
        if accuracy < 0.8:
            refused = call(checked, "merge", "other", "--check", code=5)["refused"]
            assert "'accuracy' failed: accuracy is 0.5" in refused
            assert EVALUATE.format(0.9) == (checked.root / "code/evaluate.py").read_text()
    assert call(checked, "merge", "other", "--check")["state"] == "merged"
    assert (checked.root / "results/metrics.json").read_text() == measured
    assert standing(checked.project).unmet == []
    assert verify(checked.project).faults == []


def test_a_sync_merges_nothing_whose_result_does_not_meet_a_check(
    checked: Scene, tmp_path: Path
) -> None:
    """What others sent fails it: nothing is merged, sent or lost, and sync goes on once it is put right."""
    between, other = shared(checked, tmp_path)
    with other.project.working() as project:
        get(project, other.identity, ["data"], quiet)
    other.write("data/theirs.csv", csv(range(3), "p9,-1,a\n"))
    other.save()
    assert not running(other, "patients")["patients"].passed
    call(other, "sync", "--content")
    checked.write("code/mine.py", "1\n")
    checked.save()
    mine, sent = checked.git("rev-parse", "HEAD"), run(between, "git", "rev-parse", "main")
    refused = call(checked, "sync", code=5)
    assert "'patients' failed: data/theirs.csv: column 'age' has 1 value" in refused["refused"]
    assert "Nothing was merged or sent" in refused["advice"]
    assert (run(between, "git", "rev-parse", "main"), checked.git("rev-parse", "HEAD")) == (
        sent,
        mine,
    )
    assert not os.path.lexists(checked.root / "data/theirs.csv")
    assert (checked.root / "code/mine.py").exists()
    other.write("data/theirs.csv", csv(range(3)))
    other.save()
    assert running(other, "patients")["patients"].passed
    call(other, "sync", "--content")
    assert call(checked, "sync", "--content")["state"] == "synced"
    assert (checked.root / "data/theirs.csv").exists()
    assert run(between, "git", "rev-parse", "main") == checked.git("rev-parse", "HEAD")
    assert verify(checked.project).faults == []


def test_where_both_sides_brought_data_a_sync_says_which_content_it_has_to_see(
    checked: Scene, tmp_path: Path
) -> None:
    """And takes it, once it is here: the check is run on what the merge makes."""
    _, other = shared(checked, tmp_path)
    for scene, name, rows in ((other, "data/theirs.csv", 2), (checked, "data/mine.csv", 3)):
        scene.write(name, csv(range(rows)))
        scene.save()
    call(other, "sync", "--content")
    refused = call(checked, "sync", code=5)
    assert "'patients' was" in refused["refused"]
    command = refused["advice"].partition("; 'git")[2].partition("'")[0]
    assert "data/theirs.csv" in refused["advice"]
    run(checked.root, "git", *command.split())
    assert call(checked, "sync")["state"] == "synced"
    assert standing(checked.project).unmet == []


def shared(scene: Scene, tmp_path: Path) -> tuple[Path, Scene]:
    """Have somebody else work on the project, with data that are checked and no model."""
    text = (scene.root / "checks.toml").read_text()
    scene.write("checks.toml", text.partition("[model")[0])
    scene.save()
    running(scene, "patients")
    between = tmp_path / "between.git"
    run(tmp_path, "git", "init", "-q", "--bare", "--initial-branch=main", str(between))
    call(scene, "sync", str(between), "--content")
    made = clone(str(between), tmp_path / "other", quiet).project
    return between, Scene(made.root, Identity.create())
