"""Data lists: never changed, told apart, kept apart; named by runs."""

from __future__ import annotations

import json
import os
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.project.conftest import Prepared, Scene, quiet
from tests.project.data.test_guard import rule
from tests.project.test_runs import carry_out, python

from branchline.cli.root import root
from branchline.foundation.errors import Conflict, Corrupt, NotFound, Refused
from branchline.foundation.ids import new_id
from branchline.project.activity.feed import feed
from branchline.project.activity.verify import verify
from branchline.project.data.contents import verdict
from branchline.project.data.listing import (
    Wish,
    every_list,
    find_list,
    make_list,
    verify_list,
)
from branchline.project.data.lists import (
    DataList,
    Item,
    differences,
    parse_path,
    parse_reference,
    read_list,
    shared_files,
)
from branchline.project.data.overlapping import overlap


def csv(patients: range, more: str = "") -> str:
    """Return a table of patients."""
    rows = "".join(f"p{n},{20 + n % 60},{'abc'[n % 3]}\n" for n in patients)
    return f"patient,age,arm\n{rows}{more}"


def make(scene: Scene, name: str, *paths: str, **more: Any) -> DataList:
    """Make a version of a list."""
    with scene.project.working() as project:
        return make_list(project, scene.identity, Wish(name, paths, **more), quiet)[0]


@pytest.fixture
def trial(prepared: Prepared) -> Scene:
    """A project with training and test data."""
    return prepared(add_data)


def add_data(scene: Scene) -> None:
    """Add training and test data."""
    scene.write("data/train/a.csv", csv(range(60)))
    scene.write("data/test/b.csv", csv(range(60, 90)))
    scene.save()


def test_a_list_says_what_it_holds(trial: Scene) -> None:
    """Contents by name, columns and counts; the record names it, and everything verifies."""
    made = make(trial, "training", "data/train", about="Round one")
    assert (made.number, made.previous, made.about) == (1, None, "Round one")
    (table,) = made.tables
    assert (table.path, table.rows, table.coarse) == ("data/train/a.csv", 60, False)
    age = next(column for column in table.columns if column.name == "age")
    assert (age.type, age.values, age.missing, age.minimum, age.maximum) == (
        "integer",
        60,
        0,
        20,
        79,
    )
    arm = next(column for column in table.columns if column.name == "arm")
    assert arm.codes == {"a": 20, "b": 20, "c": 20}
    assert trial.git("status", "--porcelain") == ""
    (record,) = [s.record for s in feed(trial.project) if s.record.action == "list"]
    assert record.detail("lists") == [made.named()]
    assert not verify(trial.project).faults
    assert "p17" not in (trial.root / made.path).read_text()


def test_versions_continue_each_other(trial: Scene) -> None:
    """A new version names the one before; one that says the same is refused."""
    first = make(trial, "training", "data/train")
    with pytest.raises(Conflict, match="training@1 says the same"):
        make(trial, "training", "data/train")
    trial.write("data/train/a.csv", csv(range(50)))
    second = make(trial, "training", "data/train")
    assert (second.number, second.previous) == (2, first.digest)
    assert find_list(trial.project, "training") == second
    assert find_list(trial.project, "training@1") == first
    told = differences(first, second)
    assert told["changed"] == ["data/train/a.csv"]
    assert "data/train/a.csv: 60 rows become 50" in told["tables"]
    with pytest.raises(NotFound, match="no list 'training@3'"):
        find_list(trial.project, "training@3")


def test_confidential_tables_tell_only_whole_tens(scene: Scene) -> None:
    """No least, no largest, no rare code; a count below ten is none."""
    rule(scene, "data")
    scene.write("data/x.csv", csv(range(57), "p900,103,rare\n"))
    scene.save()
    made = make(scene, "all", "data/x.csv")
    (table,) = made.tables
    assert (table.rows, table.coarse) == (50, True)
    columns = {column.name: column for column in table.columns}
    assert columns["age"].minimum is columns["age"].maximum is None
    assert columns["age"].mean == float(f"{columns['age'].mean:.3g}")
    assert columns["arm"].codes == {"a": 10, "b": 10, "c": 10}
    text = made.text.decode()
    assert "rare" not in text
    assert "103" not in text.replace(made.items[0].content, "")


@pytest.mark.parametrize("shared", [0, 1])
def test_lists_that_share_a_patient_are_refused(scene: Scene, shared: int) -> None:
    """By row key, in other files; without a key only files count."""
    scene.write("data/train.csv", csv(range(40)))
    scene.write("data/test.csv", csv(range(40 - shared, 60)))
    make(scene, "training", "data/train.csv", row_key="patient")
    if not shared:
        made = make(scene, "test", "data/test.csv", row_key="patient", apart=["training"])
        assert set(made.apart) == {"training"}
        return
    with pytest.raises(Conflict, match="share 1 of the same 'patient'"):
        make(scene, "test", "data/test.csv", row_key="patient", apart=["training"])
    assert "test" not in every_list(scene.project)
    assert make(scene, "test", "data/test.csv", apart=["training"]).number == 1


def test_lists_that_share_a_file_are_found(scene: Scene) -> None:
    """By content: another name does not hide it."""
    scene.write("data/train/a.csv", csv(range(40)))
    scene.write("data/test/renamed.csv", csv(range(40)))
    one, two = make(scene, "training", "data/train"), make(scene, "test", "data/test")
    found = overlap(scene.project, one, two)
    assert found.files == [("data/train/a.csv", "data/test/renamed.csv")]
    assert found.rows is None


