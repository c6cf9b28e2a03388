"""An export is judged as it lies there: history, records, contents, and what its crate says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.project.carrying.test_carrying import changed
from tests.project.conftest import Scene, quiet

from branchline.cli.root import root
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import Corrupt, NotFound, Refused
from branchline.project.activity.feed import read_all
from branchline.project.carrying.form import CRATE, MANIFEST
from branchline.project.carrying.judging import Judged, judged
from branchline.project.carrying.statements import problems, read_graph

Change = Callable[[dict[str, dict[str, Any]]], None]


def judge(file: Path) -> Judged:
    """Judge an export."""
    with judged(file, quiet) as (found, _):
        return found


def said(found: Judged) -> str:
    """Return all that is wrong, in one text."""
    return "\n".join(problem for each in found.judgements for problem in each.problems)


def rewrite(crate: Path, change: Change) -> None:
    """Change what a crate says."""
    text = json.loads(contents(crate)[CRATE])
    change({each["@id"]: each for each in text["@graph"]})
    changed(crate, replace={CRATE: json.dumps(text).encode()})


def contents(file: Path) -> dict[str, bytes]:
    """Return what is in a zip."""
    import zipfile

    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def action(graph: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the action of a name."""
    return next(each for each in graph.values() if each.get("name") == name)


@pytest.mark.parametrize("name", ["crate.zip", "plain.zip"])
def test_an_export_is_verified_and_leaves_nothing(
    worked: Scene, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step holds, keys are named, the folder that it took is gone; the project is not touched."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = worked.git("rev-parse", "HEAD")
    found = judge(worked.root.parent / name)
    assert (said(found), found.good, found.beyond, found.unnamed) == ("", True, [], [])
    assert len(found.judgements) == (5 if name == "crate.zip" else 3)
    assert found.checked is not None
    assert found.checked.keys == {worked.identity.public.sign: ["Mira"]}
    assert (found.checked.records, found.checked.absent) == (found.manifest.records, 0)
    assert list(folder.iterdir()) == []
    assert worked.git("rev-parse", "HEAD") == before


def test_a_run_that_is_said_to_have_made_something_else_is_named(
    worked: Scene, crate: Path
) -> None:
    """By its name, its record, and both digests."""
    signed = next(s for s in read_all(worked.project) if s.record.message == "Tripled")
    other = "00" * 32

    def swap(graph: dict[str, dict[str, Any]]) -> None:
        made = action(graph, "Tripled")["result"][0]["@id"]
        graph[made]["sha256"] = other

    rewrite(crate, swap)
    found = judge(crate)
    assert not found.good
    assert f"made by 'Tripled', record {signed.digest[7:19]}" in said(found)
    assert other in said(found)
    assert digest_of(b"one\none\none\n")[7:] in said(found)
    assert said(found).count("\n") == 0, "one fault, one sentence"


def _points_elsewhere(graph: dict[str, dict[str, Any]]) -> None:
    action(graph, "Tripled")["result"][0]["@id"] = "files/code/README.md"


def _went_well(graph: dict[str, dict[str, Any]]) -> None:
    failed = action(graph, "false")
    failed["actionStatus"] = failed["actionStatus"].replace("Failed", "Completed")
    del failed["error"]


def _by_another(graph: dict[str, dict[str, Any]]) -> None:
    person = next(each for each in graph.values() if each["@type"] == "Person")
    person["name"] = "Noor"


def _of_another_time(graph: dict[str, dict[str, Any]]) -> None:
    action(graph, "Doubled")["endTime"] = "2020-01-01T00:00:00.000+00:00"


def _other_code(graph: dict[str, dict[str, Any]]) -> None:
    next(each for each in graph.values() if each.get("text") == "plot()")["text"] = "fake()"


def _another_record(graph: dict[str, dict[str, Any]]) -> None:
    action(graph, "Doubled")["identifier"] = f"urn:branchline:record:sha256:{'0' * 64}"


def _not_told(graph: dict[str, dict[str, Any]]) -> None:
    action(graph, "Doubled").clear()
    graph["./"]["mentions"].pop()
    _placeholder(graph)


def _placeholder(graph: dict[str, dict[str, Any]]) -> None:
    empty = next(each for each in graph.values() if not each)
    empty |= {"@id": "#nothing", "@type": "CreativeWork", "name": "nothing"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_points_elsewhere, r"'Tripled', record .* as its result: .*README\.md"),
        (_went_well, r"'false', record .* as its actionStatus"),
        (_by_another, r"as its name: Noor; .*: Mira"),
        (_of_another_time, r"'Doubled', record .* as its endTime: 2020"),
        (_other_code, r"'prompt 1 of .*run by '\[1\] plot\(\)'.* as its text: fake"),
        (_another_record, r"'Doubled', record .* as its identifier"),
        (_not_told, r"says nothing of 'Doubled', record"),
    ],
)
def test_whatever_else_a_crate_says_of_a_run_is_held_against_its_record(
    crate: Path, change: Change, sentence: str
) -> None:
    """Result, outcome, who, when, code, record; and what is left unsaid."""
    rewrite(crate, change)
    found = judge(crate)
    assert not found.good
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(said(found))


