"""What is written can be read: contrast as WCAG 2.2 (1.4.3, AA) wants it, light and dark."""

from __future__ import annotations

import re

import pytest

from branchline.workbench.pages.app import STATIC_FOLDER

STYLE = (STATIC_FOLDER / "style.css").read_text()
PAIRS = [
    (ink, ground)
    for ink, grounds in {
        "ink": ("paper", "card", "sunk"),
        "soft": ("paper", "card", "sunk"),
        "accent": ("paper", "card", "accent-soft"),
        "amber": ("paper", "card", "amber-soft"),
        "bad": ("paper", "card", "bad-soft"),
        "good": ("paper", "card", "good-soft"),
        "accent-ink": ("accent",),
    }.items()
    for ground in grounds
]


def colours(start: str) -> dict[str, str]:
    """Return the colours of the block that begins so."""
    block = STYLE.split(start, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def light(colour: str) -> float:
    """Return a colour's relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("start", [":root {", ':root[data-theme="dark"] {'])
def test_every_text_stands_out_from_its_ground(start: str) -> None:
    """At least 4.5 to 1."""
    known = colours(start)
    for ink, ground in PAIRS:
        one, two = sorted((light(known[ink]), light(known[ground])))
        ratio = (two + 0.05) / (one + 0.05)
        assert ratio >= 4.5, f"{ink} on {ground}: {ratio:.2f}"


def test_both_ways_to_the_dark_are_the_same() -> None:
    """By the system's choice, and by the person's."""
    chosen = colours(':root[data-theme="dark"] {')
    assert colours(':root:not([data-theme="light"]) {') == chosen
    assert chosen.keys() == colours(":root {").keys()