def test_rows_are_compared_as_the_lists_have_them(trial: Scene) -> None:
    """What stands at the paths now does not matter; a content that is gone is said to be."""
    one = make(trial, "training", "data/train", row_key="patient")
    trial.write("data/train/a.csv", csv(range(500, 501)))
    trial.save()
    two = make(trial, "test", "data/test", row_key="patient")
    assert overlap(trial.project, one, one).rows == 60
    assert overlap(trial.project, one, two).rows == 0
    trial.annex("drop", "--force", "-q", "data/test/b.csv")
    with pytest.raises(NotFound, match=r"'data/test/b.csv' is not in this clone"):
        overlap(trial.project, one, two)


def test_a_row_key_must_be_a_column(trial: Scene) -> None:
    """A slip of the pen would compare nothing."""
    with pytest.raises(Refused, match="no column 'patent'"):
        make(trial, "training", "data/train", row_key="patent")
    with pytest.raises(Refused, match="no table"):
        make(trial, "training", "code/README.md", row_key="patient")


def test_verification_finds_changed_contents_and_lists(trial: Scene) -> None:
    """Whole, absent, changed; and a list's own file counts to the last byte."""
    made = make(trial, "training", "data/train", "code/README.md")
    known = every_list(trial.project)["training"]
    found = verify_list(trial.project, made, known)
    assert found.good
    assert set(found.verdicts.values()) == {"whole"}
    content = (trial.root / "data/train/a.csv").resolve()
    os.chmod(content.parent, 0o755)
    content.chmod(0o644)
    content.write_text(csv(range(59)))
    assert verify_list(trial.project, made, known).verdicts["data/train/a.csv"] == "changed"
    content.unlink()
    assert verify_list(trial.project, made, known).verdicts["data/train/a.csv"] == "absent"
    text = made.text.replace(b'"training"', b'"trainings"')
    with pytest.raises(Corrupt, match="was changed"):
        read_list(text, made.path)
    trial.write(made.path, made.text.replace(b"60", b"61", 1))
    trial.git("add", made.path)
    with pytest.raises((Corrupt, Refused)):
        every_list(trial.project)


def test_without_its_key_a_confidential_content_is_unverified(scene: Scene) -> None:
    """And not taken for whole."""
    rule(scene, "data")
    scene.write("data/x.csv", csv(range(20)))
    made = make(scene, "all", "data/x.csv")
    assert verdict(scene.project, made.items[0]) == "whole"
    for file in (scene.root / ".git/branchline/data-keys").iterdir():
        file.unlink()
    assert verdict(scene.project, made.items[0]) == "unverified"


def test_runs_name_the_lists_they_used(trial: Scene) -> None:
    """By number and digest; a list that the project has moved on from is refused."""
    made = make(trial, "training", "data/train")
    ran = carry_out(trial, *python("print(1)"), lists=["training"])
    assert ran.record.record.detail("lists") == [made.named()]
    trial.write("data/train/a.csv", csv(range(3)))
    with pytest.raises(Conflict, match=r"'data/train/a.csv', which is another one now"):
        carry_out(trial, *python("print(1)"), lists=["training"])
    with pytest.raises(NotFound):
        carry_out(trial, *python("print(1)"), lists=["validation"])


def test_two_clones_that_made_the_same_number_are_named(trial: Scene) -> None:
    """Nobody can tell which is meant, so none is."""
    made = make(trial, "training", "data/train")
    other = DataList(made.project, "training", 1, None, made.at, (), about="another")
    trial.write(other.path, other.text)
    trial.save()
    with pytest.raises(Corrupt, match="two versions of one number"):
        find_list(trial.project, "training")


contents = st.lists(st.sampled_from("abcdef"), max_size=5)


@given(contents, contents)
def test_shared_files_are_those_with_shared_contents(one: list[str], two: list[str]) -> None:
    """Whatever the paths."""

    def listed(letters: list[str]) -> DataList:
        items = tuple(Item(f"d/{n}", f"git:{c}") for n, c in enumerate(letters))
        return DataList(new_id("project"), "x", 1, None, "2026-11-21T00:00:00.000Z", items)

    found = shared_files(listed(one), listed(two))
    assert bool(found) == bool(set(one) & set(two))
    assert all(one[int(a[2:])] == two[int(b[2:])] for a, b in found)


@pytest.mark.parametrize("text", ["", "Training", "a@0", "a@", "../a", "a@1@2", "-a"])
def test_what_names_no_list_is_refused(text: str) -> None:
    """And a path that is none of a list's is passed over."""
    with pytest.raises(Refused):
        parse_reference(text)
    assert parse_path(f"lists/{text}/1-0123456789abcdef.json") is None


def test_the_commands_tell_the_same(trial: Scene) -> None:
    """In JSON, with exit codes."""

    def call(*words: str, code: int = 0) -> dict[str, Any]:
        with chdir(trial.root):
            done = CliRunner().invoke(root, [*words, "--json"])
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = call("data", "list", "new", "training", "data/train", "--row-key", "patient")
    call("data", "list", "new", "test", "data", "--row-key", "patient")
    told = call("data", "list", "check", "training", "test", code=5)
    assert told["pairs"][0]["rows"] == 60
    assert call("data", "verify")["verified"]
    assert len(call("data", "list", "show")["lists"]) == 2
    assert call("data", "list", "show", "training")["digest"] == first["digest"]
    assert call("data", "diff", "training", "test")["new"] == [
        "data/README.md",
        "data/test/b.csv",
    ]
    assert call("data", "diff", "training", "nothing", code=4)["error"] == "not-found"
    assert Path(trial.root / first["path"]).exists()
