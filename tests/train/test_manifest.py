"""train.toml: read strictly, with complaints a person can act on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchline.datasets.forms import FormRefused
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.foundation.errors import BranchlineError
from branchline.train.entry import CommandEntry, FunctionsEntry, as_dict
from branchline.train.manifest import Manifest, parse_manifest
from branchline.train.template import new_train

FULL = """
name = "logistic"
version = "1.2.0"
description = "Logistic regression by Newton steps"
[environment]
python = ["numpy", "pandas"]
[entry.station]
kind = "functions"
file = "analysis.py"
function = "gradient"
frame = "arrow"
[entry.aggregator]
kind = "functions"
file = "newton.py"
[route]
kind = "parallel"
rounds = 10
quorum = 2
deadline_seconds = 60
[contract.tables.trial]
minimum_rows = 10
columns.age = { type = "integer", minimum = 0, maximum = 120 }
columns.arm = { type = "code", codes = ["drug", "placebo"], nullable = true }
[outputs.gradient]
kind = "parameters"
shape = [3]
model_parameters = 3
[outputs.table]
kind = "counts"
dimensions = ["arm"]
count = "n"
[result.estimates]
kind = "statistics"
columns = ["term", "estimate"]
[parameters]
properties.tolerance = { type = "number", exclusiveMinimum = 0, default = 1e-8 }
"""


def test_a_manifest_says_everything() -> None:
    """Every part of a full manifest arrives typed."""
    manifest = parse_manifest(FULL.encode())
    assert manifest.station == FunctionsEntry("analysis.py", "gradient", "arrow")
    assert manifest.aggregator == FunctionsEntry("newton.py", "combine")
    assert manifest.files == ("analysis.py", "newton.py")
    assert (manifest.route.rounds, manifest.route.quorum) == (10, 2)
    assert manifest.needs == (
        NeededTable(
            "trial",
            (
                NeededColumn("age", "integer", minimum=0, maximum=120),
                NeededColumn("arm", "code", ("drug", "placebo"), nullable=True),
            ),
            10,
        ),
    )
    assert manifest.outputs["gradient"].shape == (3,)
    assert manifest.result["estimates"].columns == ("term", "estimate")
    assert manifest.environment.python == ("numpy", "pandas")


def test_an_entry_is_told_to_the_sandbox_as_a_plain_dictionary() -> None:
    """An entry point's dictionary says its kind."""
    assert as_dict(FunctionsEntry("a.py", "station")) == {
        "kind": "functions", "file": "a.py", "function": "station", "frame": "pandas",
    }  # fmt: skip
    assert as_dict(CommandEntry(("sh", "run.sh"))) == {
        "kind": "command", "argv": ("sh", "run.sh"), "frame": "csv",
    }  # fmt: skip


