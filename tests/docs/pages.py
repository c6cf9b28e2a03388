"""Read the documentation's pages: their code blocks, and what stands before each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """One code block.

    Args:
        page: The page, relative to the project.
        line: Where it begins.
        kind: The language it says it is in; empty for plain text.
        note: What the comment right before it says.
        text: Its lines.
    """

    page: str
    line: int
    kind: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of one page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start("kind")) + 1,
            found["kind"],
            found["note"] or "",
            found["text"],
        )
        for found in _FENCE.finditer(text)
    ]


def blocks(*kinds: str) -> list[Block]:
    """Return the blocks of all pages in any of these languages."""
    return [block for page in PAGES for block in blocks_of(page) if block.kind in kinds]


def files_of(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and text of every block that the comment ``file: PATH`` stands before."""
    for block in blocks_of(page):
        if block.note.startswith("file: "):
            yield block.note.removeprefix("file: "), block.text
