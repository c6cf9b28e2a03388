"""Hold what a crate says against what its history, its records and its contents come to; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from branchline.foundation.canonical import canonical_json
from branchline.foundation.crates import METADATA, Entity
from branchline.foundation.decoding import decode_json
from branchline.foundation.errors import Refused

_WORDING = ("encodingFormat", "conformsTo", "hasPart", "license", "mentions")
"""What says nothing of what was done: people may say it better."""

_SHOWN = 120
_USERS = 3


def read_graph(text: bytes) -> list[Entity]:
    """Read the entities of a crate's metadata.

    Raises:
        Refused: It is none.
    """
    try:
        found = decode_json(text, dict[str, Any]).get("@graph")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{METADATA} is not acceptable: {error}") from error
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and isinstance(each.get("@id"), str) for each in found
    ):
        raise Refused(f"{METADATA} is not acceptable: it has no list of named entities")
    return found


def problems(said: Sequence[Entity], due: Sequence[Entity]) -> Iterator[str]:
    """Yield what a crate says otherwise than it should, leaves out, or makes up; each by name.

    Args:
        said: What the crate says.
        due: What follows from the history, the records and the contents.
    """
    found: dict[str, Entity] = {}
    for each in said:
        if each["@id"] in found:
            yield f"The crate describes {_short(each['@id'])} twice"
        found[each["@id"]] = each
    known, users = {each["@id"]: each for each in due}, _users(due)
    for id, entity in known.items():
        if id in found:
            yield from _differences(found[id], entity, users.get(id, []))
        else:
            yield f"The crate says nothing of {_name(entity)}"
    for id in found.keys() - known.keys():
        if any(kind.endswith("Action") for kind in _kinds(found[id])):
            yield f"The crate tells of {_name(found[id])}, and no record does"


def beyond(said: Sequence[Entity], due: Sequence[Entity]) -> list[str]:
    """Return the names of what a crate describes and nothing on record vouches for."""
    known = {each["@id"] for each in due}
    return sorted({each["@id"] for each in said} - known)


def _differences(said: Entity, due: Entity, users: Sequence[str]) -> Iterator[str]:
    action = any(kind.endswith("Action") for kind in _kinds(due))
    for name in sorted(said.keys() | due.keys()):
        if name in _WORDING or (name not in due and not action):
            continue
        if name in ("description", "name") and not action and name not in said:
            continue
        here, there = said.get(name), due.get(name)
        if _spelled(here) != _spelled(there):
            of = f" ({'; '.join(users[:_USERS])})" if users else ""
            yield (
                f"The crate says of {_name(due)}{of} as its {name}: {_shown(here)}; "
                f"what is on record comes to: {_shown(there)}"
            )


def _users(due: Sequence[Entity]) -> dict[str, list[str]]:
    """Say of everything which actions made it, used it or ran it."""
    found: dict[str, list[str]] = {}
    for name, word in (("result", "made by"), ("object", "used by"), ("instrument", "run by")):
        for each in due:
            for one in _several(each.get(name)):
                if isinstance(one, dict):
                    found.setdefault(str(one.get("@id")), []).append(f"{word} {_name(each)}")
    return found


def _name(entity: Entity) -> str:
    """Name an entity for people: an action by its record, too."""
    record = str(entity.get("identifier", ""))
    of = f", record {record[-64:][:12]}" if record.startswith("urn:branchline:record:") else ""
    return f"{_short(entity.get('name') or entity['@id'])!r}{of}"


def _kinds(entity: Entity) -> list[str]:
    return [str(kind) for kind in _several(entity.get("@type"))]


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _spelled(value: Any) -> list[bytes]:
    """Return a property's values in one spelling, whatever their order."""
    try:
        return sorted(canonical_json(each) for each in _several(value))
    except Refused:
        return [repr(value).encode(errors="replace")]


def _shown(value: Any) -> str:
    every = _several(value)
    words = [str(each.get("@id") if isinstance(each, dict) else each) for each in every]
    return _short(", ".join(words)) or "nothing"


def _short(text: object) -> str:
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    shown = "".join(c if c.isprintable() else "�" for c in shown)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
