"""Show foreign text on a terminal: whatever could steer it is spelled out instead of sent."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text whose control characters, but for line breaks, are written as ``\\uXXXX``."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else f"\\u{ord(c):04x}" for c in text)
