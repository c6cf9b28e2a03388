"""The last step of the demo: four parties check one journey, each with its own keys alone.

Then central's disk is tampered with, on a copy, and the audit names what was done.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from branchline.central.auditing import CentralAudit
from branchline.demo.data import DATASET
from branchline.foundation.clock import SystemClock
from branchline.foundation.durable import make_folder
from branchline.foundation.errors import BranchlineError
from branchline.journey import acts
from branchline.journey.holdings import Holdings
from branchline.journey.packing import pack_case
from branchline.journey.verify import verify_result
from branchline.station.auditing import StationAudit
from branchline.station.holdings import fetch_cosigned
from branchline.station.holdings import holdings as of_station
from branchline.station.settings import StationHome
from branchline.study.witnesses import policy_of
from branchline.workbench.holdings import holdings as of_person
from branchline.workbench.holdings import sync
from branchline.workbench.home import WorkbenchHome

AUDITOR = "auditor"
_PATIENCE = 20.0


class Check(msgspec.Struct, frozen=True):
    """What one party checked of the journey, with nothing but its own.

    Args:
        party: Who.
        by: With what: the command that anybody can repeat.
        holds: Whether everything holds.
        says: What was found, in one sentence.
    """

    party: str
    by: str
    holds: bool
    says: str


class Tampering(msgspec.Struct, frozen=True):
    """What was changed on a copy of central's disk, and what the audit said.

    Args:
        done: What was changed.
        named: The contradictions that the audit found.
    """

    done: str
    named: tuple[str, ...]


async def check_together(
    folder: Path, requester: WorkbenchHome, hospitals: tuple[str, str], journey: str, result: Path
) -> tuple[Check, ...]:
    """Let requester, two hospitals and an auditor check their own parts of one journey.

    Args:
        folder: Everybody's folders are in here.
        requester: The researcher's folder.
        hospitals: Two of the stations; the second one proves completeness, too.
        journey: The journey.
        result: The folder with its result.
    """
    clock, ref = SystemClock(), requester.central()
    homes = [StationHome(folder / "stations" / name) for name in hospitals]
    await sync(requester, ref, clock)
    await asyncio.gather(*(fetch_cosigned(home, clock) for home in homes))
    package = folder / "auditor" / "case.zip"
    asked = await asyncio.to_thread(of_person, requester, ref)
    return tuple(
        await asyncio.gather(
            asyncio.to_thread(_requester, result, asked),
            asyncio.to_thread(_hospital, homes[0], journey),
            asyncio.to_thread(_complete, homes[1], journey),
            _auditor(asked, journey, package),
        )
    )


def _requester(result: Path, held: Holdings) -> Check:
    report = verify_result(result, log_vkey=held.log_vkey)
    found = report.step("checkpoint").found
    by = f"branchline verify {result.name}"
    if not report.verified:
        return Check(held.name, by, False, report.failed[0].reason)
    entities = ", ".join(found["cosigned_by"])
    return Check(
        held.name,
        by,
        True,
        f"{len(report.steps)} steps hold, at {found['size']} entries cosigned by {entities}",
    )


def _hospital(home: StationHome, journey: str) -> Check:
    audit = StationAudit(home, SystemClock())
    found = list(audit.contradictions())
    own = of_station(home, SystemClock())
    count = sum(1 for _ in own.located(lambda known: _own(own, known.act, journey)))
    return Check(
        own.name,
        f"branchline ledger audit --home {home.folder.name}",
        not found,
        found[0] if found else f"its {count} acts stand among the {audit.entries} it mirrors",
    )


def _own(held: Holdings, act: acts.Act | None, journey: str) -> bool:
    return isinstance(act, acts.StopAct) and (act.station, act.journey) == (held.name, journey)


def _complete(home: StationHome, journey: str) -> Check:
    check = _hospital(home, journey)
    held = of_station(home, SystemClock())
    topic = held.topic(f"dataset/{DATASET}")
    report = held.prove(topic)
    by = f"branchline ledger prove --dataset {DATASET} --home {home.folder.name}"
    if not check.holds or not report.complete:
        says = report.incidents[0].says if report.incidents else check.says
        return Check(check.party, by, False, says)
    says = (
        f"{check.says}; {len(report.entries)} entries are all there ever were upon its data, "
        f"among the first {report.covered}"
    )
    return Check(check.party, by, True, says)


async def _auditor(held: Holdings, journey: str, package: Path) -> Check:
    """Pack what the requester may show, and check it with Python and the package alone."""
    (study,) = held.studies
    make_folder(package.parent)
    await asyncio.to_thread(
        pack_case, package, held, AUDITOR, study, SystemClock(), journey=journey, hide={"by"}
    )
    by = f"python3 -I -S {package.name}"
    digest = policy_of(study).digest
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(package), "--policy", digest, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={},
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return Check(AUDITOR, by, False, printed.decode("utf-8", "replace")[-300:])
    return Check(
        AUDITOR, by, True, f"the package holds, by Python alone, under the policy {digest[7:19]}…"
    )


def tamper(central: Path, copy: Path) -> Tampering:
    """Change an act on a copy of central's disk, wherever it stands in the database; audit it."""
    make_folder(copy)
    for name in ("keys", "ledger", "blobs"):
        shutil.copytree(central / name, copy / name)
    shutil.copy(central / "origin", copy / "origin")
    with sqlite3.connect(central / "central.sqlite") as source:
        with sqlite3.connect(copy / "central.sqlite") as target:
            source.backup(target)
            done = _drop_a_start(target)
        target.close()
    source.close()
    return Tampering(done, tuple(_named(lambda: CentralAudit(copy))))


def _drop_a_start(database: sqlite3.Connection) -> str:
    """Make it look as if a train had never started at a hospital: drop the act and its entry."""
    query = "SELECT position, party FROM acts WHERE kind = 'stop.started' ORDER BY position LIMIT 1"
    position, party = database.execute(query).fetchone()
    for table in ("acts", "ledger_entries", "ledger_tags"):
        database.execute(f"DELETE FROM {table} WHERE position = ?", (position,))
    return f"the start of a train at {party}, entry {position}, is taken out of the database"


def _named(make: Callable[[], CentralAudit]) -> list[str]:
    try:
        return list(make().contradictions())
    except BranchlineError as error:
        return [error.refused]
