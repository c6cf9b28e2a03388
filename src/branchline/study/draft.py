"""Make a study document from the draft a person writes: names in, pinned keys out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import msgspec

from branchline.foundation.decoding import convert
from branchline.foundation.keys import PublicKeys
from branchline.study.document import CentralPin, StudyDocument, StudyRefused, check_study


class Pin(msgspec.Struct, frozen=True):
    """What a study pins of a party.

    Args:
        keys: Its public keys.
        witness: A station's key for cosigning the ledger; empty if it has none.
        entity: The legal entity that runs a station; None for one of its own.
    """

    keys: PublicKeys
    witness: str = ""
    entity: str | None = None


Lookup = Callable[[str], Pin]
"""Give what is enrolled of a person or station by name; raises NotFound for a stranger."""


def study_from_draft(text: str, lookup: Lookup, central: CentralPin) -> StudyDocument:
    """Read a TOML draft and pin everybody it names.

    The draft has the document's fields; people have ``name`` and ``role``, stations ``name`` and
    ``datasets``, and ``entity`` where the draft's author knows better than the station who runs it.
    Keys, ``central`` and ``v`` are filled in here, never taken from the draft.

    Args:
        text: The draft.
        lookup: Gives what is enrolled of each party named.
        central: The central service the study uses.

    Raises:
        StudyRefused: Not TOML, not of the form, or contradictory.
    """
    try:
        draft = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyRefused(f"The study draft is not TOML: {error}") from error
    given = {"v", "central"} & set(draft)
    if given:
        raise StudyRefused(f"The study draft gives {min(given)!r}, which is filled in for it")
    pinned = {**draft, "v": 1, "central": msgspec.to_builtins(central)}
    pinned["people"] = [_person(entry, lookup) for entry in _entries(draft, "people")]
    pinned["stations"] = [_station(entry, lookup) for entry in _entries(draft, "stations")]
    try:
        # Times may stand in the draft as TOML's own or as text.
        document = convert(pinned, StudyDocument)
    except msgspec.ValidationError as error:
        raise StudyRefused(f"The study draft is not acceptable: {error}") from error
    return check_study(document)


def _entries(draft: dict[str, Any], group: str) -> list[dict[str, Any]]:
    entries = draft.get(group)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise StudyRefused(f"The study draft has no [[{group}]]")
    return entries


def _person(entry: dict[str, Any], lookup: Lookup) -> dict[str, Any]:
    return {**entry, "keys": msgspec.to_builtins(_pin(entry, "people", lookup).keys)}


def _station(entry: dict[str, Any], lookup: Lookup) -> dict[str, Any]:
    pin = _pin(entry, "stations", lookup)
    return {**msgspec.to_builtins(pin), **entry}


def _pin(entry: dict[str, Any], group: str, lookup: Lookup) -> Pin:
    name = entry.get("name")
    if not isinstance(name, str) or {"keys", "witness"} & set(entry):
        raise StudyRefused(f"An entry of [[{group}]] has no name, or brings keys of its own")
    return lookup(name)
