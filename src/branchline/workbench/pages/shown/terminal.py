"""What programs print on a terminal, as HTML: colours kept, all else that steers a terminal left out."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_CODES = re.compile(
    r"\x1b\[([0-9;]*)m"  # colours and weights
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links of a terminal
    r"|\x1b\[[0-9;?]*[ -/]*[@-~]"  # moves of the cursor
    r"|\x1b."
)
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOURS = {str(code) for code in (*range(30, 38), *range(90, 98))}


def terminal(text: str) -> Markup:
    """Return text as HTML, with the colours it asks for."""
    pieces: list[Markup] = []
    at, colour, bold = 0, "", False
    for found in _CODES.finditer(text):
        pieces.append(_span(text[at : found.start()], colour, bold))
        at = found.end()
        if found[1] is not None:
            colour, bold = _after(found[1].split(";"), colour, bold)
    pieces.append(_span(text[at:], colour, bold))
    return Markup("").join(pieces)


def plain(text: str) -> str:
    """Return text without anything that steers a terminal, or turns the direction of reading."""
    return _STEERING.sub("�", _CODES.sub("", text))


def _after(codes: list[str], colour: str, bold: bool) -> tuple[str, bool]:
    for number, code in enumerate(codes):
        if code in ("38", "48"):
            break  # colours of larger palettes are not followed
        if code in ("", "0"):
            colour, bold = "", False
        elif code in _COLOURS:
            colour = code
        elif code == "39":
            colour = ""
        elif code in ("1", "22"):
            bold = code == "1"
        if number > 16:
            break
    return colour, bold


def _span(text: str, colour: str, bold: bool) -> Markup:
    shown = escape(_STEERING.sub("�", text.replace("\r\n", "\n")))
    names = [f"a{colour}"] * bool(colour) + ["ab"] * bold
    if not shown or not names:
        return shown
    return Markup('<span class="{}">{}</span>').format(" ".join(names), shown)
