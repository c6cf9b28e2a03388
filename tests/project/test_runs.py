"""Commands are put on record whatever becomes of them, and can be repeated and compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.environment.built import Built
from tests.project.conftest import Scene, quiet, run

from branchline.environment.image.store import Store
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import NotFound, Refused
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import feed
from branchline.project.activity.files import value_of
from branchline.project.activity.verify import verify
from branchline.project.beginning import begin
from branchline.project.runs import run as runs
from branchline.project.runs.datalad import read_datalad_run
from branchline.project.runs.places import Place, place_of
from branchline.project.runs.rerun import Repeated, find_job, jobs, rerun
from branchline.project.runs.run import Order, Ran

HOST = Place(None)


def carry_out(scene: Scene, *words: str, place: Place = HOST, **more: Any) -> Ran:
    """Run a command in the project, on this machine."""
    order = Order(words, **more)
    return runs.run(scene.root, scene.identity, order, place, quiet, (None, None))


def repeat(scene: Scene, which: str, tmp_path: Path, **more: Any) -> Repeated:
    """Run a recorded command again."""
    project = scene.project
    job = find_job(project, which)
    return rerun(project, scene.identity, job, Store(tmp_path / "store"), quiet, **more)


def python(text: str) -> tuple[str, ...]:
    """Return a command line that runs a few lines of Python."""
    return (sys.executable, "-c", text)


def test_a_command_is_recorded_with_all_that_matters(scene: Scene) -> None:
    """Words, code, inputs, outputs, exit, resources, seed, surroundings, what it printed."""
    scene.write("data/in.csv", "1,2\n")
    text = (
        "import os,sys; d=open('data/in.csv').read(); open('results/out.csv','w').write(d*2); "
        "print('seed', os.environ['BRANCHLINE_SEED']); print('oh', file=sys.stderr)"
    )
    ran = carry_out(
        scene, *python(text), inputs=["data/in.csv"], outputs=["results/out.csv"], seed=7
    )
    record = ran.record.record
    assert (ran.outcome, record.action, record.outcome) == ("done", "run", "done")
    assert record.detail("command")["exit"] == 0
    assert record.detail("seed") == 7
    assert record.detail("stdout") == "seed 7\n"
    assert record.detail("stderr") == "oh\n"
    assert record.detail("resources")["peak_bytes"] > 1 << 20
    assert "host" in record.detail("environment")
    inputs = value_of(scene.project, record, "inputs")
    assert inputs["files"][0]["content"] == digest_of(b"1,2\n")
    outputs = value_of(scene.project, record, "outputs")
    assert [each["path"] for each in outputs["files"]] == ["results/out.csv"]
    before = record.detail("code")["commit"]
    assert scene.git("show", f"{before}:branchline.toml")
    assert scene.git("status", "--porcelain") == ""
    assert not verify(scene.project).faults


def test_a_failed_command_is_evidence(scene: Scene) -> None:
    """Its exit code, its traceback, and what it wrote until then."""
    text = "open('results/half.txt','w').write('half'); raise ValueError('the scanner is off')"
    ran = carry_out(scene, *python(text))
    assert (ran.ended.code, ran.outcome) == (1, "failed")
    assert "the scanner is off" in ran.record.record.detail("stderr")
    assert [entry.path for entry in ran.outputs] == ["results/half.txt"]
    assert scene.git("show", "HEAD:results/half.txt") == "half"
    assert feed(scene.project)[-1].record.action == "fail"


def test_an_output_that_is_not_written_is_a_failure(scene: Scene) -> None:
    """However well the command says it went."""
    ran = carry_out(scene, "true", outputs=["results/never.csv"])
    assert (ran.ended.code, ran.outcome, ran.missing) == (0, "failed", ["results/never.csv"])


def test_data_that_a_command_writes_can_be_written(scene: Scene, tmp_path: Path) -> None:
    """A declared output in the annex is a file of one's own for the command, then taken in again."""
    scene.write("data/log.csv", "a\n")
    scene.save()
    ran = carry_out(scene, "sh", "-c", "echo b >> data/log.csv", outputs=["data/log.csv"])
    assert (scene.root / "data/log.csv").read_text() == "a\nb\n"
    assert scene.git("show", "HEAD~1:data/log.csv") != scene.git("show", "HEAD:data/log.csv")
    repeated = repeat(scene, ran.record.digest, tmp_path)
    assert repeated.verdict == "identical"
    scene.annex("fsck", "--quiet")


