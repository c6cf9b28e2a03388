"""Central keeps a large parcel for as long as somebody has to fetch it, and no longer."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.system import world as w
from tests.system.trains import parameters_train

from branchline.central.auditing import CentralAudit
from branchline.foundation.blobs import FolderBlobs
from branchline.foundation.sealing import VERSION
from branchline.journey import acts

LARGE = parameters_train(150_000)
"""Its parcels have more than 1 MiB: BLAKE3 names them."""


def kept(home: Path) -> list[Path]:
    """Return the sealed parcels among central's blobs."""
    files = [path for path in (home / "blobs").rglob("*") if path.is_file()]
    return [path for path in files if path.read_bytes().startswith(VERSION)]


def finished(home: Path) -> bool:
    """Tell whether nobody has anything left to do for any journey."""
    with closing(sqlite3.connect(f"file:{home / 'central.sqlite'}?mode=ro", uri=True)) as database:
        return not database.execute("select 1 from journeys where finished = 0").fetchall()


def contradictions(home: Path) -> list[str]:
    """Return what an audit of central's folder finds."""
    return list(CentralAudit(home).contradictions())


@pytest.mark.parametrize("host", ["central", "south"])
async def test_central_keeps_what_somebody_needs(host: str, tmp_path: Path) -> None:
    """Between rounds the present state; of a journey that is over nothing but its result."""
    async with w.inhabited(w.here(tmp_path), settings=w.LENIENT, aggregator=host) as world:
        journey = await world.depart(LARGE, parameters={"rounds": 3, "seconds": 0.5})
        await world.until(journey, lambda status: status.round == 3)
        await world.central.stop()
        done = [act for _, act in world.history(journey=journey)]
        *_, state = [act.state for act in done if isinstance(act, acts.JourneyCombined)]
        assert state is not None
        shutil.copytree(world.home, tmp_path / "disk", ignore=shutil.ignore_patterns("*.sock"))
        await world.central.start()
        await world.arrived(journey)
        await w.eventually(lambda: not kept(world.home))
        assert not list((world.home / "incoming").rglob("*.part"))
        await world.central.stop()
        assert contradictions(world.home) == []
    # A state and, if a station was quick already, what it released; no more than that.
    disk = tmp_path / "disk"
    assert 1 <= len(kept(disk)) <= 3
    assert contradictions(disk) == []
    FolderBlobs(disk / "blobs").remove(state)
    (found,) = contradictions(disk)
    assert "is not kept" in found


async def test_what_a_kill_left_behind_goes_at_the_next_start(tmp_path: Path) -> None:
    """The act is recorded, and nobody needs the parcels; their files are still there."""
    async with w.inhabited(w.here(tmp_path), settings=w.LENIENT) as world:
        journey = await world.depart(LARGE, parameters={"rounds": 3, "seconds": 0.5})
        await world.until(journey, lambda status: status.round == 2)
        left = {path: path.read_bytes() for path in kept(world.home)}
        await world.tell(acts.JourneyCancelled, journey, reason="enough")
        await w.eventually(lambda: finished(world.home))
        await world.central.stop()
        assert left
        assert kept(world.home) == []
        for path, data in left.items():
            path.write_bytes(data)
        await world.central.start()
        await w.eventually(lambda: not kept(world.home))
