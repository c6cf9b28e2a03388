"""``checks.toml`` is read strictly; a train's checks ask for nothing that only rows can tell."""

from __future__ import annotations

import pytest

from branchline.checks.expectations import needs_of, read_checks
from branchline.foundation.errors import Refused

GOOD = """
[data.patients]
files = ["data/patients/*.csv"]
required = true
on = ["save"]
rows = { minimum = 10, maximum = 5000 }
bytes = { maximum = 1000000 }
order = { column = "visit", by = "patient" }
closed = true
[data.patients.columns.patient]
type = "text"
unique = true
matches = "p[0-9]+"
[data.patients.columns.visit]
type = "date"
[data.patients.columns.age]
type = "integer"
minimum = 0
maximum = 120
nullable = true

[model.accuracy]
command = ["python3", "code/evaluate.py"]
metrics = "results/metrics.json"
inputs = ["code", "results/model.json"]
lists = ["test"]
required = true
at_least = { accuracy = 0.8 }
at_most = { "loss.test" = 0.5 }
drift = { accuracy = 0.02 }
cases = ["no rows"]
"""


def test_checks_are_read() -> None:
    """Each word of them; the same words are the same expectation."""
    checks = read_checks(GOOD.encode())
    assert list(checks.every) == ["patients", "accuracy"]
    data, model = checks.data["patients"], checks.model["accuracy"]
    assert (data.rows.minimum, data.rows.maximum, data.required) == (10, 5000, True)
    assert [column.name for column in data.columns] == ["patient", "visit", "age"]
    assert model.at_most == {"loss.test": 0.5}
    assert data.digest == read_checks(GOOD.encode()).data["patients"].digest
    other = read_checks(GOOD.replace("maximum = 120", "maximum = 121").encode())
    assert other.data["patients"].digest != data.digest


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ("required = true\non", "require = true\non", "data.patients"),
        ('files = ["data/patients/*.csv"]', "", "Give files"),
        ('files = ["data/patients/*.csv"]', 'files = ["../x"]', "no pattern"),
        ('files = ["data/', 'table = "t"\nfiles = ["data/', "one of them"),
        ('"p[0-9]+"', '"p[0-9"', "no regular expression"),
        ('type = "integer"', 'type = "int"', "columns.age"),
        ("maximum = 120", "maximum = -1", "columns.age"),
        ('by = "patient"', 'by = "person"', "columns.person"),
        ('on = ["save"]', 'on = ["never"]', "on"),
        ('command = ["python3", "code/evaluate.py"]', "command = []", "command"),
        ("drift = { accuracy = 0.02 }", "drift = { accuracy = -1 }", "0 or more"),
        ("drift = {", 'on = ["save"]\ndrift = {', "only when somebody asks"),
        ("[model.accuracy]", "[model.patients]", "of this name"),
        ("[model.accuracy]", "[model.Accuracy]", "not a name"),
        ("[data.patients]\n", "[date.patients]\n", "Unknown key"),
    ],
)
def test_what_is_not_understood_is_refused(was: str, becomes: str, complaint: str) -> None:
    """By file and key: a check with a slip of the pen must not be taken for a weaker one."""
    assert was in GOOD
    with pytest.raises(Refused, match=complaint):
        read_checks(GOOD.replace(was, becomes).encode())


def test_a_model_check_expects_something() -> None:
    """Or it would always pass."""
    with pytest.raises(Refused, match="expects nothing"):
        read_checks(b'[model.m]\ncommand = ["x"]\nmetrics = "m.json"\n')


TRAIN = """
[data.trial]
table = "trial"
rows = { minimum = 20 }
columns.age = { type = "integer", minimum = 0, maximum = 120 }
"""


def test_a_trains_checks_become_needs() -> None:
    """Of the station's schema."""
    (table,) = needs_of(read_checks(TRAIN.encode()))
    assert (table.name, table.minimum_rows) == ("trial", 20)
    assert [(c.name, c.minimum, c.maximum) for c in table.columns] == [("age", 0, 120)]


@pytest.mark.parametrize(
    "more",
    [
        'order = { column = "age" }',
        "closed = true",
        "bytes = { maximum = 10 }",
        'columns.who = { type = "text", unique = true }',
        'columns.who = { type = "text", matches = "x" }',
    ],
)
def test_a_train_cannot_ask_for_what_only_rows_can_tell(more: str) -> None:
    """Whether it is declined would tell of a patient, past every disclosure check."""
    with pytest.raises(Refused, match="published schema, not by rows"):
        needs_of(read_checks(f"{TRAIN}{more}\n".encode()))


def test_a_train_carries_no_commands() -> None:
    """Nor files of a project."""
    with pytest.raises(Refused, match="checks of data only"):
        needs_of(read_checks(GOOD.encode()))
    with pytest.raises(Refused, match="names a table"):
        needs_of(read_checks(TRAIN.replace('table = "trial"', 'files = ["x"]').encode()))
