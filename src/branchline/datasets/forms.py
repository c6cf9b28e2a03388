"""Forms people write: TOML read strictly, every complaint naming file, key and expectation."""

from __future__ import annotations

import re
import tomllib
from typing import Any, TypeVar

import msgspec

from branchline.foundation.decoding import convert
from branchline.foundation.errors import BranchlineError, Refused

T = TypeVar("T")

_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_LONGEST_FORM = 1 << 18


class FormRefused(Refused):
    """A form is not filled in as it must be."""


def read_toml(data: bytes, what: str, limit: int = _LONGEST_FORM) -> dict[str, Any]:
    """Parse a TOML file of at most ``limit`` bytes; ``what`` names it in complaints."""
    if len(data) > limit:
        raise FormRefused(f"{what} is larger than {limit} bytes")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise FormRefused(f"{what} is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:  # ValueError: also integers without end
        raise FormRefused(f"{what} is not TOML: {error}") from error


def fill(value: object, kind: type[T], what: str, where: str) -> T:
    """Turn the table found at key ``where`` of the file ``what`` into a ``kind``, strictly."""
    try:
        return convert(value, kind)
    except msgspec.ValidationError as error:
        match = _PATH.match(str(error))
        problem, path = match.group("problem", "path") if match else (str(error), "")
        key = (where + (path or "")).strip(".")
        raise complaint(what, key, problem.replace("`", "")) from error
    except BranchlineError as error:
        raise complaint(what, where, str(error)) from error


def entries(value: object, what: str, where: str) -> dict[str, Any]:
    """Return the table at key ``where``, whose keys are names chosen by the author."""
    if not isinstance(value, dict):
        raise complaint(what, where, "Expected a table")
    return value


def only(value: dict[str, Any], allowed: frozenset[str], what: str, where: str = "") -> None:
    """Refuse the first key that is not among ``allowed``."""
    for key in value:
        if key not in allowed:
            at = f"{where}.{key}" if where else key
            raise complaint(what, at, f"Unknown key; expected one of {', '.join(sorted(allowed))}")


def complaint(what: str, where: str, problem: str) -> FormRefused:
    """Build the error of one sentence: file, key, what was expected."""
    return FormRefused(f"{what}: {where}: {problem.rstrip('.')}" if where else f"{what}: {problem}")