def test_inputs_that_are_not_there_are_named(scene: Scene) -> None:
    """Before anything runs: unknown names, and content that is elsewhere."""
    with pytest.raises(NotFound, match="nothing saved at 'data/x'"):
        carry_out(scene, "touch", "ran", inputs=["data/x"])
    scene.write("data/a", "1")
    scene.save()
    scene.annex("drop", "--force", "-q", "data/a")
    with pytest.raises(NotFound, match="nowhere any more"):
        carry_out(scene, "touch", "ran", inputs=["data"])
    with pytest.raises(NotFound, match="no program"):
        carry_out(scene, "no-such-program")
    assert not (scene.root / "ran").exists()


def test_long_output_keeps_both_ends(scene: Scene) -> None:
    """What is left out in the middle is said; the whole is bounded."""
    text = "print('first'); print('x' * (4 << 20)); print('last')"
    ran = carry_out(scene, *python(text))
    said = ran.ended.stdout
    assert said.startswith(b"first\n")
    assert said.endswith(b"last\n")
    assert b"bytes left out]" in said
    assert len(said) < 2 << 20


def test_a_repetition_changes_nothing_and_says_what_came_out(scene: Scene, tmp_path: Path) -> None:
    """Identical for the same; for chance without the seed: which file, where first."""
    scene.write("data/in", "5")
    fixed = carry_out(scene, "sh", "-c", "cat data/in > results/copy.txt", inputs=["data/in"])
    chance = (
        "import os,random; random.seed(int(os.environ['BRANCHLINE_SEED'])); "
        "open('results/seeded.json','w').write(str(random.random())); "
        "open('results/free.csv','w').write('x\\n%r\\n' % random.SystemRandom().random())"
    )
    free = carry_out(scene, *python(chance))
    scene.write("code/later.py", "not saved yet")
    assert repeat(scene, fixed.record.digest[7:19], tmp_path).verdict == "identical"
    repeated = repeat(scene, free.record.digest, tmp_path)
    assert repeated.verdict == "different"
    found = {each.path: each for each in repeated.verdicts}
    assert found["results/seeded.json"].verdict == "identical"
    assert found["results/free.csv"].where.startswith("row 2, column x")
    assert scene.git("status", "--porcelain") == "?? code/later.py\n"
    assert feed(scene.project)[-1].record.about == free.record.digest
    assert feed(scene.project)[-1].record.action == "re-run"
    assert not verify(scene.project).faults
    assert not list((scene.project.state / "scratch").iterdir())


def test_folders_of_outputs_are_there(scene: Scene, tmp_path: Path) -> None:
    """For the first run, and for a repetition in a copy that git made without empty folders."""
    ran = carry_out(scene, "sh", "-c", "echo 1 > results/a/b/c", outputs=["results/a/b/c"])
    assert ran.outcome == "done"
    assert repeat(scene, ran.record.digest, tmp_path).verdict == "identical"


def test_numbers_within_the_tolerance_are_equal(scene: Scene, tmp_path: Path) -> None:
    """And beyond it are not."""
    text = "import time; open('results/t.json','w').write('[%r]' % (1 + time.time() * 1e-14))"
    ran = carry_out(scene, *python(text))
    assert repeat(scene, ran.record.digest, tmp_path, tolerance=1e-3).verdict == "equal"
    assert repeat(scene, ran.record.digest, tmp_path, tolerance=0.0).verdict == "different"


def test_a_repetition_that_cannot_be_is_recorded(scene: Scene, tmp_path: Path) -> None:
    """An input that was dropped since: the reason is in the record."""
    scene.write("data/in", "5")
    ran = carry_out(scene, "cat", "data/in", inputs=["data/in"])
    scene.annex("drop", "--force", "-q", "data/in")
    repeated = repeat(scene, ran.record.digest, tmp_path)
    assert repeated.verdict == "failed"
    assert "not in this clone" in repeated.problem
    assert feed(scene.project)[-1].record.outcome == "failed"


def test_a_record_of_something_else_cannot_be_repeated(scene: Scene, tmp_path: Path) -> None:
    """It is said what it is not."""
    first = feed(scene.project)[0]
    with pytest.raises(Refused, match="of no command that ran"):
        repeat(scene, first.digest, tmp_path)
    with pytest.raises(NotFound, match="no record"):
        repeat(scene, "0123456789", tmp_path)


def test_outputs_that_lead_elsewhere_are_not_followed(scene: Scene, tmp_path: Path) -> None:
    """A command that puts a link where it wrote a file gives no other file's content away."""
    text = (
        "import os,pathlib; p='results/x.txt'; first=not pathlib.Path('results/x.txt').exists(); "
        "inside=pathlib.Path('.git').exists(); "
        "open(p,'w').write('x') if inside else os.symlink('/etc/passwd', p)"
    )
    ran = carry_out(scene, *python(text))
    repeated = repeat(scene, ran.record.digest, tmp_path)
    assert [each.verdict for each in repeated.verdicts] == ["missing"]


