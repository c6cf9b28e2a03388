"""What all commands share: one object with --json, one sentence per error, the error's exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from branchline.cli.frame import pairs, table
from branchline.cli.root import root
from branchline.foundation.clock import SystemClock
from branchline.journey.invitation import Invitation
from branchline.workbench.printable import printable

STATION = Invitation("http://127.0.0.1:1", "token", "hospital-a", "station", "key").text
PERSON = Invitation("http://127.0.0.1:1", "token", "anna", "person", "key").text
FINGER = "sha256:" + "0" * 64


def run(*words: str, **extra: Any) -> Result:
    """Run one command line in this process."""
    return CliRunner().invoke(root, list(words), **extra)


REFUSED = {
    "an invitation that is none": (("enroll", "hello"), 2, "not an invitation"),
    "a station's invitation for a person": (("enroll", STATION), 2, "station enroll"),
    "a person's invitation for a station": (("station", "enroll", PERSON), 2, "branchline enroll"),
    "nobody enrolled": (("journey", "list"), 4, "branchline enroll"),
    "nobody enrolled, study": (("study", "show", "x"), 4, "branchline enroll"),
    "a train not packed here": (("depart", "x", FINGER), 4, "train pack"),
    "a digest that is none": (("depart", "x", "sha256:12"), 2, "not a digest"),
    "no station there": (("station", "serve"), 4, "station enroll"),
    "no station for a dataset": (("station", "dataset", "list"), 4, "station enroll"),
    "no station for stops": (("station", "stops", "list"), 4, "station enroll"),
    "no central there": (("central", "serve"), 4, "central init"),
    "no central to show": (("central", "show"), 4, "central init"),
    "no central with incidents": (("central", "incidents"), 4, "central init"),
    "no central to invite": (("central", "invite", "a", "--kind", "person"), 4, "central init"),
    "a ledger's name with a scheme": (("central", "init", "https://x"), 2, "without scheme"),
    "a study's name": (("study", "new", "No Name"), 2, "not a name for a study"),
    "a train's name": (("train", "new", "No Name"), 2, "not a name for a train"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_said_in_one_sentence(case: str, tmp_path: Path) -> None:
    """A refusal goes to standard error, says what to do, and has the error's exit code."""
    words, code, said = REFUSED[case]
    home = ("--home", str(tmp_path / "home")) if words[0] != "train" else ()
    done = run(*words, *home)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("case", REFUSED)
def test_with_json_an_error_is_an_object(case: str, tmp_path: Path) -> None:
    """The same refusals are one JSON object on standard output with the same exit code."""
    words, code, said = REFUSED[case]
    home = ("--home", str(tmp_path / "home")) if words[0] != "train" else ()
    done = run(*words, *home, "--json")
    problem = json.loads(done.stdout)
    assert (done.exit_code, done.stderr) == (code, "")
    assert set(problem) == {"error", "refused", "advice", "detail"}
    assert said in f"{problem['refused']}. {problem['advice']}"


@pytest.mark.parametrize(
    "words",
    [
        ("central", "serve", "--listen", "nowhere"),
        ("central", "serve", "--listen", "127.0.0.1:70000"),
        ("central", "invite", "a", "--kind", "robot"),
        ("central", "invite", "a", "--kind", "person", "--valid", "soon", "--url", "http://[::1]"),
        ("depart", "study"),
        ("depart", "study", "train", "--parameters", "[1]"),
        ("depart", "study", "train", "--parameters", "{"),
        ("depart", "study", "train", "--parameter", "rounds"),
        ("depart", "study", "train", "--dataset", "a=b", "--dataset", "a=c"),
        ("station", "outputs", "release", "journey-x"),
        ("station", "stops", "decline", "journey-x", "--by", "me"),
        ("verify", "no-such-folder"),
        ("train", "try", "no-such-folder"),
    ],
)
def test_a_wrong_command_line_ends_with_two(words: tuple[str, ...]) -> None:
    """What cannot be read as a command line is exit code 2, as a sentence and as JSON."""
    plain, as_json = run(*words), run(*words, "--json")
    assert (plain.exit_code, as_json.exit_code) == (2, 2)
    assert plain.stdout == ""
    assert json.loads(as_json.stdout)["error"] == "usage"


