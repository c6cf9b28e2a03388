"""``train.toml``: everything a train says of itself, read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from branchline.datasets.forms import complaint, entries, fill, only, read_toml
from branchline.datasets.needs import NeededColumn, NeededTable
from branchline.datasets.schema_toml import named
from branchline.disclosure.rules import Kind, OutputRule
from branchline.environment.lock.model import LOCK_NAME
from branchline.foundation.digest import WireDigest
from branchline.foundation.errors import Refused
from branchline.foundation.ids import check_name
from branchline.train.entry import Entry, parse_entry
from branchline.train.origin import Origin
from branchline.train.parameters import check_schema
from branchline.train.route import Route

MANIFEST = "train.toml"

T = TypeVar("T")

_LIMIT = 1 << 18
_MOST_NAMES = 256
_SECTIONS = frozenset(
    {"name", "version", "description", "environment", "entry", "route", "contract", "outputs"}
    | {"result", "parameters", "origin"}
)
_OUTPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")

Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}\Z")]
Requirement = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?(==[A-Za-z0-9.+!-]{1,60})?\Z"
    ),
]


class EnvironmentNeeds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Say what a train runs in.

    ``lock`` is the path of a lock in the train, which names an image that anybody can build
    again. ``image`` names one by its digest alone: it was built from a Dockerfile, say, and cannot
    be built again. With neither, the train runs in each machine's own Python environment.
    ``python`` are the distributions it imports: names on PyPI, or ``name==version``.
    """

    python: Annotated[tuple[Requirement, ...], msgspec.Meta(max_length=_MOST_NAMES)] = ()
    lock: str | None = None
    image: WireDigest | None = None

    def __post_init__(self) -> None:
        """Refuse two words about one thing, and a lock of another name."""
        if self.lock is not None and self.image is not None:
            raise ValueError("lock and image are two words for one thing; give the lock")
        if self.lock is not None and self.lock.rpartition("/")[2] != LOCK_NAME:
            raise ValueError(f"lock is the path of a file {LOCK_NAME} of the train")


class ResultRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Declare one thing handed to the requester: its type only; all of it was released before."""

    kind: Kind
    shape: tuple[int, ...] | None = None
    columns: tuple[str, ...] | None = None
    description: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """Hold what a train says of itself.

    ``needs`` and ``outputs`` are the contract: what it reads and what may leave a station.
    ``result`` is what the requester gets. ``parameters`` is a JSON Schema. ``origin`` is written when
    a train is packed in a project, and claims only: who has the project can hold it against that.
    """

    name: str
    version: str
    description: str
    environment: EnvironmentNeeds
    station: Entry
    aggregator: Entry | None
    route: Route
    needs: tuple[NeededTable, ...]
    outputs: dict[str, OutputRule]
    result: dict[str, ResultRule]
    parameters: dict[str, Any]
    origin: Origin | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the train that its entry points call."""
        found = (getattr(entry, "file", None) for entry in (self.station, self.aggregator))
        return tuple(sorted({file for file in found if file is not None}))


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: Version = "0.1.0"
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""


def parse_manifest(data: bytes, what: str = MANIFEST) -> Manifest:
    """Read a manifest; ``what`` names the file in complaints.

    Raises:
        FormRefused: one sentence with file, key and what was expected.
    """
    form = read_toml(data, what, _LIMIT)
    only(form, _SECTIONS, what)
    head = fill({key: form[key] for key in form if key in _Head.__struct_fields__}, _Head, what, "")
    _check(lambda: check_name(head.name, "train"), what, "name")
    route = fill(_section(form, "route", what), Route, what, "route")
    station, aggregator = _entries(_section(form, "entry", what), route.kind, what)
    schema = entries(form.get("parameters", {}), what, "parameters")
    _check(lambda: check_schema(schema), what, "parameters")
    return Manifest(
        head.name,
        head.version,
        head.description,
        fill(form.get("environment", {}), EnvironmentNeeds, what, "environment"),
        station,
        aggregator,
        route,
        _needs(form.get("contract", {}), what),
        _rules(form.get("outputs", {}), OutputRule, what, "outputs"),
        _result(form.get("result", {}), route.kind, what),
        schema,
        fill(form["origin"], Origin, what, "origin") if "origin" in form else None,
    )


def _entries(
    form: dict[str, Any], kind: Literal["parallel", "sequential"], what: str
) -> tuple[Entry, Entry | None]:
    only(form, frozenset({"station", "aggregator"}), what, "entry")
    if "station" not in form:
        raise complaint(what, "entry.station", "Missing; it says what runs at each station")
    station = parse_entry(form["station"], what, "entry.station", function="station")
    if kind == "sequential":
        if "aggregator" in form:
            raise complaint(what, "entry.aggregator", "Only a parallel route has an aggregator")
        return station, None
    if "aggregator" not in form:
        raise complaint(what, "entry.aggregator", "Missing; a parallel route needs an aggregator")
    place = "entry.aggregator"
    return station, parse_entry(form["aggregator"], what, place, function="combine")


def _needs(value: object, what: str) -> tuple[NeededTable, ...]:
    form = entries(value, what, "contract")
    only(form, frozenset({"tables"}), what, "contract")
    tables = entries(form.get("tables", {}), what, "contract.tables")
    return tuple(_needed(name, table, what) for name, table in tables.items())


def _needed(name: str, value: object, what: str) -> NeededTable:
    where = f"contract.tables.{name}"
    form = named(value, name, what, where)
    columns = entries(form.get("columns"), what, f"{where}.columns")
    listed = [  # one by one: so that a wrong column is named by its key, not by its position
        fill(named(column, key, what, at), NeededColumn, what, at)
        for key, column in columns.items()
        for at in [f"{where}.columns.{key}"]
    ]
    return fill({**form, "columns": listed}, NeededTable, what, where)


def _rules(value: object, kind: type[T], what: str, where: str) -> dict[str, T]:
    form = entries(value, what, where)
    if len(form) > _MOST_NAMES:
        raise complaint(what, where, f"At most {_MOST_NAMES} names")
    for name in form:
        if not _OUTPUT_NAME.fullmatch(name):
            raise complaint(
                what, f"{where}.{name[:80]}", "A name is letters, digits, '_' and '-', up to 63"
            )
    return {name: fill(rule, kind, what, f"{where}.{name}") for name, rule in form.items()}


def _result(
    value: object, kind: Literal["parallel", "sequential"], what: str
) -> dict[str, ResultRule]:
    if value and kind == "sequential":
        problem = "Only a parallel route has one; a sequential train's result is its last state"
        raise complaint(what, "result", problem)
    return _rules(value, ResultRule, what, "result")


def _section(form: dict[str, Any], key: str, what: str) -> dict[str, Any]:
    if key not in form:
        raise complaint(what, key, f"Missing; expected a table [{key}]")
    return entries(form[key], what, key)


def _check(rule: Callable[[], object], what: str, where: str) -> None:
    try:
        rule()
    except Refused as error:
        raise complaint(what, where, str(error)) from error
