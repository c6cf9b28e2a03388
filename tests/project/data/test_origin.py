"""A train that was packed in a project names where it comes from, and is held against that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.journey import world
from tests.project.carrying.test_carrying import changed
from tests.project.conftest import Prepared, Scene, quiet
from tests.project.data.test_lists import csv, make
from tests.project.test_runs import carry_out, python
from tests.workbench.test_crate import write_folder

from branchline.cli.root import root
from branchline.foundation.clock import SystemClock, rfc3339
from branchline.foundation.errors import Conflict, NotFound, Refused
from branchline.project.activity.files import Recorder
from branchline.project.beginning import begin
from branchline.project.carrying.export import export
from branchline.project.carrying.judging import judged
from branchline.project.cloning import clone
from branchline.project.data.origin import origin_of
from branchline.project.data.tracing import Traced, trace
from branchline.project.notebook.cells import Cell
from branchline.project.notebook.details import action_of, facts_of, parts_of
from branchline.project.place import Project
from branchline.project.saving import commit_only
from branchline.train.bundle import OpenBundle, open_bundle, pack, unpack
from branchline.train.errors import BundleRefused
from branchline.train.manifest import MANIFEST, parse_manifest
from branchline.train.template import new_train, write_train


@pytest.fixture
def packed(prepared: Prepared) -> tuple[Scene, OpenBundle]:
    """A project with a train and a list, and the train packed."""
    scene = prepared(add_train)
    return scene, packing(scene)


def add_train(scene: Scene) -> None:
    """Add a train and a list."""
    write_train(scene.root / "train", new_train("mean-age", route="parallel", kind="functions"))
    scene.write("data/train.csv", csv(range(30)))
    make(scene, "training", "data/train.csv")


def packing(scene: Scene, *lists: str) -> OpenBundle:
    """Pack the train."""
    folder = scene.root / "train"
    origin = origin_of(folder, lists or ("training",))
    return open_bundle(pack(folder, origin).data)


def exported(scene: Scene) -> Path:
    """Export the project as a crate."""
    file = scene.root.parent / "exported.zip"
    with scene.project.working() as project:
        export(project, scene.identity, file, quiet, crate=True)
    return file


def problems(traced: Traced) -> list[str]:
    """Return what does not hold."""
    return [step.problem for step in traced.steps if step.problem]


def test_a_train_names_commit_record_and_lists(packed: tuple[Scene, OpenBundle]) -> None:
    """And the project bears it out, in a clone, too."""
    scene, train = packed
    origin = train.manifest.origin
    assert origin is not None
    assert origin.project == scene.project.described.id
    assert (origin.commit, origin.folder) == (scene.git("rev-parse", "HEAD").strip(), "train")
    assert [(each.name, each.number) for each in origin.lists] == [("training", 1)]
    traced = trace(scene.project, train)
    assert traced.good, problems(traced)
    assert len(traced.steps) == 5
    assert {each.path for each in traced.written} == {f"train/{name}" for name in train.files}
    made = clone(str(scene.root), scene.root.parent / "clone", quiet)
    assert trace(made.project, train).good


def test_later_work_does_not_matter(packed: tuple[Scene, OpenBundle]) -> None:
    """The train is held against the commit that it names."""
    scene, train = packed
    scene.write("train/analysis.py", "changed = 1\n")
    scene.save()
    assert trace(scene.project, train).good


def test_what_is_not_saved_is_not_packed(packed: tuple[Scene, OpenBundle], tmp_path: Path) -> None:
    """No commit would have it. Outside a project nothing is named, nor are lists."""
    scene, _ = packed
    scene.write("train/more.py", "x = 1\n")
    with pytest.raises(Conflict, match=r"'train/more.py' is not saved"):
        packing(scene)
    scene.write("notes.txt", "elsewhere\n")
    (scene.root / "train/more.py").unlink()
    assert packing(scene).manifest.origin is not None
    write_train(tmp_path / "alone", new_train("mean", route="parallel", kind="functions"))
    assert origin_of(tmp_path / "alone") is None
    with pytest.raises(Refused, match="in no project"):
        origin_of(tmp_path / "alone", ["training"])


def test_an_origin_is_written_by_packing_alone(packed: tuple[Scene, OpenBundle]) -> None:
    """A manifest that brings one is not given another; unpacked and packed it is the same train."""
    scene, train = packed
    folder = scene.root.parent / "out"
    unpack(train, folder)
    assert pack(folder).digest == train.digest
    with pytest.raises(BundleRefused, match=r"\[origin\] already"):
        pack(folder, train.manifest.origin)


def test_another_project_and_changed_code_are_named(packed: tuple[Scene, OpenBundle]) -> None:
    """Each step says what does not hold."""
    scene, train = packed
    other = Scene(scene.root.parent / "other", scene.identity)
    begin(other.root, scene.identity, quiet)
    assert "not " in problems(trace(other.project, train))[0]
    files = {**train.files, "analysis.py": b"import os\n"}
    forged = OpenBundle(train.digest, train.manifest, files, train.executable, train.environment)
    assert problems(trace(scene.project, forged)) == ["'train/analysis.py' is another one there"]
    with pytest.raises(NotFound, match="names no project"):
        bare = open_bundle(pack(scene.root / "train").data)
        trace(scene.project, bare)


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ("commit", "0" * 40, "No branch"),
        ("record", "sha256:" + "0" * 64, "not in this clone's activity"),
        ("digest", "sha256:" + "1" * 64, "no such version"),
    ],
)
def test_claims_that_do_not_hold_are_named(
    packed: tuple[Scene, OpenBundle], was: str, becomes: str, problem: str
) -> None:
    """Commit, record and list."""
    scene, train = packed
    origin = train.manifest.origin
    assert origin is not None
    told = {"commit": origin.commit, "record": origin.record, "digest": origin.lists[0].digest}
    changed = train.files[MANIFEST].decode().replace(told[was], becomes)
    files = {**train.files, MANIFEST: changed.encode()}
    manifest = parse_manifest(changed.encode())
    forged = OpenBundle(train.digest, manifest, files, train.executable, train.environment)
    assert problem in " ".join(problems(trace(scene.project, forged)))


def test_a_rewritten_activity_is_named(packed: tuple[Scene, OpenBundle]) -> None:
    """The train names its last record, and that one all before it."""
    scene, train = packed
    file = sorted((scene.root / "activity").glob("clone-*/*/000000-*.json"))[0]
    file.write_text(file.read_text().replace("Began", "Begun"))
    assert problems(trace(scene.project, train))


def test_code_is_traced_to_the_run_that_wrote_it(packed: tuple[Scene, OpenBundle]) -> None:
    """By what it put out; what a person saved is traced to that save."""
    scene, _ = packed
    code = (scene.root / "train/analysis.py").read_text()
    text = f"open('train/analysis.py','w').write({code + '# made'!r})"
    ran = carry_out(scene, *python(text))
    traced = trace(scene.project, packing(scene))
    written = {each.path: each for each in traced.written}
    assert written["train/analysis.py"].how == "run"
    assert written["train/analysis.py"].record == ran.record.digest
    assert written[f"train/{MANIFEST}"].how == "save"


def test_code_is_traced_to_the_very_cell(packed: tuple[Scene, OpenBundle]) -> None:
    """A cell that wrote the file, with IPython's own words for it."""
    scene, _ = packed
    code = (scene.root / "train/analysis.py").read_text() + "# from a cell\n"
    at = rfc3339(SystemClock().now())
    cell = Cell(f"%%writefile train/analysis.py\n{code}", 7, at, at, "done")
    with Project.open(scene.root).working() as project:
        recorder = Recorder(project, scene.identity)
        parts = [recorder.keep(p.kind, p.content, p.media) for p in parts_of(cell)[0]]
        facts = {"notebook": "code/fit.ipynb", "kernel": "k"} | facts_of(cell, [])
        details = [*parts, recorder.keep_json("metadata", facts)]
        signed, paths = recorder.write(dict(action_of(cell)), *details)
        commit_only(project, paths, "cell")
    scene.write("train/analysis.py", code)
    scene.save()
    written = {each.path: each for each in trace(scene.project, packing(scene)).written}
    found = written["train/analysis.py"]
    assert (found.how, found.record) == ("cell", signed.digest)
    assert found.place == "code/fit.ipynb, prompt 7"
    train = packing(scene)
    file = exported(scene)
    with judged(file, quiet) as (export_, laid_out):
        assert export_.good
        assert laid_out is not None
        there = {each.path: each for each in trace(laid_out, train).written}
    assert there["train/analysis.py"] == found


