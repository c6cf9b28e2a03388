"""Contexts into pages: every value is escaped unless it was made safe by ``shown``."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from branchline.workbench.pages.icons import icon
from branchline.workbench.pages.shown.code import code, command
from branchline.workbench.pages.shown.terminal import plain

FOLDER = Path(__file__).parent / "templates"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "size": size, "clock": clock, "day": day, "moment": moment, "path": path, "plain": plain,
        "count": count,
    }  # fmt: skip
    made.globals |= {"icon": icon}
    return made


def prepare() -> None:
    """Read all templates, and how programs are read, so that the first page is as quick as the others."""
    code("1")
    command("true")
    for name in _templates().list_templates():
        _templates().get_template(name)


def render(template: str, context: Any, **more: Any) -> str:
    """Return a page: a template, and the fields of its context."""
    values = {each.name: getattr(context, each.name) for each in fields(context)}
    return _templates().get_template(template).render(**values, **more)


def local(at: str) -> datetime:
    """Return a record's time as this machine's clocks show it; its word is not trusted."""
    try:
        return datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def clock(at: str) -> Markup:
    """Return the time of day."""
    found = local(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at, f"{found:%-d %B %Y, %H:%M:%S}", f"{found:%H:%M}"
    )


def moment(at: str) -> Markup:
    """Return a day and a time of day."""
    found = local(at)
    return Markup('<time datetime="{}">{}</time>').format(at, f"{found:%-d %B %Y, %H:%M}")


def day(at: str) -> str:
    """Return the day, as people say it."""
    found, today = local(at).date(), datetime.now().astimezone().date()
    if found == today:
        return "Today"
    if (today - found).days == 1:
        return "Yesterday"
    return f"{found:%A, %-d %B}" if found.year == today.year else f"{found:%-d %B %Y}"


def size(number: int | None) -> str:
    """Return bytes as people read them."""
    if number is None:
        return ""
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", " ")


def path(text: str) -> str:
    """Return a path as it stands in an address."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="/")
