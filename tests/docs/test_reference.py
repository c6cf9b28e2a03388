"""The reference pages say what the program does."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable

import msgspec
import pytest
from tests.docs import generate
from tests.docs.pages import DOCS, ROOT, blocks_of

from branchline.disclosure.findings import SafeReason
from branchline.disclosure.rules import KINDS, Thresholds
from branchline.foundation.errors import BY_CODE
from branchline.journey import machine, stop
from branchline.journey.acts import AnyAct
from branchline.journey.messages import Message, Notice
from branchline.sandbox.engine import FailureReason
from branchline.sandbox.limits import Limits
from branchline.station.settings import StationSettings
from branchline.study.lifecycle import State

REFERENCE = DOCS / "reference"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_as_the_program_is(name: str) -> None:
    """The pages on commands and on the API are what the generator makes now."""
    make: Callable[[], str] = generate.PAGES[name]
    message = "run 'python tests/docs/generate.py'"
    assert (REFERENCE / name).read_text("utf-8") == make(), message


def test_the_safe_reasons_are_all_there() -> None:
    """The page on release checks lists exactly the sentences that may leave, in their order."""
    page = blocks_of(REFERENCE / "release-checks.md")
    listed = next(block.text for block in page if block.note == "safe reasons")
    assert listed.splitlines() == [str(reason) for reason in SafeReason]


def test_station_toml_shows_every_default() -> None:
    """The example of station.toml has every setting, each with its default."""
    block = next(b for b in blocks_of(REFERENCE / "station-toml.md") if b.note == "station.toml")
    shown = msgspec.toml.decode(block.text.encode(), type=StationSettings)
    plain = StationSettings(name=shown.name, central=shown.central)
    assert shown == plain
    form = tomllib.loads(block.text)
    assert set(form["limits"]) == set(Limits.__struct_fields__)
    assert set(form["thresholds"]) == set(Thresholds.__struct_fields__)
    assert set(form) == set(StationSettings.__struct_fields__)


def test_limits_and_failures_are_all_named() -> None:
    """The page on limits names every limit and every reason for which a train can fail."""
    text = (REFERENCE / "limits-and-isolation.md").read_text("utf-8")
    for word in (*Limits.__struct_fields__, *FailureReason):
        assert f"`{word}`" in text


def test_error_codes_and_exit_codes_are_as_told() -> None:
    """The page on errors has a row with the exit code of every error."""
    text = (REFERENCE / "errors.md").read_text("utf-8")
    for code, kind in BY_CODE.items():
        assert re.search(rf"^\| {kind.exit_code} \| `{code}`", text, re.M), code


def test_kinds_of_output_are_all_told() -> None:
    """The page on train.toml has a row for every kind of output."""
    text = (REFERENCE / "train-toml.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []


def test_acts_and_notices_are_all_in_the_architecture() -> None:
    """ARCHITECTURE.md names every act and every kind of notice."""
    acts = {str(kind.__struct_config__.tag) for kind in AnyAct.__args__}
    assert {act for act in acts if act not in ARCHITECTURE} == set()
    kinds = next(f for f in msgspec.structs.fields(Notice) if f.name == "kind").type.__args__
    assert {kind for kind in kinds if kind not in ARCHITECTURE} == set()


@pytest.mark.parametrize(
    ("heading", "states"),
    [
        ("### Study", [s.value for s in State]),
        ("### Journey", [p.value for p in machine.Phase]),
        ("### A stop as central sees it", [p.value for p in machine.StopPhase]),
        ("### A stop at its station", [s.value for s in stop.State]),
    ],
)
def test_life_cycles_have_all_their_states(heading: str, states: list[str]) -> None:
    """Each table of a life cycle in ARCHITECTURE.md names every state there is."""
    section = ARCHITECTURE.partition(heading)[2].partition("\n##")[0]
    assert [state for state in states if state not in section] == []


def test_each_room_is_in_the_house() -> None:
    """ARCHITECTURE.md has a row for every room of the package."""
    rooms = {folder.parent.name for folder in (ROOT / "src" / "branchline").glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}`" not in ARCHITECTURE} == set()


def test_paths_in_the_architecture_exist() -> None:
    """Each Python file that ARCHITECTURE.md names is in the package."""
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", ARCHITECTURE))
    assert named
    package = ROOT / "src" / "branchline"
    assert {path for path in named if not (package / path).is_file()} == set()


def test_messages_on_the_api_page_refuse_unknown_fields() -> None:
    """What the page says of all messages holds for all messages."""
    assert Message.__struct_config__.forbid_unknown_fields
