"""A cell as the parts of a record; pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from branchline.foundation.clock import parse_time
from branchline.project.activity.record import Kind
from branchline.project.notebook.cells import Cell, Output

LARGEST = 64 << 20
"""The most bytes of one content of an output; a larger one is told of, and left out."""

_LINE = 200
_TEXT = ("text/", "application/javascript", "image/svg+xml")


class Part(NamedTuple):
    """A content of a record.

    Args:
        kind: What it is.
        content: Its bytes.
        media: Its media type.
    """

    kind: Kind
    content: bytes
    media: str


def action_of(cell: Cell) -> dict[str, str]:
    """Return a record's type, action, outcome and message."""
    action = {"done": "run", "failed": "fail", "interrupted": "interrupt", "lost": "interrupt"}
    outcome = {"done": "done", "failed": "failed"}.get(cell.outcome, "interrupted")
    prompt = "" if cell.count is None else f"[{cell.count}] "
    first = next((line for line in cell.code.splitlines() if line.strip()), "(nothing seen)")
    said = f" – {cell.failure.name}: {cell.failure.value}" if cell.failure else ""
    return {
        "type": "execution",
        "action": action[cell.outcome],
        "outcome": outcome,
        "message": _whole(f"{prompt}{first.strip()[:_LINE]}{said[:_LINE]}"),
    }


def parts_of(cell: Cell) -> tuple[list[Part], list[str]]:
    """Return what a cell was and put out, and what of it is left out."""
    left_out: list[str] = []
    parts = [Part("code", cell.code.encode(errors="replace"), "text/x-code")]
    for kind, text in (("stdout", cell.stdout), ("stderr", cell.stderr)):
        if text:
            parts.append(Part(kind, text.encode(errors="replace"), "text/plain"))  # type: ignore[arg-type]
    for output in cell.outputs:
        for part in _contents(output):
            if len(part.content) > LARGEST:
                left_out.append(f"A content of type {part.media} was left out: too large")
            else:
                parts.append(part)
    return parts, left_out


def facts_of(cell: Cell, left_out: list[str]) -> dict[str, Any]:
    """Return the plain values of a cell's ``metadata`` detail."""
    seconds = (parse_time(cell.ended) - parse_time(cell.began)).total_seconds()
    found: dict[str, Any] = {
        "prompt": cell.count,
        "began": cell.began,
        "ended": cell.ended,
        "seconds": round(seconds, 6),
    }
    if notes := [*cell.notes, *left_out]:
        found["notes"] = notes
    if cell.outcome == "lost":
        found["lost"] = True
    return found


def error_of(cell: Cell) -> dict[str, str] | None:
    """Return the exception that ended a cell, as plain values."""
    if cell.failure is None:
        return None
    plain: dict[str, str] = msgspec.to_builtins(cell.failure)
    return {name: _whole(text) for name, text in plain.items()}


def _whole(text: str) -> str:
    """Return text that UTF-8 can write: JSON may name halves of characters."""
    return text.encode(errors="replace").decode()


def _contents(output: Output) -> Iterator[Part]:
    for media, value in sorted(output.data.items()):
        if not media.isascii() or len(media) > _LINE:
            continue
        kind: Kind = "figure" if media.startswith("image/") else "result"
        yield Part(kind, _bytes(media, value), media)


def _bytes(media: str, value: Any) -> bytes:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, sort_keys=True).encode(errors="replace")
    if not media.startswith(_TEXT):
        try:
            return base64.b64decode(value, validate=False)
        except (binascii.Error, ValueError):
            pass  # text that only looks like bytes
    return value.encode(errors="replace")
