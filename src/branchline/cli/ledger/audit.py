"""``branchline ledger audit``: the whole ledger, and this program's state against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from branchline.cli.frame import Answer, lines, verb, working
from branchline.cli.ledger.homes import HOME, OFFLINE, folder_of, update
from branchline.foundation.errors import Corrupt


class _Audit(Protocol):
    entries: int

    def contradictions(self) -> Iterator[str]: ...


@verb(None, "audit", "branchline ledger audit --home /srv/branchline/station")
@OFFLINE
@HOME
def audit(home: Path | None, offline: bool) -> Answer:
    """Check the whole ledger, and this program's state against it.

    Every hash is computed again from the entries. Then everything that the owner of the folder
    keeps is compared with what the entries say; each contradiction is one line. Exits with 6 if
    there is any. Central and stations are best audited while they do not run.
    """
    folder, kind = folder_of(home)
    if kind == "person" and not offline:
        update(folder, kind)
    with working("auditing"):
        looked = _audit(folder, kind)
        found = list(looked.contradictions())
    data = {"owner": kind, "entries": looked.entries, "contradictions": found}
    verdict = (
        f"{len(found)} contradictions; the first is where to begin."
        if found
        else f"{looked.entries} entries: the ledger and what is kept here tell the same story."
    )
    return Answer(data, lines(*found, verdict), Corrupt.exit_code if found else 0)


def _audit(folder: Path, kind: str) -> _Audit:
    from branchline.foundation.clock import SystemClock

    if kind == "central":
        from branchline.central.auditing import CentralAudit

        return CentralAudit(folder)
    if kind == "station":
        from branchline.station.auditing import StationAudit
        from branchline.station.settings import StationHome

        return StationAudit(StationHome(folder), SystemClock())
    from branchline.workbench.auditing import PersonAudit
    from branchline.workbench.home import WorkbenchHome

    person = WorkbenchHome(folder)
    return PersonAudit(person, person.central())
