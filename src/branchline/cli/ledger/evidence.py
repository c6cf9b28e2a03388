"""``branchline ledger evidence``: what convicts a ledger of two histories, and that it was seen."""

from __future__ import annotations

from pathlib import Path

import click

from branchline.cli.frame import Answer, lines, verb
from branchline.cli.ledger.homes import folder_of
from branchline.cli.station.home import HOME


@verb(None, "evidence", "branchline ledger evidence --seen")
@click.option("--seen", is_flag=True, help="Note that you have looked; data are bound again.")
@HOME
def evidence(seen: bool, home: Path) -> Answer:
    """Look at evidence that a ledger contradicts itself.

    A station that finds central's ledger to have signed two histories keeps the evidence as a file,
    which anybody can check, and binds no data until somebody has looked. Before you say so with
    --seen, tell the people of your studies, and find out which history is theirs.
    """
    from branchline.foundation.database import open_database
    from branchline.foundation.digest import digest_of
    from branchline.ledger.proof.evidence import check_evidence
    from branchline.ledger.witness.store import WitnessStore
    from branchline.station.control import poke
    from branchline.station.cosigner import SeenEvidence, keep_evidence
    from branchline.station.settings import StationHome

    folder_of(home)
    station = StationHome(home)
    vkey = station.settings().central.log_vkey
    engine = open_database(station.database)
    looked = SeenEvidence(engine)
    found = []
    for each in WitnessStore(engine).evidence():
        data = each.text.encode()
        file = keep_evidence(home / "evidence", each)
        found.append(
            {
                "digest": digest_of(data),
                "file": str(file),
                "says": check_evidence(data, vkey).sentence,
                "seen": looked.has(each),
            }
        )
        if seen:
            looked.note(each)
    if seen:
        poke(station.control)
    text = lines(
        *(f"{e['says']}\n  {e['file']}{'' if e['seen'] or seen else '  (nobody has looked yet)'}"
          for e in found),
        "" if found else "There is no evidence against central's ledger.",
    )  # fmt: skip
    return Answer({"evidence": found}, text)
