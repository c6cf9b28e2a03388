"""Make a study document from the draft a person writes: names in, pinned keys out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import msgspec

from branchline.foundation.decoding import convert
from branchline.foundation.keys import PublicKeys
from branchline.study.document import CentralPin, StudyDocument, StudyRefused, check_study

Lookup = Callable[[str], PublicKeys]
"""Give the enrolled keys of a person or station by name; raises NotFound for a stranger."""


def study_from_draft(text: str, lookup: Lookup, central: CentralPin) -> StudyDocument:
    """Read a TOML draft and pin everybody it names.

    The draft has the document's fields; people have ``name`` and ``role``, stations ``name`` and
    ``datasets``. Keys, ``central`` and ``v`` are filled in here, never taken from the draft.

    Args:
        text: The draft.
        lookup: Gives the keys of each party named.
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
    for group in ("people", "stations"):
        pinned[group] = [_pinned(entry, group, lookup) for entry in _entries(draft, group)]
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


def _pinned(entry: dict[str, Any], group: str, lookup: Lookup) -> dict[str, Any]:
    name = entry.get("name")
    if not isinstance(name, str) or "keys" in entry:
        raise StudyRefused(f"An entry of [[{group}]] has no name, or brings keys of its own")
    return {**entry, "keys": msgspec.to_builtins(lookup(name))}
