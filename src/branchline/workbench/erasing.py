"""Erasures at a person's workbench: heard of with the ledger, carried out upon what is kept.

That is the person's own acts, the evidence of his journeys, and the evidence in the results that
lie in their usual place. A result written elsewhere is written anew by 'branchline result'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from branchline.foundation.canonical import canonical_json, parse_json
from branchline.foundation.durable import make_folder, write_durably
from branchline.foundation.errors import BranchlineError
from branchline.foundation.http.client import ApiClient
from branchline.journey.erasing import stripped, stripped_evidence
from branchline.journey.messages import Erasure, Erasures, Evidence
from branchline.journey.verify import EVIDENCE, MAX_EVIDENCE
from branchline.ledger.entry import Entry
from branchline.workbench.home import WorkbenchHome

FILE = "erasures.json"
"""Beside a person's mirror of a ledger: the words of erasures heard of."""


def words(mirror: Path) -> list[Entry]:
    """Return the acts by which fields were erased, as far as this person heard of them."""
    return [each.entry for each in _kept(mirror)]


async def take_in(client: ApiClient, home: WorkbenchHome, origin: str, mirror: Path) -> int:
    """Ask central what was erased since, and erase it here; return how many words there were.

    They are noted once they are carried out: a crash before leaves them to be asked for again.

    Args:
        client: Central's API.
        home: The person's folder.
        origin: The name of central's ledger.
        mirror: The folder of the person's mirror of it.

    Raises:
        Unavailable: Central cannot be reached; what came before is carried out.
    """
    kept, count = list(_kept(mirror)), 0
    while True:
        first = kept[-1].position + 1 if kept else 0
        answer = await client.call("GET", f"/v1/erasures/{first}", answer=Erasures)
        new = [each for each in answer.erasures if each.position >= first]
        if not new:
            return count
        carry_out(home, origin, [each.entry for each in new])
        kept, count = [*kept, *new], count + len(new)
        make_folder(mirror)
        write_durably(mirror / FILE, canonical_json(Erasures(erasures=tuple(kept))), mode=0o600)


def carry_out(home: WorkbenchHome, origin: str, said: Sequence[Entry]) -> None:
    """Take what was erased out of everything that is kept in a person's folder."""
    own = home.identity.public
    home.change_acts(origin, lambda entry: stripped(entry, own, said))
    for file in (*home.evidence(), *home.results.glob(f"*/{EVIDENCE}")):
        try:
            held = parse_json(file.read_bytes(), Evidence, what=EVIDENCE, limit=MAX_EVIDENCE)
        except BranchlineError:
            continue  # damaged: it opens nothing to anybody who reads it through this program
        left = stripped_evidence(held, said)
        if left is not held:
            write_durably(file, canonical_json(left), mode=file.stat().st_mode & 0o777)


def _kept(mirror: Path) -> tuple[Erasure, ...]:
    file = mirror / FILE
    if not file.exists():
        return ()
    return parse_json(file.read_bytes(), Erasures, what=FILE, limit=MAX_EVIDENCE).erasures
