"""Rules of a project's data: class, purpose, places and expiry for each path; pure.

They stand in ``branchline.toml`` under ``[[data]]``, the places they name under ``[places]``. Where
several rules match a path, all of them count and the strictest word holds: a rule that is added
never loosens another.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

import msgspec

from branchline.datasets.forms import complaint, entries, fill
from branchline.datasets.use_terms import Confidentiality
from branchline.foundation.errors import Refused
from branchline.foundation.ids import check_name
from branchline.foundation.patterns import matches, problem_of

FILE = "branchline.toml"
CLASSES: tuple[Confidentiality, ...] = ("public", "internal", "confidential", "secret")
"""From the most open to the most closed."""

_MOST_RULES = 256
_ANY_NAME = re.compile(r"^[a-z0-9*?][a-z0-9*?-]{0,62}$")
_UUID = r"^[0-9A-Za-z-]{8,64}$"

Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]
Uuid = Annotated[str, msgspec.Meta(pattern=_UUID)]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One place that can hold copies.

    Args:
        address: Where git reaches it: an address or a folder; what lies below it is the place, too.
        annex: What git-annex calls the repositories there (their uuid).
        about: One line for people.
    """

    address: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    annex: tuple[Uuid, ...] = ()
    about: str = ""


class Rule(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"excepted": "except"},
):
    """What holds for the paths that match.

    Args:
        paths: Patterns: ``*`` and ``?`` within a name, ``**`` across folders; a folder means all in it.
        excepted: Paths that this rule leaves out.
        confidentiality: The class; the same words as for datasets of stations.
        purpose: What the data may be used for.
        allowed: Places that may have copies; patterns of names. Without it: any place for public and
            internal data, none for the others.
        forbidden: Places that may not, whatever else is said.
        required: Places that must keep a copy.
        expires: The last day on which the data may be kept and sent.
    """

    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)]
    confidentiality: Confidentiality
    excepted: Names = ()
    purpose: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    allowed: Names | None = None
    forbidden: Names = ()
    required: Names = ()
    expires: date | None = None

    def matches(self, path: str) -> bool:
        """Tell whether the rule holds for a path."""
        return any(matches(pattern, path) for pattern in self.paths) and not any(
            matches(pattern, path) for pattern in self.excepted
        )


class _Confidential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?\Z")] = ""


@dataclass(frozen=True)
class Handling:
    """All that holds for one content, from every rule that matches.

    Args:
        rules: Those that do.
    """

    rules: tuple[Rule, ...] = ()

    @property
    def confidentiality(self) -> Confidentiality | None:
        """The strictest class; None where no rule matches."""
        found = [rule.confidentiality for rule in self.rules]
        return max(found, key=CLASSES.index) if found else None

    @property
    def closed(self) -> bool:
        """Whether it is confidential or secret."""
        return self.confidentiality in ("confidential", "secret")

    @property
    def required(self) -> tuple[str, ...]:
        """The places that must keep a copy."""
        return tuple(sorted({name for rule in self.rules for name in rule.required}))

    @property
    def expires(self) -> date | None:
        """The earliest last day; None where there is none."""
        return min((rule.expires for rule in self.rules if rule.expires), default=None)

    @property
    def purposes(self) -> tuple[str, ...]:
        """What it may be used for, as each rule says."""
        return tuple(dict.fromkeys(rule.purpose for rule in self.rules if rule.purpose))

    def __or__(self, other: Handling) -> Handling:
        """Put two together: one content that stands at two paths."""
        return Handling(tuple(dict.fromkeys((*self.rules, *other.rules))))


