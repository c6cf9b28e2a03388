"""The activity, newest first, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.render import day
from branchline.workbench.pages.views.frame import Frame, frame
from branchline.workbench.pages.views.items import Item, item

FILTERS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "all": ("All", (), ()),
    "runs": ("Runs and cells", ("execution",), ()),
    "failed": ("Failed", (), ("failed", "interrupted")),
    "data": ("Data", ("data",), ()),
    "code": ("Code", ("code",), ()),
    "notes": ("Notes", ("note", "milestone"), ()),
    "environment": ("Environment", ("environment",), ()),
    "branches": ("Branches and sync", ("branch", "sync", "project"), ()),
}
"""What can be chosen: its name, types and outcomes."""

_PAGE = 25


@dataclass(frozen=True)
class Day:
    """The records of one day."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class FeedPage:
    """One page of the activity.

    Args:
        frame: What stands around it.
        days: The records.
        older: The address of the next page; empty where there is none.
        newest: The cursor after which something is new.
        chosen: Which of `FILTERS`.
        filters: Their names, by address.
        hidden: Whether hidden records are shown, too.
        first: Whether this is the first page.
    """

    frame: Frame
    days: tuple[Day, ...]
    older: str
    newest: str
    chosen: str
    filters: Mapping[str, str]
    hidden: bool
    first: bool


def feed_page(opened: Opened, asked: Mapping[str, str]) -> FeedPage:
    """Return a page of the activity.

    Args:
        opened: The project.
        asked: ``show`` chooses, ``before`` is a cursor, ``hidden`` shows hidden ones, too; ``after`` asks
            for what is new since.

    Raises:
        Refused: A cursor is none.
    """
    chosen = asked.get("show", "all")
    chosen = chosen if chosen in FILTERS else "all"
    hidden, before, after = (
        bool(asked.get("hidden")),
        asked.get("before", ""),
        asked.get("after", ""),
    )
    _, kinds, outcomes = FILTERS[chosen]
    turned = opened.timeline.page(
        before=before, after=after, kinds=kinds, outcomes=outcomes, hidden=hidden, most=_PAGE
    )
    around = frame(opened, "feed", "Activity")
    items = [
        item(opened.project, opened.base, signed, here=around.branch) for signed in turned.records
    ]
    days = tuple(Day(name, tuple(several)) for name, several in groupby(items, lambda i: day(i.at)))
    more = {"show": chosen, "before": turned.older} | ({"hidden": "1"} if hidden else {})
    return FeedPage(
        frame=around,
        days=days,
        older=f"{opened.base}/feed?{urlencode(more)}" if turned.older else "",
        newest=turned.newest,
        chosen=chosen,
        filters={name: words[0] for name, words in FILTERS.items()},
        hidden=hidden,
        first=not before,
    )