def test_the_home_may_come_from_the_environment(tmp_path: Path) -> None:
    """Each program's folder can be named by a variable; the option goes before it."""
    made = run("central", "init", "x.org/log", env={"BRANCHLINE_CENTRAL": str(tmp_path / "c")})
    assert made.exit_code == 0
    assert (tmp_path / "c" / "origin").read_text() == "x.org/log\n"


def test_central_is_made_once_and_shows_who_it_is(tmp_path: Path) -> None:
    """Making central twice is harmless; another name for it is refused; show tells its key."""
    home = ("--home", str(tmp_path / "c"))
    first = json.loads(run("central", "init", "x.org/log", *home, "--json").stdout)
    again = json.loads(run("central", "init", "x.org/log", *home, "--json").stdout)
    assert first == again
    assert run("central", "init", "y.org/log", *home).exit_code == 2
    shown = json.loads(run("central", "show", *home, "--json").stdout)
    assert (shown["origin"], shown["key"]) == ("x.org/log", first["key"])
    assert json.loads(run("central", "incidents", *home, "--json").stdout) == {"incidents": []}


def test_an_invitation_is_one_line_and_names_where_central_is(tmp_path: Path) -> None:
    """An invitation can be made before central was served if its address is given."""
    home = ("--home", str(tmp_path / "c"))
    run("central", "init", "x.org/log", *home)
    unknown = run("central", "invite", "anna", "--kind", "person", *home)
    assert (unknown.exit_code, "--url" in unknown.stderr) == (2, True)
    words = ("central", "invite", "anna", "--kind", "person", "--url", "https://x.org", *home)
    assert run(*words).stdout.startswith("bl1.")
    assert run("central", "invite", "central", *words[3:]).exit_code == 2


def test_parameters_are_json_or_plain_words() -> None:
    """Values are read as JSON where they are, and taken as words where they are not."""
    from branchline.cli.depart import read_parameters

    given = read_parameters(("n=3", "arm=placebo", 'name="x=y"', "list=[1,2]"), '{"n": 1, "m": 2}')
    assert given == {"n": 3, "m": 2, "arm": "placebo", "name": "x=y", "list": [1, 2]}
    with pytest.raises(click.BadParameter):
        pairs(("=x",), "NAME=JSON")


def test_a_table_is_aligned_and_cannot_steer_the_terminal() -> None:
    """Columns line up, and control characters in a cell are spelled out."""
    text = table(("a", "b"), [("1", "x\x1b[2J"), ("22", "y\nz")], "none")
    assert text.splitlines() == ["a   b", "1   x\\u001b[2J", "22  y z"]
    assert table(("a",), [], "none") == "none"
    assert printable("Größe\n\u202e") == "Größe\n\\u202e"


def test_a_new_study_can_be_read_once_it_is_filled_in(tmp_path: Path) -> None:
    """The template is a whole study but for its names, and an existing file is not overwritten."""
    from branchline.foundation.keys import Identity
    from branchline.study.document import CentralPin, StudyRefused
    from branchline.study.draft import Pin, study_from_draft
    from branchline.workbench.draft import names_in

    file, home = tmp_path / "s.toml", ("--home", str(tmp_path / "h"))
    assert run("study", "new", "sleep", "--output", str(file), *home).exit_code == 0
    assert run("study", "new", "sleep", "--output", str(file), *home).exit_code == 2
    with pytest.raises(StudyRefused, match="NAME"):
        names_in(file.read_text())
    text = file.read_text()
    for name in ("anna", "eva", "anna", "eva", "hospital-a", "ages"):
        text = text.replace('"NAME"', f'"{name}"', 1)
    assert names_in(text) == ["anna", "eva", "hospital-a"]
    pins = {name: Pin(Identity.create().public) for name in names_in(text)}
    central = CentralPin("x.org/log", Identity.create().public, "x.org/log+0+0")
    study = study_from_draft(text, pins.__getitem__, central)
    assert study.valid_from < SystemClock().now() < study.valid_until
    assert study.stations[0].datasets == ("ages",)
