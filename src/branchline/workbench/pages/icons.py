"""The pages' small pictures, drawn in one line each."""

from __future__ import annotations

from markupsafe import Markup

_DRAWN = {
    "note": '<path d="M5 4h14v11l-5 5H5z"/><path d="M14 20v-5h5"/><path d="M8.5 9h7M8.5 12.5h4"/>',
    "milestone": '<path d="M6 21V4"/><path d="M6 5h12l-3 4 3 4H6"/>',
    "execution": '<path d="M7 5l11 7-11 7z"/>',
    "cell": '<path d="M4 6h16v12H4z"/><path d="M8 10l2.5 2L8 14M13 14h3.5"/>',
    "code": '<path d="M9 7l-5 5 5 5M15 7l5 5-5 5"/>',
    "data": '<ellipse cx="12" cy="6" rx="7" ry="2.8"/><path d="M5 6v12c0 1.5 3 2.8 7 2.8s7-1.3 7-2.8V6M5 12c0 1.5 3 2.8 7 2.8s7-1.3 7-2.8"/>',
    "environment": '<path d="M12 3l8 4.5v9L12 21l-8-4.5v-9z"/><path d="M4 7.5l8 4.5 8-4.5M12 12v9"/>',
    "branch": '<circle cx="7" cy="5" r="2"/><circle cx="7" cy="19" r="2"/><circle cx="17" cy="9" r="2"/><path d="M7 7v10M17 11c0 4-10 2-10 6"/>',
    "project": '<path d="M3 6.5h6l2 2.5h10v10H3z"/>',
    "gap": '<path d="M4 12h4M16 12h4"/><path d="M10 7l4 10" stroke-dasharray="2 3"/>',
    "sync": '<path d="M5 10a7.5 7.5 0 0 1 13-3l2 2M19 14a7.5 7.5 0 0 1-13 3l-2-2"/><path d="M20 4v5h-5M4 20v-5h5"/>',
    "file": '<path d="M6 3h8l4 4v14H6z"/><path d="M14 3v4h4"/>',
    "folder": '<path d="M3 6.5h6l2 2.5h10v10H3z"/>',
    "search": '<circle cx="11" cy="11" r="6"/><path d="M15.5 15.5L20 20"/>',
    "feed": '<path d="M6 4v16"/><circle cx="6" cy="7" r="2"/><circle cx="6" cy="16" r="2"/><path d="M11 7h9M11 16h9"/>',
    "check": '<path d="M5 12.5l4.5 4.5L19 7"/>',
    "checks": '<path d="M4 7l2 2 3-4M4 16l2 2 3-4M12 7h8M12 16h8"/>',
    "back": '<path d="M9 14L4 9l5-5"/><path d="M4 9h10a6 6 0 0 1 0 12h-3"/>',
    "again": '<path d="M20 12a8 8 0 1 1-2.5-5.8"/><path d="M20 3v5h-5"/>',
    "save": '<path d="M4 12.5V20h16v-7.5"/><path d="M12 4v11M8 11l4 4 4-4"/>',
    "hide": '<path d="M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6z"/><path d="M4 20L20 4"/>',
    "more": '<path d="M9 6l6 6-6 6"/>',
    "elsewhere": '<path d="M7 18a4.5 4.5 0 0 1-.5-9 6 6 0 0 1 11.4 1.5A3.8 3.8 0 0 1 17 18z"/>',
    "theme": '<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>',
    "warn": '<path d="M12 4l9 16H3z"/><path d="M12 10v4M12 17v.5"/>',
    "lab": '<path d="M9 3h6M10 3v6l-5.5 9a2 2 0 0 0 1.7 3h11.6a2 2 0 0 0 1.7-3L14 9V3"/><path d="M7.5 15h9"/>',
    "lock": '<path d="M6 11h12v9H6z"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>',
    "down": '<path d="M12 4v12M7 11l5 5 5-5M5 20h14"/>',
}


def icon(name: str) -> Markup:
    """Return a picture; it says nothing to those who are read to."""
    drawn = Markup(_DRAWN.get(name, _DRAWN["file"]))
    return Markup(
        '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>'
    ).format(drawn)
