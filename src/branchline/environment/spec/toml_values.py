"""TOML to plain values, with bounds."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from branchline.environment.spec.refusal import SpecRefused
from branchline.environment.spec.text import lines_of, utf8

_LINE = re.compile(r"line (\d+)")


def read_toml(file: str, data: bytes) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SpecRefused: Not TOML 1.0, or nested too deeply.
    """
    text = utf8(file, data)
    lines_of(file, text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _LINE.search(said)
        raise SpecRefused(
            file,
            f"is not TOML: {said.partition(' (at')[0]}",
            line=int(found[1]) if found else 0,
            reason="not TOML",
            advice="Correct the line",
        ) from None
    except RecursionError:
        raise SpecRefused(file, "is nested too deeply", reason="too deep") from None


def table(file: str, holder: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a table that may be missing.

    Raises:
        SpecRefused: It is something else.
    """
    value = holder.get(name, {})
    if not isinstance(value, dict):
        raise SpecRefused(
            file,
            f"has {name} that is not a table",
            reason=f"malformed {file.rpartition('/')[2]}",
            advice=f"Write [{name}] and its keys below",
        )
    return value
