"""The refusal of a spec file: which file, which line, and why in words that can be counted."""

from __future__ import annotations

import re

from branchline.foundation.errors import Refused

_SHOWN = 60
_SECRET = re.compile(r"//[^/\s@]*@|/t/[^/\s]+")


class SpecRefused(Refused):
    """A spec file, or the tree it lies in, that is not acceptable.

    Args:
        file: Its path in the tree; empty where the tree itself is refused.
        why: What is wrong, one clause that continues "<file>[, line N] …".
        reason: The kind of fault, one of few fixed phrases, for counting.
        line: The line, from 1; 0 where no single line is meant.
        advice: What the person can do.
    """

    def __init__(
        self, file: str, why: str, *, reason: str, line: int = 0, advice: str = ""
    ) -> None:
        self.file = file
        self.reason = reason
        self.line = line
        place = f"{file}, line {line}," if line else file
        detail = {"file": file, "line": line, "reason": reason}
        super().__init__(f"{place} {why}".strip(), advice=advice, detail=detail)


def shown(text: str) -> str:
    """Return a piece of a file as it may stand in a sentence: quoted, printable, short.

    What may be a password or a token in an address is left out.
    """
    bare = without_secrets(text)
    return repr(bare if len(bare) <= _SHOWN else bare[:_SHOWN] + "…")


def without_secrets(text: str) -> str:
    """Return a text without the passwords, and conda's tokens, of the addresses in it."""
    if "/" not in text:
        return text
    return _SECRET.sub(lambda found: "//" if found[0].startswith("//") else "", text)
