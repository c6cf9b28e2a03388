"""What has the words that were looked for."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from branchline.foundation.errors import Refused
from branchline.project.search import Hit, find
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import Frame, frame

_MOST = 50
_MARKS = ("\ue000", "\ue001")
"""Characters that nobody writes."""


@dataclass(frozen=True)
class Found:
    """One thing that has all the words.

    Args:
        link: Where it is shown.
        kind: record or file.
        title: What it is.
        at: When, of a record.
        around: The words, with what stands around them.
    """

    link: str
    kind: str
    title: str
    at: str
    around: Markup


@dataclass(frozen=True)
class SearchPage:
    """What was found.

    Args:
        frame: What stands around it; with the words that were looked for.
        hits: The best first.
        problem: Why nothing was looked for; empty otherwise.
    """

    frame: Frame
    hits: tuple[Found, ...]
    problem: str = ""


def search_page(opened: Opened, words: str) -> SearchPage:
    """Return what a search shows."""
    around = frame(opened, "search", "Search", query=words[:200])
    if not words.strip():
        return SearchPage(around, ())
    try:
        hits = find(opened.project, words[:1000], most=_MOST, marks=_MARKS)
    except Refused as error:
        return SearchPage(around, (), str(error))
    return SearchPage(around, tuple(_found(opened.base, hit) for hit in hits))


def _found(base: str, hit: Hit) -> Found:
    from branchline.workbench.pages.render import path

    place = f"{base}/record/{hit.name.removesuffix('.json')}"
    link = place if hit.kind == "record" else f"{base}/file/{path(hit.name)}"
    around = Markup("")
    for piece in hit.found.split(_MARKS[0]):
        word, mark, rest = piece.partition(_MARKS[1])
        around += Markup("<mark>{}</mark>").format(plain(word)) if mark else escape(plain(word))
        around += escape(plain(rest))
    return Found(
        link,
        hit.kind,
        plain(hit.title[:200]),
        hit.at,
        around,
    )
