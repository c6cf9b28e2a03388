"""The kinds of texts and numbers in a lock, each with the form it must have."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NewType

import msgspec

Sha256 = NewType("Sha256", str)
"""A SHA-256 as apt and uv write it: 64 lower-case hexadecimal digits."""


def _matching(pattern: str) -> Any:
    return msgspec.Meta(pattern=rf"\A(?:{pattern})\Z")


WireSha256 = Annotated[Sha256, _matching("[0-9a-f]{64}")]
Suite = Annotated[str, _matching(r"[a-z0-9][a-z0-9.-]{0,62}")]
Architecture = Annotated[str, _matching(r"[a-z0-9][a-z0-9-]{0,31}")]
DebianName = Annotated[str, _matching(r"[a-z0-9][a-z0-9+.-]{0,199}")]
DebianVersion = Annotated[str, _matching(r"[0-9][A-Za-z0-9.+:~-]{0,199}")]
# A path below a mirror's root: never absolute, and no part of it begins with a dot.
PoolPath = Annotated[
    str, _matching(r"[A-Za-z0-9][^/\s\x00-\x1f]*(/[^/.\s\x00-\x1f][^/\s\x00-\x1f]*)*")
]
Fingerprint = Annotated[str, _matching("[0-9A-F]{40,64}")]
PythonName = Annotated[str, _matching("[a-z0-9]+(-[a-z0-9]+)*")]
PythonVersion = Annotated[str, _matching(r"[0-9][A-Za-z0-9.+!]{0,99}")]
PythonSeries = Annotated[str, _matching(r"3\.[0-9]{1,3}")]
WheelFile = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.+!-]{0,250}\.whl")]
CondaName = Annotated[str, _matching(r"[a-z0-9_][a-z0-9_.-]{0,199}")]
CondaVersion = Annotated[str, _matching(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,199}")]
CondaBuild = Annotated[str, _matching(r"[A-Za-z0-9_.+]{1,200}")]
CondaFile = Annotated[str, _matching(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,250}\.(?:conda|tar\.bz2)")]
Subdir = Annotated[str, _matching(r"noarch|linux-[a-z0-9_]{1,20}")]
# A channel's name, or its address; never with anybody's password.
Channel = Annotated[
    str,
    _matching(
        r"(?:[a-z]+://[A-Za-z0-9.:\[\]-]+/)?[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*/?"
    ),
]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
# Up to the last second that calendars of four digits know.
Epoch = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Part = Literal["base", "extra"]
