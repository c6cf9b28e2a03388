"""``checks.toml``: what is expected of data and of models, read strictly; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from branchline.datasets.columns import ColumnRule
from branchline.datasets.forms import complaint, entries, fill, only, read_toml
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.datasets.schema_toml import named
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Digest
from branchline.foundation.errors import Refused
from branchline.foundation.ids import check_name
from branchline.foundation.patterns import problem_of

FILE = "checks.toml"
When = Literal["save", "sync"]

_MOST = 256
_LONGEST_PATTERN = 200
Paths = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]
Floors = dict[str, float]


class ColumnExpectation(ColumnRule, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the values of one column have to be, beside the rule that contracts know, too.

    Args:
        unique: Whether no value comes twice.
        matches: A regular expression that every text has to match as a whole.
    """

    unique: bool = False
    matches: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the rule refuses, and an expression that is none or fits no text."""
        ColumnRule.__post_init__(self)
        if self.matches is None:
            return
        if self.type not in ("text", "code"):
            raise ValueError("only texts and codes are matched")
        if len(self.matches) > _LONGEST_PATTERN:
            raise ValueError(f"an expression has at most {_LONGEST_PATTERN} characters")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"{self.matches[:80]!r} is no regular expression") from error


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows are in order of a column.

    Args:
        column: It may not go down from one row to the next.
        by: Only among rows with the same value here; empty for all rows.
    """

    column: str
    by: str = ""


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many there may be.

    Args:
        minimum: At least so many.
        maximum: At most so many.
    """

    minimum: Annotated[int, msgspec.Meta(ge=0)] = 0
    maximum: Annotated[int, msgspec.Meta(ge=0)] | None = None


class DataCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is expected of tables.

    Args:
        name: What it is called.
        columns: What each of these columns has to be.
        files: Patterns of paths in a project; each file is checked by itself.
        table: In a train: the table of the station's dataset.
        required: Whether nothing may be packed or merged while it does not hold.
        on: When it is run without being asked for.
        rows: How many rows a table has.
        bytes: How many bytes a file has.
        order: In which order rows are.
        closed: Whether there may be no other columns.
    """

    name: str
    columns: tuple[ColumnExpectation, ...] = ()
    files: Paths = ()
    table: str = ""
    required: bool = False
    on: tuple[When, ...] = ()
    rows: Size = Size()
    bytes: Size = Size()
    order: Order | None = None
    closed: bool = False

    @property
    def digest(self) -> Digest:
        """What names this very expectation: a result holds for no other."""
        return digest_of_json(msgspec.to_builtins(self))


class ModelCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is expected of a model: a command measures it and writes the metrics as JSON.

    Args:
        name: What it is called.
        command: The command, as ``branchline run`` takes it.
        metrics: The JSON file that it writes: numbers by name, and ``cases`` with true or false.
        inputs: Patterns of paths that decide the outcome: code, the model.
        lists: Data lists that it uses: ``test``, ``test@2``.
        required: Whether nothing may be packed or merged while it does not hold.
        on: ``sync``, where a hub asks for it; nothing runs a command without being asked to.
        at_least: Floors, by metric.
        at_most: Ceilings, by metric.
        drift: How far a metric may be from what it was at the last milestone.
        cases: Edge cases and attacks that have to go well, by name.
    """

    name: str
    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=256)]
    metrics: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    inputs: Paths = ()
    lists: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()
    required: bool = False
    on: tuple[When, ...] = ()
    at_least: Floors = {}
    at_most: Floors = {}
    drift: Floors = {}
    cases: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()

    @property
    def digest(self) -> Digest:
        """What names this very expectation: a result holds for no other."""
        return digest_of_json(msgspec.to_builtins(self))


Check = DataCheck | ModelCheck


@dataclass(frozen=True)
class Checks:
    """All checks of a file.

    Args:
        data: Those of data, by name.
        model: Those of models, by name.
    """

    data: dict[str, DataCheck] = field(default_factory=dict)
    model: dict[str, ModelCheck] = field(default_factory=dict)

    @property
    def every(self) -> dict[str, Check]:
        """All of them, data first."""
        return {**self.data, **self.model}

    def on(self, when: When) -> Checks:
        """Return those that are run then without being asked for."""
        return Checks(
            {name: check for name, check in self.data.items() if when in check.on},
            {name: check for name, check in self.model.items() if when in check.on},
        )


def read_checks(text: bytes, what: str = FILE) -> Checks:
    """Read ``checks.toml``.

    Raises:
        FormRefused: One sentence with file, key and what was expected.
    """
    form = read_toml(text, what)
    only(form, frozenset({"data", "model"}), what)
    data = {name: _data(name, each, what) for name, each in _named(form, "data", what)}
    model = {name: _model(name, each, what) for name, each in _named(form, "model", what)}
    for name in data:
        if name in model:
            raise complaint(what, f"model.{name}", "There is a check of data of this name")
    return Checks(data, model)


def needs_of(checks: Checks, what: str = FILE) -> tuple[NeededTable, ...]:
    """Return what a train's checks ask of a dataset's schema; a station reads no row for it.

    Raises:
        FormRefused: A check asks for what only rows can tell, or belongs to a project.
    """
    if checks.model:
        name = next(iter(checks.model))
        raise complaint(what, f"model.{name}", "A train carries checks of data only")
    return tuple(_needed(check, what) for check in checks.data.values())


def _named(form: dict[str, Any], kind: str, what: str) -> list[tuple[str, object]]:
    found = entries(form.get(kind, {}), what, kind)
    if len(found) > _MOST:
        raise complaint(what, kind, f"At most {_MOST} checks")
    for name in found:
        try:
            check_name(name, "check")
        except Refused as error:
            raise complaint(what, f"{kind}.{name[:80]}", error.refused) from error
    return list(found.items())


def _data(name: str, value: object, what: str) -> DataCheck:
    where = f"data.{name}"
    form = entries(value, what, where)
    columns = [
        fill(named(column, key, what, at), ColumnExpectation, what, at)
        for key, column in entries(form.get("columns", {}), what, f"{where}.columns").items()
        for at in [f"{where}.columns.{key}"]
    ]
    found = fill({**form, "name": name, "columns": columns}, DataCheck, what, where)
    for pattern in found.files:
        if problem := problem_of(pattern):
            raise complaint(what, f"{where}.files", f"{pattern[:80]!r} is no pattern: {problem}")
    if bool(found.files) == bool(found.table):
        raise complaint(what, where, "Give files (in a project) or table (in a train), one of them")
    if found.order is not None:
        known = {column.name for column in found.columns}
        for each in (found.order.column, found.order.by):
            if each and each not in known:
                raise complaint(what, f"{where}.order", f"There is no [{where}.columns.{each}]")
    return found


def _model(name: str, value: object, what: str) -> ModelCheck:
    where = f"model.{name}"
    form = entries(value, what, where)
    found = fill({**form, "name": name}, ModelCheck, what, where)
    if not (found.at_least or found.at_most or found.drift or found.cases):
        problem = "It expects nothing: give at_least, at_most, drift or cases"
        raise complaint(what, where, problem)
    for pattern in found.inputs:
        if wrong := problem_of(pattern):
            raise complaint(what, f"{where}.inputs", f"{pattern[:80]!r} is no pattern: {wrong}")
    if "save" in found.on:
        problem = "A project's command runs only when somebody asks: 'branchline checks run'"
        raise complaint(what, f"{where}.on", problem)
    for metric, most in found.drift.items():
        if not most >= 0:
            raise complaint(what, f"{where}.drift.{metric}", "Expected a number of 0 or more")
    return found


def _needed(check: DataCheck, what: str) -> NeededTable:
    where = f"data.{check.name}"
    if check.files:
        raise complaint(what, f"{where}.files", "A train names a table of the station's dataset")
    only_rows = {
        "order": check.order is not None,
        "closed": check.closed,
        "bytes": check.bytes != Size(),
        "rows.maximum": check.rows.maximum is not None,
    }
    for column in check.columns:
        only_rows[f"columns.{column.name}.unique"] = column.unique
        only_rows[f"columns.{column.name}.matches"] = column.matches is not None
    for key, given in only_rows.items():
        if given:
            problem = "A station judges a train's checks by its published schema, not by rows"
            raise complaint(what, f"{where}.{key}", problem)
    columns = tuple(
        NeededColumn(c.name, c.type, c.codes, c.minimum, c.maximum, c.nullable)
        for c in check.columns
    )
    return NeededTable(check.table, columns, check.rows.minimum)