def test_verification_goes_from_a_result_to_who_wrote_the_code(
    packed: tuple[Scene, OpenBundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command: ledger, study, train, project, record; and it fails where the project does."""
    scene, _ = packed
    folder = scene.root / "train"
    bundle = pack(folder, origin_of(folder, ["training"]))
    monkeypatch.setattr(world, "bundle", lambda route: bundle)
    result = write_folder(scene.root.parent / "result", world.parallel())
    words = ["verify", str(result), "--log-vkey", world.VKEY, "--project", str(scene.root)]
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 0, done.output
    assert f"packed from {scene.project.described.id}" in done.output
    assert "made with   training@1" in done.output
    assert "train/analysis.py  save " in done.output
    told = json.loads(CliRunner().invoke(root, [*words, "--json"]).output)
    assert told["verified"]
    assert told["project"]["verified"]
    assert told["origin"]["lists"][0]["name"] == "training"
    assert {each["how"] for each in told["project"]["written"]} == {"save"}
    file = exported(scene)
    in_export = [*words[:-1], str(file)]
    done = CliRunner().invoke(root, in_export)
    assert done.exit_code == 0, done.output
    assert "train/analysis.py  save " in done.output
    changed(file, replace={"files/train/analysis.py": b"print('another')"})
    done = CliRunner().invoke(root, in_export)
    assert done.exit_code == 6
    assert "analysis.py' in the crate is another one" in done.output
    other = Scene(scene.root.parent / "other", scene.identity)
    begin(other.root, scene.identity, quiet)
    done = CliRunner().invoke(root, [*words[:-1], str(other.root)])
    assert done.exit_code == 6
    assert "not " in done.output
    (listed,) = (scene.root / "lists/training").iterdir()
    scene.git("rm", "-q", str(listed))
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 6
    assert "This clone has no such version" in done.output