def test_a_run_that_no_record_tells_of_is_refused_and_an_authors_address_is_not(
    crate: Path,
) -> None:
    """Whoever adds what records do not speak of is told that nothing vouches for it."""
    text = json.loads(contents(crate)[CRATE])
    text["@graph"].append({"@id": "#ror", "@type": "Organization", "name": "A university"})
    text["@graph"][1]["keywords"] = "wear"
    changed(crate, replace={CRATE: json.dumps(text).encode()})
    found = judge(crate)
    assert (found.good, found.beyond) == (True, ["#ror"])
    text["@graph"].append({"@id": "#made-up", "@type": "CreateAction", "name": "Cured"})
    changed(crate, replace={CRATE: json.dumps(text).encode()})
    assert "tells of 'Cured', and no record does" in said(judge(crate))


def test_contents_files_and_history_are_held_against_their_digests(crate: Path) -> None:
    """Each that was swapped is named, also where the list in the export was made to agree."""
    good = crate.read_bytes()
    held = contents(crate)
    listed = json.loads(held[MANIFEST])["contents"]
    entry = next(each for each in listed if each["file"].endswith(".csv"))
    swapped = b"x" * len(held[entry["file"]])

    def agree(manifest: dict[str, Any]) -> None:
        for each in manifest["contents"]:
            if each["key"] == entry["key"]:
                each["digest"] = digest_of(swapped)

    def fewer(manifest: dict[str, Any]) -> None:
        manifest["records"] -= 1

    cases: list[tuple[dict[str, Any], str]] = [
        ({"replace": {entry["file"]: swapped}}, "is not what branchline-export.json says"),
        ({"replace": {entry["file"]: swapped}, "manifest": agree}, "is not what its name says"),
        (
            {"replace": {"files/results/out.csv": b"one\none\n"}},
            r"results/out\.csv. in the crate",
        ),
        ({"remove": "files/code/fit.py"}, r"lacks the file .code/fit\.py"),
        ({"add": {"files/code/extra.py": b"x"}}, r"has a file .code/extra\.py"),
        ({"replace": {"history.bundle": bytes(len(held["history.bundle"]))}}, "is not what"),
        ({"replace": {CRATE: b"[]"}}, "not acceptable"),
        ({"manifest": fewer}, "The export says that it has"),
    ]
    for change, sentence in cases:
        crate.write_bytes(good)
        changed(crate, **change)
        found = judge(crate)
        assert not found.good, sentence
        with pytest.raises(AssertionError, match=sentence):
            raise AssertionError(said(found))


def test_the_command_says_what_holds_and_exits_with_6_if_something_does_not(
    worked: Scene, crate: Path, tmp_path: Path
) -> None:
    """As text and as JSON; a zip that is no export is one sentence."""
    runner = CliRunner()
    done = runner.invoke(root, ["verify", str(crate)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "Verified: the export is whole." in done.output
    assert f"Mira: {worked.identity.public.sign}" in done.output
    rewrite(crate, _went_well)
    done = runner.invoke(root, ["verify", str(crate), "--json"], catch_exceptions=False)
    assert done.exit_code == 6
    told = json.loads(done.stdout)
    assert not told["verified"]
    assert "'false', record" in told["steps"][-1]["problems"][0]
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK")
    for file, kind in ((tmp_path / "none.zip", NotFound), (other, Corrupt)):
        with pytest.raises(kind):
            judge(file)


_ANY = st.recursive(
    st.none() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_ENTITY = st.fixed_dictionaries(
    {"@id": st.sampled_from(["a", "b", "c"])},
    optional={
        "@type": st.sampled_from(["CreateAction", "File"]) | _ANY,
        "name": _ANY,
        "result": _ANY,
        "sha256": _ANY,
    },
)
_GRAPH = st.lists(_ENTITY, max_size=4, unique_by=lambda each: str(each["@id"]))


@given(due=_GRAPH, other=_GRAPH)
def test_what_is_said_is_no_problem_exactly_if_it_is_what_is_due(due: Any, other: Any) -> None:
    """Whatever is written there: nothing raises; a graph has no quarrel with itself."""
    assert list(problems(due, due)) == []
    found = list(problems(other, due))
    facts = ("@type", "result", "sha256")
    known = {each["@id"]: each for each in other}
    for each in due:
        there = known.get(each["@id"], {})
        if any(each.get(name) is not None and not there for name in facts):
            assert found


@given(st.binary(max_size=40) | _ANY.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_description_is_refused(text: bytes) -> None:
    """In one sentence."""
    with pytest.raises(Refused, match="not acceptable"):
        read_graph(text)
