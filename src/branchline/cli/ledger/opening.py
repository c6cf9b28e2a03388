"""What a grant opens of entries in files: of one beside its receipt, or of those in a package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchline.cli.ledger.asking import Own
from branchline.cli.ledger.grants import opened
from branchline.cli.ledger.homes import folder_of, holdings
from branchline.foundation.errors import Refused

if TYPE_CHECKING:
    from branchline.ledger.beside import Beside
    from branchline.ledger.entry import Entry


class Granted:
    """Opens entries with a grant, and checks their signatures by the keys of whoever gave it.

    Args:
        grant: The grant's file.
        giver: Who gave it, if no study of the reader's names that party.
        home: The reader's folder.
        offline: Ask central for nothing.

    Raises:
        Corrupt: The grant is not for the owner of the folder, or not what it says.
        NotFound: It is not known whose it is.
    """

    def __init__(self, grant: Path, giver: str | None, home: Path | None, *, offline: bool) -> None:
        held = holdings(home, offline=True)
        self._own = Own(*folder_of(home), offline=offline)
        self._grant, self._keys, self._by = opened(held, self._own, grant, giver)

    def entry(self, leaf: bytes, file: Path) -> dict[str, Any]:
        """Return what the grant opens of the entry in a file."""
        from branchline.journey.granting import opened_by
        from branchline.ledger.entry import Entry, open_entry

        closed = Entry(leaf.decode("ascii", "replace"))
        found = opened_by(self._grant, closed, _beside(file.with_suffix(".beside")))
        return {"by": self._by, "fields": open_entry(found, self._keys)}

    def package(self, shown: Mapping[int, Entry], file: Path) -> dict[str, Any]:
        """Return what it opens of the entries in a package, beside what is open there.

        Raises:
            Refused: It opens nothing of any of them.
        """
        from branchline.ledger.entry import Entry, open_entry
        from branchline.ledger.grants import open_granted

        theirs = {at: Entry(each.jws) for at, each in shown.items() if self._grant.is_actors(each)}
        besides = {at: _beside(file.with_name(f"{at}.beside")) for at in theirs}
        lacking = [theirs[at].id for at, beside in besides.items() if beside is None]
        wanted = lacking if self._grant.classes or self._grant.entries else []
        asked = self._own.beside(wanted)
        entries = {}
        for at, closed in sorted(theirs.items()):
            beside = besides[at] or asked.get(closed.id)
            found = open_granted(closed, beside, self._grant)
            if found.disclosures:
                entries[at] = open_entry(found, self._keys)
        if not entries:
            raise Refused(
                f"The grant opens none of the {len(shown)} entries in {file}",
                advice="What opens classes is asked for at central: not with --offline"
                if wanted and not asked
                else "It is of other entries, or what it opened was erased",
            )
        return {"by": self._by, "opened": entries}


def _beside(file: Path) -> Beside | None:
    from branchline.ledger.beside import parse_beside

    return parse_beside(file.read_bytes()) if file.exists() else None
