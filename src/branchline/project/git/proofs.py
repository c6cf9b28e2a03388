"""What git-annex proves before it removes a content: read from its own words, strictly; pure.

The proof is only in its debug output, and written as Haskell shows values. That may change with any
version: what does not parse is no proof.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEBUG = ("--debug", "--debugfilter=Command.Drop")
"""The options under which git-annex tells its proofs."""

_LINE = re.compile(
    r"^\[[0-9:. -]+\] \(Command\.Drop\) Dropping from here proof: Just "
    r"\(SafeDropProof \(NumCopies (?P<num>[0-9]+)\) \(MinCopies (?P<min>[0-9]+)\) "
    r"\[(?P<copies>[^\]]*)\] .*"
    r"\(ContentRemovalLock \(MkKey \{.*keySerialization = \"(?P<key>[^\"\\]+)\"\}\)\)+$"
)
_COPY = re.compile(r'^(?P<kind>[A-Z][A-Za-z]+) UUID "(?P<uuid>[0-9A-Za-z-]{8,64})"$')
_LIVE = frozenset(("LockedCopy", "RecentlyVerifiedCopy"))


@dataclass(frozen=True)
class Copy:
    """One copy that stands for a removal.

    Args:
        kind: How git-annex knows of it: ``LockedCopy`` was asked, and may not go meanwhile.
        uuid: The repository.
    """

    kind: str
    uuid: str

    @property
    def live(self) -> bool:
        """Whether the copy itself was looked at, rather than somebody's word taken for it."""
        return self.kind in _LIVE


@dataclass(frozen=True)
class Proof:
    """Why a content may be removed.

    Args:
        key: The content.
        numcopies: How many copies git-annex wanted.
        mincopies: How many at the very least.
        copies: Those it found.
    """

    key: str
    numcopies: int
    mincopies: int
    copies: tuple[Copy, ...]

    @property
    def good(self) -> bool:
        """Whether enough copies were looked at, one at least."""
        live = {copy.uuid for copy in self.copies if copy.live}
        return len(live) >= max(1, self.mincopies, self.numcopies)


def read_proofs(said: str) -> dict[str, Proof]:
    """Return the proofs among git-annex's words on standard error, by content."""
    found = {}
    for line in said.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        texts = [text for text in match["copies"].split(",") if text]
        copies = [_COPY.match(text.strip()) for text in texts]
        if all(copies):
            told = tuple(Copy(copy["kind"], copy["uuid"]) for copy in copies if copy)
            found[match["key"]] = Proof(match["key"], int(match["num"]), int(match["min"]), told)
    return found


def trusted_uuids(log: str) -> list[str]:
    """Return whom git-annex's branch calls trusted, or ever called so.

    Source: git-annex's page "internals", ``trust.log``. Whoever may push can write there; a trusted
    repository's word would be taken for a copy.
    """
    found = []
    for line in log.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1] == "1":
            found.append(words[0])
    return sorted(set(found))
