"""``runtime.txt``: which language, in which version, with packages as of which day."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from branchline.environment.spec.refusal import SpecRefused, shown
from branchline.environment.spec.text import utf8

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ADVICE = "Write for example 'python-3.11' or 'r-4.1-2024-05-01', and nothing else"


class Runtime(NamedTuple):
    """What ``runtime.txt`` says; everything None where there is none."""

    name: str | None = None
    version: str | None = None
    date: date | None = None


NONE = Runtime()


def parse_runtime(file: str, data: bytes) -> Runtime:
    """Read ``name-version``, ``name-yyyy-mm-dd`` or ``name-version-yyyy-mm-dd``.

    Raises:
        SpecRefused: Anything else.
    """
    text = utf8(file, data).strip()
    parts = text.split("-")
    if len(parts) not in (2, 4, 5) or not all(parts):
        said = f"says {shown(text)}" if text else "is empty"
        raise SpecRefused(
            file,
            f"{said}; it must say a name with a version, a date, or both",
            reason="malformed runtime.txt",
            advice=_ADVICE,
        )
    version = parts[1] if len(parts) in (2, 5) else None
    day = _day(file, "-".join(parts[-3:])) if len(parts) in (4, 5) else None
    return Runtime(parts[0], version, day)


def _day(file: str, text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise SpecRefused(
        file,
        f"says {shown(text)}, which is not a date of the form yyyy-mm-dd",
        reason="malformed runtime.txt",
        advice=_ADVICE,
    )
