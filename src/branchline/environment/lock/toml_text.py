"""TOML 1.0 with one spelling: what a lock's text is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

Value = str | int | bool | tuple[str, ...] | Mapping[str, str]
"""What stands behind a key."""


def table(header: str, values: Mapping[str, Value | None]) -> str:
    """Write one table with its header (empty for the root); what is None is left out."""
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if value is not None]
    return "".join(f"{line}\n" for line in ([header] if header else []) + lines)


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, tuple):
        return _array(map(_string, value))
    pairs = ", ".join(f"{_string(key)} = {_string(value[key])}" for key in sorted(value))
    return f"{{ {pairs} }}" if pairs else "{}"


def _array(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _string(text: str) -> str:
    """Write a basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
