"""Outputs by their media types: what of several forms of one thing is shown, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from branchline.workbench.pages.shown.rich_text import html, markdown
from branchline.workbench.pages.shown.terminal import terminal

EMPTY = Markup("")

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
"""What browsers show in an ``img`` without running anything of it; scripts in an SVG stay asleep there."""

ORDER = (
    *PICTURES,
    *("text/html", "text/markdown", "text/plain", "text/latex", "application/json"),
)
"""Which of several forms is shown: the first of these."""


@dataclass(frozen=True)
class Piece:
    """One thing to be shown.

    Args:
        form: How.
        body: What, as HTML; empty for pictures.
        source: Where a picture is.
        name: What a picture is called by those who do not see it.
        cut: Whether there is more than is shown.
    """

    form: Literal["text", "code", "rich", "picture", "error", "note"]
    body: Markup = EMPTY
    source: str = ""
    name: str = ""
    cut: bool = False


def best(types: list[str]) -> str | None:
    """Return the media type that is shown, of those one thing is there in."""
    return next((each for each in ORDER if each in types), None)


def piece(media: str, text: str, *, cut: bool = False) -> Piece:
    """Return text of a media type as it is shown."""
    if media == "text/html":
        return Piece("rich", html(text), cut=cut)
    if media == "text/markdown":
        return Piece("rich", markdown(text), cut=cut)
    return Piece("text", terminal(text), cut=cut)
