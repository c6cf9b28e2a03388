"""How central's witnesses stand: who they are, what each vouched for, how far it is behind."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from branchline.central.founding import origin_of
from branchline.central.outside import kept_outsides
from branchline.central.store import Store
from branchline.foundation.clock import parse_time
from branchline.foundation.errors import NotFound
from branchline.foundation.keys import Identity
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import open_checkpoint
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.note import key_of
from branchline.ledger.tiles import CHECKPOINT
from branchline.ledger.witness.standing import standings

SEEN_PATH = "/v1/ledger/seen"


class WitnessLine(msgspec.Struct, frozen=True):
    """A witness as central knows it.

    Args:
        party: The station; of another witness, the name of its key.
        entity: The legal entity that runs it; empty if it is no station.
        vkey: What verifies its cosignatures.
        size: How many entries it vouched for last.
        lag: How many entries have come since.
        seen: When it vouched, by its own clock; None for never.
        outside: Where central posts to it, if it is no station; empty if it is one.
    """

    party: str
    entity: str
    vkey: str
    size: int
    lag: int
    seen: datetime | None
    outside: str = ""


class WitnessesStatus(msgspec.Struct, frozen=True):
    """How central's witnesses stand.

    Args:
        origin: The ledger's name.
        size: How many entries it has published.
        witnesses: By name.
        alarms: What witnesses have shown since the service was started that the ledger does not
            hold; then nothing is taken in.
    """

    origin: str
    size: int
    witnesses: tuple[WitnessLine, ...]
    alarms: tuple[str, ...]


def witnesses_status(folder: Path) -> WitnessesStatus:
    """Gather how central's witnesses stand, whether or not it runs.

    Raises:
        NotFound: There is no central service in the folder.
        Corrupt: A cosignature that was kept does not hold.
    """
    origin, store = origin_of(folder), Store(folder)
    log = key_of(origin, Identity.load_or_create(folder / "keys").public)
    try:
        size = open_checkpoint(FolderFiles(folder / "ledger").read(CHECKPOINT), log).size
    except NotFound:
        size = 0
    enrolled = {parse_cosigner_key(each.vkey): each for each in store.witnesses()}
    outside = {each.key: each for each in kept_outsides(folder)}
    found = standings(store.engine, [*enrolled, *outside])
    lines = [
        WitnessLine(
            party=each.party,
            entity=each.entity or each.party,
            vkey=each.vkey,
            size=found[key].size,
            lag=max(0, size - found[key].size),
            seen=found[key].at,
        )
        for key, each in enrolled.items()
    ]
    lines += [
        WitnessLine(
            party=key.name,
            entity="",
            vkey=key.text,
            size=found[key].size,
            lag=max(0, size - found[key].size),
            seen=found[key].at,
            outside=each.url,
        )
        for key, each in outside.items()
    ]
    return WitnessesStatus(
        origin, size, tuple(sorted(lines, key=lambda each: each.party)), _alarms(folder, store)
    )


def _alarms(folder: Path, store: Store) -> tuple[str, ...]:
    try:
        started = parse_time((folder / "address").read_text().splitlines()[1])
    except (FileNotFoundError, IndexError):
        return ()
    refused = (each for each in store.incidents() if each["path"] == SEEN_PATH)
    found = [each["sentence"] for each in refused if parse_time(each["at"]) >= started]
    return tuple(dict.fromkeys(found))