def test_a_train_may_read_and_return_nothing() -> None:
    """The smallest train has a name, a route and entry points."""
    manifest = parse_manifest(b'name="x"\nroute.kind="sequential"\nentry.station.argv=["true"]')
    assert manifest.station == CommandEntry(("true",))
    assert (manifest.aggregator, manifest.needs, manifest.outputs) == (None, (), {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "logistic"', "", "train.toml: Object missing required field name"),
        ('name = "logistic"', 'name = "Lo gistic"', "train.toml: name: "),
        ('name = "logistic"', 'nmae = "x"', "train.toml: nmae: Unknown key; expected one of"),
        ('version = "1.2.0"', 'version = "1 2"', "train.toml: version: "),
        ('version = "1.2.0"', "version = 1", "version: Expected str, got int"),
        ('["numpy", "pandas"]', '["numpy>=2"]', "train.toml: environment.python[0]: "),
        ('kind = "functions"\nfile = "analysis.py"', 'kind = "notebook"', "entry.station.kind"),
        ('"analysis.py"', '"analysis.R"', "entry.station: file names a Python file"),
        ('"gradient"\nframe', '"import os"\nframe', "entry.station: function is the name"),
        ('"arrow"', '"polars"', "train.toml: entry.station.frame: Invalid enum value 'polars'"),
        ("[entry.aggregator]", "[entry.agregator]", "entry.agregator: Unknown key"),
        ('file = "newton.py"', 'file = "n.py"\nframe = "arrow"', "entry.aggregator.frame: Unknown"),
        ('kind = "parallel"', 'kind = "circular"', "train.toml: route.kind: Invalid enum value"),
        ('kind = "parallel"', 'kind = "sequential"', "route: rounds belong to a parallel route"),
        ("rounds = 10", "rounds = 0", "train.toml: route.rounds: Expected int >= 1"),
        ("rounds = 10", 'rounds = "10"', "train.toml: route.rounds: Expected int, got str"),
        ("rounds = 10", 'on_decline = "skip"', "on_decline belongs to a sequential route"),
        ("tables.trial", "table.trial", "train.toml: contract.table: Unknown key"),
        ("minimum_rows = 10", "minimum_row = 10", "contract.tables.trial: Object contains unknown"),
        ('"integer"', '"int"', "contract.tables.trial.columns.age.type: Invalid enum value 'int'"),
        ('"integer"', '"text"', "contract.tables.trial.columns.age: Column 'age'"),
        ("maximum = 120", "maximum = -1", "columns.age: Column 'age': minimum is greater"),
        ('kind = "parameters"', 'kind = "rows"', "train.toml: outputs.gradient.kind: Invalid enum"),
        ('count = "n"', "", "train.toml: outputs.table: a table names its column"),
        ("[outputs.table]", '[outputs."a b"]', "train.toml: outputs.a b: A name is letters"),
        ('columns = ["term"', 'colums = ["term"', "train.toml: result.estimates: Object contains"),
        ("[parameters]", "[params]", "train.toml: params: Unknown key"),
        ('type = "number"', 'type = "float"', "train.toml: parameters: properties.tolerance.type"),
        ("default = 1e-8", "default = 0", "parameters: properties.tolerance.default does not fit"),
        ("default = 1e-8", "default = 2020-01-01", "parameters: The schema of the parameters"),
        ("default = 1e-8", "pattern = '(a+)+$'", "properties.tolerance.pattern: not a keyword"),
        ("default = 1e-8", "'$ref' = 'http://x'", "properties.tolerance.$ref: not a keyword"),
        ("default = 1e-8", "minimun = 1", "properties.tolerance.minimun: not a keyword"),
    ],
)
def test_a_mistake_is_told_by_file_key_and_expectation(old: str, new: str, said: str) -> None:
    """Each mistake is answered in one sentence with the file, the key and what was expected."""
    assert old in FULL
    with pytest.raises(FormRefused) as refusal:
        parse_manifest(FULL.replace(old, new, 1).encode())
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name="x"\nentry.station.argv=["a"]', "train.toml: route: Missing"),
        ('name="x"\nroute.kind="parallel"', "train.toml: entry: Missing"),
        ('name="x"\nroute.kind="parallel"\nentry={}', "train.toml: entry.station: Missing"),
        ('name="x"\nroute.kind="parallel"\nentry.station.argv=["a"]', "entry.aggregator: Missing"),
        ('name="x"\nroute.kind="sequential"\nentry.station.argv=[]', "entry.station: argv is a"),
        (
            'name="x"\nroute.kind="sequential"\n[entry]\nstation.argv=["a"]\naggregator.argv=["a"]',
            "entry.aggregator: Only a parallel route",
        ),
        (
            'name="x"\nroute.kind="sequential"\nentry.station.argv=["a"]\nresult.x.kind="text"',
            "train.toml: result: Only a parallel route",
        ),
        ("name = ", "train.toml is not TOML"),
        ("x = " + "[" * 100_000, "train.toml is not TOML"),
        ("x = " + "9" * 10_000, "train.toml is not TOML"),
        ("#" * 300_000, "train.toml is larger than"),
    ],
)
def test_a_missing_or_misplaced_part_is_told(text: str, said: str) -> None:
    """What is missing, out of place or not TOML at all is said."""
    with pytest.raises(FormRefused) as refusal:
        parse_manifest(text.encode())
    assert said in str(refusal.value)


@given(
    st.text(max_size=200)
    | st.sampled_from(FULL.splitlines()).map(lambda line: FULL.replace(line, "", 1))
)
def test_any_text_is_a_manifest_or_refused(text: str) -> None:
    """Hostile manifests end in a manifest or in an error of ours, never in another one."""
    try:
        manifest = parse_manifest(text.encode())
    except BranchlineError:
        return
    assert isinstance(manifest, Manifest)


@pytest.mark.parametrize("route", ["parallel", "sequential"])
@pytest.mark.parametrize("kind", ["functions", "command"])
def test_a_new_train_parses(route: str, kind: str) -> None:
    """Each template is a valid manifest of its route and kind."""
    manifest = parse_manifest(new_train("x", route=route, kind=kind)["train.toml"].encode())  # type: ignore[arg-type]
    assert (manifest.name, manifest.route.kind, manifest.station.kind) == ("x", route, kind)
