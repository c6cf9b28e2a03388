"""A crate tells of every run and every cell what it used, made and came to, in words of RO-Crate."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crates import issues
from tests.project.carrying.conftest import IMAGE, PNG, SCRIPT, unpacked
from tests.project.conftest import Scene

from branchline.foundation.crates import DONE, FAILED
from branchline.foundation.digest import digest_of
from branchline.foundation.keys import Identity
from branchline.project.activity.feed import read_all
from branchline.project.activity.record import By, Detail, Kind, Record, sign
from branchline.project.carrying.actions import actions
from branchline.project.carrying.things import Things


@pytest.fixture
def graph(crate: Path) -> dict[str, dict[str, Any]]:
    """The crate's entities, by their names."""
    with zipfile.ZipFile(crate) as archive:
        text = json.loads(archive.read("ro-crate-metadata.json"))
    return {each["@id"]: each for each in text["@graph"]}


def done(graph: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the action of a name."""
    return next(e for e in graph.values() if e["@type"] == "CreateAction" and name in e["name"])


def several(value: Any) -> list[str]:
    """Return what a property points to."""
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def test_a_run_names_its_script_inputs_outputs_and_record(
    worked: Scene, graph: dict[str, dict[str, Any]]
) -> None:
    """The script is the crate's own file; an older version of it is named by its content."""
    signed = next(s for s in read_all(worked.project) if s.record.message == "Tripled")
    made = done(graph, "Tripled")
    assert made["identifier"] == f"urn:branchline:record:{signed.digest}"
    assert made["instrument"] == {"@id": "files/code/fit.py"}
    assert graph["files/code/fit.py"]["@type"] == ["File", "SoftwareSourceCode"]
    (used,) = several(made["object"])
    assert graph[used]["name"] == "data/wear.csv"
    assert graph[used]["sha256"] == digest_of(b"one\n")[7:]
    written, printed = several(made["result"])
    assert graph[written]["sha256"] == digest_of(b"one\none\none\n")[7:]
    assert graph[printed]["text"] == "twice\n"
    assert made["description"] == f"{sys.executable} code/fit.py"
    assert made["startTime"] <= made["endTime"]
    assert graph[made["agent"]["@id"]]["name"] == "Mira"
    assert graph[made["environment"]["@id"]]["value"] == "7"
    assert (made["actionStatus"], "error" in made) == (DONE, False)
    older = graph[done(graph, "Doubled")["instrument"]["@id"]]
    text = worked.git("cat-file", "blob", older["version"].removeprefix("git:"))
    assert (older["@type"], older["name"], text) == ("SoftwareApplication", "code/fit.py", SCRIPT)


def test_what_failed_says_how(graph: dict[str, dict[str, Any]]) -> None:
    """A command by its exit code, a cell by its exception."""
    failed = done(graph, "false")
    assert (failed["actionStatus"], failed["error"]) == (FAILED, "Exit code 1")
    assert "result" not in failed
    assert graph[failed["instrument"]["@id"]]["name"] == "false"
    assert done(graph, "1/0")["error"] == "ZeroDivisionError: division by zero"


def test_a_cell_names_its_code_figure_and_environment(graph: dict[str, dict[str, Any]]) -> None:
    """What put nothing out created nothing, and is in the history alone."""
    made = done(graph, "plot()")
    code = graph[made["instrument"]["@id"]]
    assert (code["text"], code["name"]) == ("plot()", "prompt 1 of code/wear.ipynb")
    assert code["version"] == digest_of(b"plot()")
    figure, text = (graph[each] for each in several(made["result"]))
    assert (figure["sha256"], figure["encodingFormat"]) == (digest_of(PNG)[7:], "image/png")
    assert text["text"] == "<Figure>"
    assert made["endTime"] == "2026-11-21T10:00:01.500+00:00"
    assert graph[made["containerImage"]["@id"]]["identifier"] == IMAGE
    assert "containerImage" not in done(graph, "1/0")
    assert not [e for e in graph.values() if "x = 2" in str(e.get("name"))]
    assert len(several(graph["./"]["mentions"])) == 5


def test_all_that_is_spoken_of_is_described(graph: dict[str, dict[str, Any]]) -> None:
    """No name within the crate leads nowhere."""

    def led_to(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*(led_to(each) for each in value))
        return {value["@id"]} if isinstance(value, dict) else set()

    every = set().union(*(led_to(value) for e in graph.values() for value in e.values()))
    assert {each for each in every if not each.startswith("http")} <= set(graph)


@pytest.mark.slow
def test_the_crate_is_valid_for_the_independent_validator(
    crate: Path, tmp_path: Path, validator: Path
) -> None:
    """RO-Crate 1.2 and Process Run Crate 0.5, recommendations included, by roc-validator."""
    folder = unpacked(crate, tmp_path / "crate")
    assert issues(validator, folder, "ro-crate-1.2", "process-run-crate-0.5") == []
    file = folder / "ro-crate-metadata.json"
    text = json.loads(file.read_text())
    for each in text["@graph"]:
        each.pop("instrument", None)
    file.write_text(json.dumps(text))
    found = issues(validator, folder, "process-run-crate-0.5")
    assert {sentence for _, sentence in found} == {
        "The Action MUST have an instrument property that references the executed tool"
    }


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["words", "exit", "files", "path", "content", "commit", "began", "image"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_KINDS: list[Kind] = ["command", "code", "inputs", "outputs", "metadata", "environment", "error"]
_KINDS += ["lists", "comparison", "seed", "stdout", "figure"]


@given(st.lists(st.tuples(st.sampled_from(_KINDS), _PLAIN), max_size=6))
def test_whatever_a_record_tells_it_can_be_described(told: list[tuple[Kind, Any]]) -> None:
    """Others write records, too: what is not as it should be counts as not told."""
    identity = Identity.create()
    record = Record(
        project="project-aebagbafaydqqcikbmga2dqpca",
        clone="clone-aebagbafaydqqcikbmga2dqpca",
        seq=0,
        previous=None,
        at="no time",
        by=By("Mira", identity.public.sign),
        type="execution",
        action="run",
        message="anything",
        details=tuple(Detail(kind, value) for kind, value in told),
    )
    things = Things({}, ())
    made = actions(
        [sign(record, identity)], things, lambda _: None, lambda asked: [None] * len(asked)
    )
    json.dumps([made, things.named])
