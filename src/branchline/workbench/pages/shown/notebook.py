"""A notebook's file, cell by cell (nbformat 4); nothing in it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup, escape

from branchline.foundation.decoding import decode_json
from branchline.workbench.pages.shown.code import code
from branchline.workbench.pages.shown.media import PICTURES, Piece, best, piece
from branchline.workbench.pages.shown.rich_text import markdown
from branchline.workbench.pages.shown.terminal import terminal

_CELLS, _OUTPUTS, _TEXT = 300, 50, 100_000
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_LANGUAGES = {"python": "cell.py", "R": "cell.r", "julia": "cell.jl", "bash": "cell.sh"}


@dataclass(frozen=True)
class ShownCell:
    """One cell.

    Args:
        kind: code, markdown or raw.
        count: The number in its prompt; empty if it has none.
        body: What it says, as HTML.
        outputs: What it put out.
    """

    kind: str
    count: str
    body: Markup
    outputs: tuple[Piece, ...] = ()


def notebook(text: bytes) -> list[ShownCell] | None:
    """Read a notebook; None for what is none."""
    try:
        read = decode_json(text, dict[str, Any])
    except msgspec.DecodeError:
        return None
    cells = read.get("cells")
    if not isinstance(cells, list):
        return None
    language = _language(read.get("metadata"))
    return [_cell(cell, language) for cell in cells[:_CELLS] if isinstance(cell, dict)]


def _language(metadata: Any) -> str:
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    name = spec.get("language") if isinstance(spec, dict) else None
    return _LANGUAGES.get(name if isinstance(name, str) else "", "cell.py")


def _cell(cell: Mapping[str, Any], language: str) -> ShownCell:
    kind, said = cell.get("cell_type"), _joined(cell.get("source"))[:_TEXT]
    if kind == "markdown":
        return ShownCell("markdown", "", markdown(said))
    if kind != "code":
        return ShownCell("raw", "", escape(said))
    count = cell.get("execution_count")
    outputs = cell.get("outputs")
    found = [o for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else []
    shown = [each for output in found[:_OUTPUTS] if (each := _output(output)) is not None]
    if len(found) > _OUTPUTS:
        shown.append(Piece("note", Markup("{} more outputs").format(len(found) - _OUTPUTS)))
    number = str(count) if isinstance(count, int) else ""
    return ShownCell("code", number, code(said, language), tuple(shown))


def _output(output: Mapping[str, Any]) -> Piece | None:
    if output.get("output_type") == "stream":
        return _cut("text/plain", _joined(output.get("text")))
    if output.get("output_type") == "error":
        lines = output.get("traceback")
        said = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        told = f"{output.get('ename')}: {output.get('evalue')}"
        return Piece("error", terminal((said or told)[:_TEXT]))
    data = output.get("data")
    if not isinstance(data, dict):
        return None
    media = best([name for name in data if isinstance(name, str)])
    if media is None:
        return Piece("note", Markup("An output of type {}").format(next(iter(data), "unknown")))
    if media in PICTURES:
        return picture(media, _joined(data[media]))
    return _cut(media, _joined(data[media]))


def picture(media: str, value: str) -> Piece | None:
    """Return a picture that stands in a notebook; browsers run nothing of it."""
    if media == "image/svg+xml":
        import base64

        value = base64.b64encode(value.encode(errors="replace")).decode()
    if not _BASE64.fullmatch(value):
        return None
    return Piece("picture", source=f"data:{media};base64,{''.join(value.split())}", name="Output")


def _cut(media: str, text: str) -> Piece:
    return piece(media, text[:_TEXT], cut=len(text) > _TEXT)


def _joined(value: Any) -> str:
    if isinstance(value, list):
        return "".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else ""