@dataclass(frozen=True)
class Rules:
    """All rules of a project, and the places they name.

    Args:
        rules: In the order they are written, which means nothing.
        places: By name.
        key: The data key that names confidential contents; empty where there is none yet.
    """

    rules: tuple[Rule, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    key: str = ""

    def rule_for(self, *paths: str) -> Handling:
        """Return what holds for one content that stands at these paths."""
        return Handling(tuple(r for r in self.rules if any(r.matches(path) for path in paths)))

    def place_of(self, *, annex: str | None = None, address: str | None = None) -> str | None:
        """Return the name of a place, by git-annex's name of it or by git's address; None if unknown."""
        for name, place in self.places.items():
            if annex is not None and annex in place.annex:
                return name
        for name, place in self.places.items():
            if address and place.address and _below(address, place.address):
                return name
        return None


def read_rules(text: bytes) -> Rules:
    """Read the rules that ``branchline.toml`` holds.

    Raises:
        FormRefused: They are not acceptable; the sentence names the key.
        Refused: It is no TOML.
    """
    try:
        form = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{FILE} is not acceptable: {error}") from error
    places = _places(form.get("places", {}))
    listed = form.get("data", [])
    if not isinstance(listed, list):
        raise complaint(FILE, "data", "Expected a list: write each rule under [[data]]")
    if len(listed) > _MOST_RULES:
        raise complaint(FILE, "data", f"At most {_MOST_RULES} rules")
    rules = []
    for number, each in enumerate(listed):
        rule = fill(each, Rule, FILE, f"data[{number}]")
        for key, problem in _problems(rule, places):
            raise complaint(FILE, f"data[{number}].{key}", problem)
        rules.append(rule)
    named = fill(form.get("confidential", {}), _Confidential, FILE, "confidential")
    return Rules(tuple(rules), places, named.key)


def _places(value: object) -> dict[str, Place]:
    found = {}
    for name, each in entries(value, FILE, "places").items():
        try:
            check_name(name, "place")
        except Refused as error:
            raise complaint(FILE, f"places.{name[:80]}", error.refused) from error
        found[name] = fill(each, Place, FILE, f"places.{name}")
    owner: dict[str, str] = {}
    for name, place in found.items():
        for uuid in place.annex:
            if owner.setdefault(uuid, name) != name:
                problem = f"{uuid} is the place {owner[uuid]!r} already"
                raise complaint(FILE, f"places.{name}.annex", problem)
    return found


def _problems(rule: Rule, places: Mapping[str, Place]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a rule that contradict themselves or others, and why."""
    for key, patterns in (("paths", rule.paths), ("except", rule.excepted)):
        for pattern in patterns:
            if problem := problem_of(pattern):
                yield key, f"{pattern[:80]!r} is no pattern: {problem}"
    for key, names in (("allowed", rule.allowed or ()), ("forbidden", rule.forbidden)):
        for name in names:
            if not _ANY_NAME.match(name):
                yield key, f"{name[:80]!r} names no place"
            elif not set("*?") & set(name) and name not in places:
                yield key, f"There is no place {name!r}; describe it under [places.{name}]"
    for name in rule.required:
        if name not in places:
            yield (
                "required",
                f"There is no place {name[:80]!r}; describe it under [places.{name[:80]}]",
            )
        elif not allows(rule, name):
            yield "required", f"{name!r} must keep a copy, and may not have one"


def allows(rule: Rule, place: str | None) -> bool:
    """Tell whether a rule lets content be at a place; None is one that nobody described."""
    closed = rule.confidentiality in ("confidential", "secret")
    if place is None:
        # A rule that cannot be evaluated says no: it may be the very place that is forbidden.
        return not closed and rule.allowed is None and not rule.forbidden
    if any(named(place, pattern) for pattern in rule.forbidden):
        return False
    if rule.allowed is None:
        return not closed
    if rule.confidentiality == "secret":
        return place in rule.allowed
    return any(named(place, pattern) for pattern in rule.allowed)


def named(place: str, pattern: str) -> bool:
    """Tell whether a pattern of names means a place."""
    return matches(pattern, place)


def _below(address: str, root: str) -> bool:
    here, top = address.rstrip("/"), root.rstrip("/")
    # With '..' in it an address can lead out of what it seems to be in.
    if ".." in here.split("/"):
        return False
    return here == top or here.startswith(f"{top}/")
