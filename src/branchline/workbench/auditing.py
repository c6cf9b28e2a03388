"""Whether the ledger holds what a person did at a central service, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.ledger.audit import audit
from branchline.ledger.entry import read_leaf
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import parse_key
from branchline.workbench.holdings import holdings, mirror_of
from branchline.workbench.home import CentralRef, WorkbenchHome


class PersonAudit:
    """One look at a person's folder and mirror.

    Args:
        home: The person's folder.
        ref: The central service whose ledger is looked at.
    """

    def __init__(self, home: WorkbenchHome, ref: CentralRef) -> None:
        self._home, self._ref = home, ref
        self._holdings = holdings(home, ref)
        self.entries = 0

    def contradictions(self) -> Iterator[str]:
        """Yield every contradiction."""
        files = FolderFiles(mirror_of(self._home, self._ref) / "files")
        own: dict[Digest, int] = {}

        def seen(first: int, leaves: list[bytes]) -> None:
            for at, leaf in enumerate(leaves, first):
                try:
                    if read_leaf(leaf).kid == self._home.identity.id:
                        own[digest_of(leaf)] = at
                except Corrupt:
                    continue

        key = parse_key(self._ref.log_vkey)
        try:
            self.entries = audit(files.read, files.paths(), key, seen).checkpoint.size
        except BranchlineError as error:
            yield error.refused
            return
        yield from self._own(own)
        yield from self._topic()

    def _own(self, own: dict[Digest, int]) -> Iterator[str]:
        for position, entry in sorted(self._home.placed_acts(self._ref.origin)):
            if position < self.entries and own.get(entry.id) != position:
                yield f"Your act acknowledged as entry {position} does not stand there"
        kept = {entry.id for entry in self._home.acts(self._ref.origin)}
        for each in sorted(own.keys() - kept):
            yield f"Entry {own[each]} of the ledger bears your signature, but is not kept here"

    def _topic(self) -> Iterator[str]:
        for topic in self._holdings.topics():
            for incident in self._holdings.prove(topic).incidents:
                yield f"Topic {topic.name}: {incident.says}"
