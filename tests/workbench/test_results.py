"""The result folder: checked by type, readable, exact, whole or absent."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.foundation.canonical import parse_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import Conflict, Corrupt
from branchline.foundation.ids import new_id
from branchline.journey.messages import Evidence
from branchline.journey.request import JourneyRequest, Route
from branchline.sandbox.inside.values import encode_payload
from branchline.train.archive import File
from branchline.train.bundle import Bundle, pack_files
from branchline.workbench.results import (
    ResultRefused,
    check_result,
    open_result,
    readable,
    result_digest,
    write_result,
)

TOML = """\
name = "t"
[entry.station]
file = "a.py"
[entry.aggregator]
file = "a.py"
[route]
kind = "parallel"
[result.n]
kind = "scalar"
[result.means]
kind = "statistics"
columns = ["arm", "mean"]
[result.beta]
kind = "parameters"
shape = [2]
[result.plot]
kind = "figure"
[result.note]
kind = "text"
"""
BUNDLE: Bundle = pack_files({"train.toml": File(TOML.encode()), "a.py": File(b"")})
GOOD: dict[str, Any] = {
    "n": 3,
    "means": pa.table({"arm": ["x", "y"], "mean": [1.5, math.nan]}),
    "beta": np.array([0.25, math.inf]),
    "plot": b"\x89PNG",
    "note": "fine",
}


@dataclass
class Place:
    """Where a result goes, and of which journey."""

    folder: Path
    request: JourneyRequest

    def write(self, values: dict[str, Any]) -> Path:
        """Write a result's folder."""
        payload = encode_payload(values)
        evidence = Evidence(study=b"{}", author="jws", items=(), log_vkey="x.org/l+0+0")
        opened = open_result(payload, BUNDLE.manifest)
        return write_result(
            self.folder, payload, opened, self.request, BUNDLE.manifest, BUNDLE.data, evidence
        )


def request() -> JourneyRequest:
    """Return the request of a new journey."""
    return JourneyRequest(
        journey=new_id("journey"),
        study="sleep",
        study_digest=Digest("sha256:" + "2" * 64),
        train=BUNDLE.digest,
        author="jws",
        route=Route("parallel", ("a",)),
        parameters={"x": 1},
        datasets={"a": "ages"},
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a folder that does not exist yet."""
    return Place(tmp_path / "results" / "one", request())


def test_everything_is_there_readable_and_exact(place: Place) -> None:
    """The folder holds the exact bytes, a text to read, and what verifies them."""
    folder = place.write(GOOD)
    names = {file.name for file in folder.iterdir()}
    files = {"result.arrow", "result.json", "evidence.json", "request.json", "train.tar"}
    assert names == {*files, "README.txt", "plot.png"}
    assert (folder / "result.arrow").read_bytes() == encode_payload(GOOD)
    assert (folder / "plot.png").read_bytes() == b"\x89PNG"
    assert json.loads((folder / "result.json").read_text()) == {
        "n": 3,
        "means": [{"arm": "x", "mean": 1.5}, {"arm": "y", "mean": "NaN"}],
        "beta": [0.25, "Infinity"],
        "plot": {"file": "plot.png"},
        "note": "fine",
    }
    read = parse_json((folder / "request.json").read_bytes(), JourneyRequest, what="request")
    assert (read, read.digest) == (place.request, place.request.digest)
    assert digest_of((folder / "train.tar").read_bytes()) == BUNDLE.digest
    assert parse_json((folder / "evidence.json").read_bytes(), Evidence, what="evidence")
    assert place.request.journey in (folder / "README.txt").read_text()
    assert [each.name for each in folder.parent.iterdir()] == ["one"]


def test_the_same_journey_replaces_its_result_and_nothing_else(place: Place) -> None:
    """Writing twice is harmless; another journey's folder, or any other, is left alone."""
    place.write(GOOD)
    (place.folder / "stray").write_text("x")
    place.write(GOOD)
    assert not (place.folder / "stray").exists()
    with pytest.raises(Conflict, match=place.request.journey):
        Place(place.folder, request()).write(GOOD)
    other = place.folder.parent / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(Conflict, match="no result"):
        Place(other, request()).write(GOOD)
    assert {each.name for each in place.folder.parent.iterdir()} == {"one", "mine"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": "three"}, "'n' is declared as scalar, but it is a text"),
        ({"n": None}, "nothing"),
        ({"means": pa.table({"arm": ["x"], "average": [1.0]})}, "columns are arm, average"),
        ({"means": 1.0}, "'means' is declared as statistics, but it is a number"),
        ({"beta": np.zeros(3)}, r"shape is \(3,\); declared is \(2,\)"),
        ({"beta": [[1.0, 2.0]]}, r"shape is \(1, 2\)"),
        ({"beta": "x"}, "it is a text"),
        ({"plot": "x"}, "'plot' is declared as figure"),
        ({"note": b"x"}, "'note' is declared as text, but it is bytes"),
        ({"extra": 1}, "'extra', which train 't' does not declare"),
    ],
)
def test_a_result_of_another_type_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    """Each kind of mismatch names the value, what is declared and what came."""
    payload = encode_payload(GOOD | change)
    with pytest.raises(ResultRefused, match=says):
        open_result(payload, BUNDLE.manifest)


@given(st.sets(st.sampled_from(sorted(GOOD))))
def test_a_result_is_accepted_only_if_nothing_is_missing(kept: set[str]) -> None:
    """Any value left out is noticed."""
    values = {name: GOOD[name] for name in kept}
    if kept == set(GOOD):
        check_result(values, BUNDLE.manifest)
    else:
        with pytest.raises(ResultRefused, match="lacks"):
            check_result(values, BUNDLE.manifest)


def test_bytes_that_are_no_result_are_corrupt() -> None:
    """What is no payload, and what has another digest than announced, is refused."""
    with pytest.raises(Corrupt, match="not readable"):
        open_result(b"hello", BUNDLE.manifest)
    with pytest.raises(Corrupt, match="announced"):
        result_digest(b"hello", digest_of(b"hallo"))
    assert result_digest(b"hello", digest_of(b"hello")) == digest_of(b"hello")


def test_what_is_large_is_summarised_for_reading() -> None:
    """A large array or table is described in the readable text and kept exactly in the Arrow file."""
    shown = readable({"a": np.zeros((200, 100)), "t": pa.table({"x": list(range(10_001))})})
    assert shown["a"] == {"array": [200, 100], "type": "float64", "in": "result.arrow"}
    assert shown["t"] == {"rows": 10_001, "columns": ["x"], "in": "result.arrow"}