def test_a_gap_is_recorded(scene: Scene, tmp_path: Path) -> None:
    """Where the recorder was killed while a command ran, the next one says so."""
    program = (
        "import sys; from pathlib import Path\n"
        "from branchline.foundation.keys import Identity\n"
        "from branchline.project.runs.places import Place\n"
        "from branchline.project.runs.run import Order, run\n"
        "run(Path(sys.argv[1]), Identity.create(), Order(['sh', '-c', 'touch started; sleep 5']),"
        " Place(None), lambda _: None, (None, None))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(scene.root)]) as recorder:
        while not (scene.root / "started").exists():
            assert recorder.poll() is None
            time.sleep(0.01)
        recorder.send_signal(signal.SIGKILL)
    carry_out(scene, "true")
    gaps = [signed.record for signed in feed(scene.project) if signed.record.type == "gap"]
    assert [gap.message for gap in gaps] == [
        "Nobody recorded how this ended: sh -c touch started; sleep 5"
    ]
    assert gaps[0].detail("command")["from"] < gaps[0].detail("command")["until"]
    assert not verify(scene.project).faults


DATALAD = """[DATALAD RUNCMD] double it

=== Do not change lines below ===
{
 "chain": [],
 "cmd": "sed 's/1/{{x}}/' {inputs} > {outputs[0]}",
 "dsid": "f0f4b5ee-0000-4000-8000-000000000000",
 "exit": 0,
 "extra_inputs": [],
 "inputs": ["in put.txt"],
 "outputs": ["out.txt"],
 "pwd": "."
}
^^^ Do not change lines above ^^^
"""


def test_datalads_records_are_read_and_repeated(tmp_path: Path, person: Identity) -> None:
    """Of a repository that was adopted: placeholders filled in, outputs those of the commit."""
    root = tmp_path / "dataset"
    run(tmp_path, "git", "init", "-q", "dataset")
    (root / "in put.txt").write_text("1\n")
    (root / ".datalad").mkdir()
    (root / ".datalad/config").write_text('[datalad "dataset"]\n')
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", "first")
    (root / "out.txt").write_text("{x}\n")
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", DATALAD)
    begun = begin(root, person, quiet)
    assert any("DataLad" in sentence for sentence in begun.found)
    scene = Scene(root, person)
    [job] = jobs(scene.project)
    assert job.title == "double it"
    assert repeat(scene, job.name[:10], tmp_path).verdict == "identical"
    assert not verify(scene.project).faults


@pytest.mark.parametrize(
    "message",
    [
        "plain",
        "[DATALAD RUNCMD] x",
        DATALAD.replace('"cmd"', '"no"'),
        DATALAD.replace("{\n", "{{\n", 1),
        DATALAD.replace("^^^", ""),
    ],
)
def test_other_messages_are_no_records(message: str) -> None:
    """Broken ones neither."""
    assert read_datalad_run(message) is None


@pytest.mark.slow
def test_a_command_runs_in_the_projects_environment(
    scene: Scene, built_environment: Built, tmp_path: Path
) -> None:
    """In the image its lock names, seeing the project and nothing else of this machine."""
    scene.write("branchline.lock", built_environment.lock.text)
    scene.write("data/in.txt", "inside\n")
    scene.save()
    place = place_of(scene.root, built_environment.store)
    text = f"cat data/in.txt > results/out.txt; test ! -e {tmp_path}; python3 -c 'import numpy'"
    ran = carry_out(scene, "sh", "-c", text, place=place, inputs=["data/in.txt"])
    assert ran.outcome == "done", ran.ended.stderr
    assert ran.record.record.detail("environment")["image"] == built_environment.image.digest
    job = find_job(scene.project, ran.record.digest)
    repeated = rerun(scene.project, scene.identity, job, built_environment.store, quiet)
    assert repeated.verdict == "identical", repeated.problem


def test_the_commands_say_so_in_json(scene: Scene) -> None:
    """Run passes the exit code on; rerun exits with 1 where something differs."""
    line = [sys.executable, "-m", "branchline"]

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [*line, *words], cwd=scene.root, capture_output=True, text=True, check=False
        )
        return done.returncode, json.loads(done.stdout)

    code, ran = call("run", "--json", "--", "sh", "-c", "date +%N > results/now.txt; exit 3")
    assert (code, ran["exit"], ran["outcome"]) == (3, 3, "failed")
    code, again = call("rerun", "--json", ran["record"][7:19])
    assert (code, again["reproduced"]) == (1, False)
    assert again["reruns"][0]["files"][0]["path"] == "results/now.txt"
    assert call("rerun", "--list", "--json")[1]["jobs"][0]["name"] == ran["record"]
    code, refused = call("run", "--json", "--input", os.devnull, "--", "true")
    assert (code, refused["error"]) == (2, "refused")
