"""What may go where, and what changed in the rules; pure.

The day is handed in, and so is the place: the same rule answers in a clone, at a hub and in a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal

from branchline.project.data.rules import CLASSES, Handling, Rules, allows

Audience = Literal["private", "internal", "public"]
"""Who can read at a place: named people, everybody enrolled there, or everybody."""

_MOST_OPEN = {"private": "secret", "internal": "internal", "public": "public"}


def why_not(
    handling: Handling, place: str | None, today: date, audience: Audience = "private"
) -> str | None:
    """Return why content may not go to a place, in words; None if it may.

    Args:
        handling: What holds for the content; see `Rules.rule_for`.
        place: The place's name; None for one that the rules do not describe.
        today: The day.
        audience: Who can read there.
    """
    word = handling.confidentiality
    if word is None:
        return None
    if handling.expires is not None and today > handling.expires:
        return f"its time ended on {handling.expires.isoformat()}"
    if CLASSES.index(word) > CLASSES.index(_MOST_OPEN[audience]):
        return f"it is {word}, and {'everybody' if audience == 'public' else 'too many'} can read there"
    if all(allows(rule, place) for rule in handling.rules):
        return None
    if place is None:
        return f"it is {word}, and no rule says what this place is"
    return f"it is {word}, and may not be at {place!r}"


def may_go(
    rules: Rules,
    paths: str | Iterable[str],
    place: str | None,
    today: date,
    audience: Audience = "private",
) -> bool:
    """Tell whether content may go to a place.

    Args:
        rules: The project's.
        paths: Every path at which the content stands, or ever stood.
        place: The place's name; None for one that the rules do not describe.
        today: The day.
        audience: Who can read there.
    """
    at = (paths,) if isinstance(paths, str) else tuple(paths)
    return why_not(rules.rule_for(*at), place, today, audience) is None


def loosened(before: Rules, after: Rules, paths: Iterable[str]) -> list[str]:
    """Say in words what new rules permit that the ones before did not.

    Args:
        before: The rules that held.
        after: Those that are to hold.
        paths: The paths that are compared: all that the project has.
    """
    found: list[str] = []
    for path in paths:
        old, new = before.rule_for(path), after.rule_for(path)
        if old == new and before.places == after.places:
            continue
        found += [f"{path}: {problem}" for problem in _looser(before, after, old, new)]
    return found


def _looser(before: Rules, after: Rules, old: Handling, new: Handling) -> Iterable[str]:
    if _rank(new) < _rank(old):
        yield f"{old.confidentiality} becomes {new.confidentiality or 'without rule'}"
    if old.expires is not None and (new.expires is None or new.expires > old.expires):
        yield f"is kept longer than {old.expires.isoformat()}"
    gone = set(old.required) - set(new.required)
    if gone:
        yield f"need not be at {', '.join(sorted(gone))} any more"
    day = date.min
    for place in (*sorted({*before.places, *after.places}), None):
        if why_not(new, place, day) is None and why_not(old, place, day) is not None:
            yield f"may go to {place or 'any place'} now"
    for name in sorted({*before.places} & {*after.places}):
        if before.places[name] != after.places[name] and not all(
            allows(rule, None) for rule in new.rules
        ):
            yield f"the place {name} is another one now"


def _rank(handling: Handling) -> int:
    word = handling.confidentiality
    return -1 if word is None else CLASSES.index(word)
