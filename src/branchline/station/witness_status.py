"""How a station stands as a witness: what it vouched for, what it holds, what its studies ask."""

from __future__ import annotations

from datetime import datetime

import msgspec

from branchline.foundation.clock import Clock
from branchline.foundation.database import open_database
from branchline.foundation.errors import NotFound
from branchline.journey.enrolment import witness_vkey
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import open_checkpoint
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.evidence import check_evidence
from branchline.ledger.proof.note import parse_key
from branchline.ledger.tiles import CHECKPOINT
from branchline.ledger.witness.standing import Standing, standing_in
from branchline.ledger.witness.store import WitnessStore
from branchline.station.cosigner import SeenEvidence, keep_evidence
from branchline.station.holdings import holdings
from branchline.station.settings import StationHome
from branchline.study.document import StudyDocument
from branchline.study.witnesses import (
    cosigners,
    outside_names,
    policy_of,
    resists,
    threshold_of,
    witness_of,
)


class StudyQuorum(msgspec.Struct, frozen=True):
    """What a study asks of its witnesses, and what it had last.

    Args:
        study: Its name.
        asked: How many legal entities have to cosign.
        entities: How many there are.
        cosigned: Those on the latest cosigned checkpoint that this station knows.
        own: Whether this station's witness is one of them that count.
        resists: How many dishonest witnesses it resists; -1 where not even honest ones help.
        outside: The witnesses from outside that have to cosign, too.
        outside_missing: Those of them that did not on that checkpoint.
    """

    study: str
    asked: int
    entities: int
    cosigned: tuple[str, ...]
    own: bool
    resists: int
    outside: tuple[str, ...] = ()
    outside_missing: tuple[str, ...] = ()


class Alarm(msgspec.Struct, frozen=True):
    """Evidence against the ledger that nobody at this station has looked at.

    Args:
        says: What it shows.
        file: Where it is kept.
    """

    says: str
    file: str


class WitnessStatus(msgspec.Struct, frozen=True):
    """How a station stands as a witness.

    Args:
        origin: The ledger's name.
        vkey: What verifies this witness's cosignatures.
        size: How many entries it vouched for last.
        at: When.
        mirrored: How many entries it holds.
        studies: What each study asks.
        alarms: Why no data are bound; empty where all is well.
    """

    origin: str
    vkey: str
    size: int
    at: datetime | None
    mirrored: int
    studies: tuple[StudyQuorum, ...]
    alarms: tuple[Alarm, ...]


def witness_status(home: StationHome, clock: Clock) -> WitnessStatus:
    """Gather how a station stands as a witness, whether or not it runs.

    Raises:
        NotFound: There is no station in the folder.
        Corrupt: What it keeps is not what it must be.
    """
    central = home.settings().central
    log, vkey = parse_key(central.log_vkey), witness_vkey(central.origin, _name(home), home.witness)
    engine = open_database(home.database)
    store, seen = WitnessStore(engine), SeenEvidence(engine)
    known, standing = store.latest(central.origin), Standing()
    if known is not None:
        key = parse_cosigner_key(vkey)
        standing = standing_in(known.note, [key]).get(key, Standing())
    try:
        shown = FolderFiles(home.folder / "ledger").read(CHECKPOINT)
        mirrored = open_checkpoint(shown, log).size
    except NotFound:
        mirrored = 0
    held = holdings(home, clock)
    own = _name(home)
    alarms = [
        Alarm(
            check_evidence(each.text.encode(), central.log_vkey).sentence,
            str(keep_evidence(home.folder / "evidence", each)),
        )
        for each in store.evidence()
        if not seen.has(each)
    ]
    return WitnessStatus(
        origin=central.origin,
        vkey=vkey,
        size=standing.size,
        at=standing.at,
        mirrored=mirrored,
        studies=tuple(_quorum(study, own, held.note) for study in held.studies),
        alarms=tuple(alarms),
    )


def _quorum(study: StudyDocument, station: str, note: bytes | None) -> StudyQuorum:
    policy = policy_of(study)
    names = policy.open_signed(note).cosigned if note is not None else {}
    return StudyQuorum(
        study=study.id,
        asked=threshold_of(study),
        entities=len(study.witnesses()),
        cosigned=tuple(sorted(cosigners(study, names))),
        outside=tuple(outside_names(study)),
        outside_missing=tuple(name for name in outside_names(study) if name not in names),
        own=bool(witness_of(study, station)),
        resists=resists(study),
    )


def _name(home: StationHome) -> str:
    return home.settings().name
