"""A station's commands that need no server: datasets, what it shows, decisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from branchline.cli.root import root
from branchline.foundation.clock import SystemClock
from branchline.foundation.database import open_database
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import seal
from branchline.journey.messages import Notice
from branchline.journey.stop import Event
from branchline.sandbox.inside.values import encode_payload
from branchline.station.settings import CentralRef, StationHome, StationSettings
from branchline.station.store import StationStore

JOURNEY = "journey-" + "a" * 26


@pytest.fixture
def home(tmp_path: Path) -> StationHome:
    """Return the folder of an enrolled station."""
    place = StationHome(tmp_path / "station")
    keys = Identity.create().public
    assert place.identity.id
    central = CentralRef("http://127.0.0.1:1", keys, "x.org/log+0+0")
    place.write_settings(StationSettings("hospital-a", central))
    return place


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Return a small source file."""
    file = tmp_path / "Patients.csv"
    file.write_text("age,arm\n" + "".join(f"{20 + i},{'ab'[i % 2]}\n" for i in range(40)))
    return file


def run(home: StationHome, *words: str, **extra: Any) -> Result:
    """Run one of the station's commands."""
    return CliRunner().invoke(root, ["station", *words, "--home", str(home.folder)], **extra)


def visit(home: StationHome, *events: Event) -> StationStore:
    """Let a train have come, and let things have happened to it."""
    store = StationStore(open_database(home.database), SystemClock())
    store.begin_visit(Notice(kind="visit", journey=JOURNEY))
    for event in events:
        store.record(JOURNEY, 1, 1, event, {})
    return store


ADD = ("--use-terms", "GRU,NPUNCU", "--confidentiality", "internal")


def test_a_dataset_is_described_edited_and_added(
    home: StationHome, csv: Path, tmp_path: Path
) -> None:
    """The schema that describe writes can be given to add, and show tells what was added."""
    schema = tmp_path / "schema.toml"
    words = ["station", "dataset", "describe", f"people={csv}", "--output", str(schema)]
    assert CliRunner().invoke(root, words).exit_code == 0
    add = ("dataset", "add", "trial", "--source", f"people={csv}", "--schema", str(schema), *ADD)
    added = run(home, *add, "--json")
    assert added.exit_code == 0, added.stdout
    shown = json.loads(run(home, "dataset", "show", "trial", "--json").stdout)
    assert shown == json.loads(added.stdout)
    assert (shown["rows"], shown["use_terms"]) == ({"people": 40}, ["GRU", "NPUNCU"])
    assert run(home, *add).exit_code == 5
    assert run(home, *add, "--replace").exit_code == 0
    assert run(home, "dataset", "remove", "trial").exit_code == 0
    assert run(home, "dataset", "show", "trial").exit_code == 4


def test_an_inferred_schema_is_added_only_when_confirmed(home: StationHome, csv: Path) -> None:
    """Without --schema the steward is asked; a no, and --json, where nobody is there, add nothing."""
    add = ("dataset", "add", "trial", "--source", str(csv), *ADD)
    assert run(home, *add, input="n\n").exit_code == 130
    assert run(home, *add, "--json").exit_code == 2
    assert json.loads(run(home, "dataset", "list", "--json").stdout) == {"datasets": []}
    assert run(home, *add, input="y\n").exit_code == 0
    assert "patients" in run(home, "dataset", "list").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--source", "nowhere.csv", *ADD), 2),
        (("--use-terms", "XYZ", "--confidentiality", "internal"), 2),
        (("--use-terms", "GRU", "--confidentiality", "quite"), 2),
    ],
)
def test_a_dataset_that_is_not_one_is_refused(
    home: StationHome, csv: Path, words: tuple[str, ...], code: int
) -> None:
    """A missing file, an unknown use term and an unknown class are refused."""
    source = () if "--source" in words else ("--source", str(csv))
    assert run(home, "dataset", "add", "trial", *source, *words, "--yes").exit_code == code


def test_show_tells_who_the_station_is(home: StationHome) -> None:
    """The station's name, key and demands are shown."""
    shown = json.loads(run(home, "show", "--json").stdout)
    assert (shown["name"], shown["key"]) == ("hospital-a", home.identity.id)
    assert home.identity.id in run(home, "show").stdout
    assert run(home, "study", "list").stdout == "No study was approved here yet.\n"


def test_a_train_that_waits_is_accepted_for_the_next_start(home: StationHome) -> None:
    """A decision is kept; that no station runs to carry it out is said."""
    store = visit(home, Event.NEEDS_PERSON)
    listed = json.loads(run(home, "stops", "list", "--json").stdout)["stops"]
    assert [(stop["journey"], stop["state"]) for stop in listed] == [(JOURNEY, "asked")]
    done = run(home, "stops", "accept", JOURNEY, "--by", "A. Weber")
    assert (done.exit_code, "not running" in done.stdout) == (0, True)
    assert [(word.what, word.by) for word in store.words()] == [("accept", "A. Weber")]


def test_a_decision_that_does_not_fit_is_refused(home: StationHome) -> None:
    """What is not held cannot be released, and a journey that never came cannot be declined."""
    store = visit(home, Event.NEEDS_PERSON)
    assert run(home, "outputs", "release", JOURNEY, "--by", "B").exit_code == 5
    other = JOURNEY.replace("a", "b")
    assert run(home, "stops", "decline", other, "--by", "B", "--reason", "no").exit_code == 4
    assert store.words() == []


def test_an_output_is_reviewed_with_its_findings_and_released(
    home: StationHome, tmp_path: Path
) -> None:
    """Payload and findings stand on one screen, figures are written out, and a word is kept."""
    store = visit(home, Event.ACCEPTED, Event.HELD)
    payload = encode_payload({"n": 12, "plot": b"\x89PNG", "note": "\x1b[2J"})
    finding = {"output": "plot", "kind": "figure", "verdict": "person", "rule": "person"}
    findings = json.dumps([{**finding, "reason": "look", "evidence": {"bytes": "4"}}])
    sealed = bytes(seal(payload, [home.identity.public.seal]))
    store.hold(JOURNEY, 1, 1, sealed, findings)
    assert JOURNEY in run(home, "outputs", "list").stdout
    words = ("outputs", "review", JOURNEY, "--figures", str(tmp_path / "look"))
    seen = run(home, *words)
    assert "plot (figure): person, rule person. bytes=4" in seen.stdout
    assert "\x1b" not in seen.stdout
    assert (tmp_path / "look" / "plot.png").read_bytes() == b"\x89PNG"
    assert json.loads(run(home, *words, "--json").stdout)["payload"]["n"] == 12
    assert run(home, "outputs", "release", JOURNEY, "--by", "B. Okoye").exit_code == 0
    assert [(word.what, word.by) for word in store.words()] == [("release", "B. Okoye")]
