"""Central's whole disk in an attacker's hands: nothing to read, nothing to change unnoticed."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.system import world as w
from tests.system.trains import CHAIN, parameters_train

from branchline.central.service import CentralSettings, running
from branchline.foundation.errors import Corrupt
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import VERSION, unseal
from branchline.journey import acts
from branchline.journey.messages import Evidence
from branchline.journey.request import JourneyRequest
from branchline.journey.verify import Report, verify_evidence

pytestmark = pytest.mark.slow

LARGE = parameters_train(20_000)


class Taken:
    """What the attacker has, and what the requester keeps."""

    def __init__(self, disk: Path, world: w.World) -> None:
        self.disk, self.world = disk, world
        self.files = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}
        self.request: JourneyRequest
        self.evidence: Evidence
        self.bundle = self.payload = b""

    def verify(self, evidence: Evidence) -> Report:
        """Verify the requester's result with some evidence."""
        return verify_evidence(evidence, self.request, self.bundle, self.payload)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taken(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Taken]:
    """Central's disk, copied while it runs and after two journeys; and the evidence of one."""
    folder = tmp_path_factory.mktemp("world")
    async with w.inhabited(w.here(folder / "world"), settings=w.LENIENT) as world:
        # Several rounds, so that states lie there too; and one journey still under way.
        request = await world.request(LARGE, parameters={"rounds": 3})
        await world.ask(request)
        status = await world.ended(request.journey)
        chain = await world.depart(CHAIN)
        await world.arrived(chain)
        under_way = await world.depart(LARGE, parameters={"rounds": 3, "seconds": 1.0})
        await world.until(under_way, lambda s: s.round == 2)
        w.copy_disk(world.home, folder / "disk")
        taken = Taken(folder / "disk", world)
        taken.request = request
        taken.evidence = await world.evidence(request.journey)
        taken.bundle = bytes(await world.pi.client.get_bytes(f"/v1/trains/{request.train}"))
        sealed = await world.pi.client.get_bytes(f"/v1/parcels/{status.result}")
        taken.payload = bytes(unseal(sealed, world.pi.identity.seal_private))
        yield taken


def canaries() -> dict[str, bytes]:
    """Return what must not be found: outputs as numbers and text, and rows."""
    found: dict[str, bytes] = {}
    for station in (1, 2):
        total = w.sum_age(station)
        for offset in (1, 2, 3, 7):
            found[f"weight {station}/{offset}"] = struct.pack("<d", total + offset)
        rows = w.people(station).splitlines()[1:]
        for row in rows:
            _, _, weight, name = row.split(",")
            found[f"name {name}"] = name.encode()
            found[f"weight {weight}"] = weight.encode()
            found[f"raw {weight}"] = struct.pack("<d", float(weight))
    both = w.sum_age(1, 2)
    found["sum"] = struct.pack("<d", both)
    found["pair"] = struct.pack("<dd", 120.0, both)
    for offset in (1, 2, 3):
        found[f"state {offset}"] = struct.pack("<d", both + 2 * offset)
    found["arrow"] = b"ARROW1"
    return found


def test_no_output_lies_there_in_clear(taken: Taken) -> None:
    """Every byte of SQLite, WAL, blobs and tiles is searched for what the stations put out."""
    names = {path.name for path in taken.files}
    assert {"central.sqlite", "checkpoint"} <= names
    for what, canary in canaries().items():
        for path, data in taken.files.items():
            assert canary not in data, f"{what} lies in {path.relative_to(taken.disk)}"


def test_the_search_would_find_them(taken: Taken) -> None:
    """The result itself, opened by the requester, holds what the search looks for."""
    assert canaries()["sum"] in taken.payload


def parcels(taken: Taken) -> list[bytes]:
    """Return every sealed parcel on the disk: in the database and beside it."""
    with sqlite3.connect(taken.disk / "central.sqlite") as database:
        rows = database.execute("SELECT data FROM parcels WHERE data IS NOT NULL").fetchall()
    database.close()
    found = [bytes(row[0]) for row in rows]
    found += [data for data in taken.files.values() if data.startswith(VERSION)]
    return found


def keys_on_disk(taken: Taken) -> list[X25519PrivateKey]:
    """Return every 32 bytes of any key file as a key; and central's own."""
    found = [Identity.load_or_create(taken.disk / "keys").seal_private]
    for path, data in taken.files.items():
        if "keys" in path.parts or len(data) < 200:
            for start in range(max(0, len(data) - 31)):
                raw = data[start : start + 32]
                found.append(X25519PrivateKey.from_private_bytes(raw))
    return found


def test_no_key_on_the_disk_opens_a_parcel(taken: Taken) -> None:
    """Neither central's keys nor anything that could be one; custody included."""
    sealed = parcels(taken)
    assert len(sealed) >= 4
    prepared = [a for _, a in taken.world.history() if isinstance(a, acts.JourneyPrepared)]
    assert prepared
    sealed += [act.custody for act in prepared]
    keys = keys_on_disk(taken)
    for parcel, key in itertools.product(sealed, keys):
        with pytest.raises(Corrupt):
            unseal(parcel, key)


def test_the_requesters_result_verifies(taken: Taken) -> None:
    """What follows is noticed because it was changed, not because nothing ever verifies."""
    taken.verify(taken.evidence).require()


def test_every_dropped_or_reordered_entry_is_noticed_by_verify(taken: Taken) -> None:
    """Evidence without one of its entries, or with two of them exchanged, does not verify."""
    items = taken.evidence.items
    for at, item in enumerate(items):
        act = item.entry
        rest = (*items[:at], *items[at + 1 :])
        report = taken.verify(msgspec.structs.replace(taken.evidence, items=rest))
        if not report.verified:
            assert report.failed[0].reason
            continue
        # What may be missing without changing the story: beginnings, clearing away, keys given back.
        said = " ".join(_names(act.disclosures))
        assert any(kind in said for kind in _DETAILS), said
    swapped = [*items]
    for at in range(len(items) - 1):
        swapped[at] = msgspec.structs.replace(items[at], entry=items[at + 1].entry)
        changed = msgspec.structs.replace(taken.evidence, items=tuple(swapped))
        assert not taken.verify(changed).verified
        swapped[at] = items[at]


_DETAILS = ('"stop.started"', '"stop.finished"', '"journey.custody-returned"')


def _names(disclosures: tuple[str, ...]) -> list[str]:
    from branchline.foundation.encoding import from_base64url

    return [from_base64url(text).decode(errors="replace") for text in disclosures]


Change = Callable[[sqlite3.Connection, Path], None]


def _alter_row(database: sqlite3.Connection, disk: Path) -> None:
    (leaf,) = database.execute("SELECT leaf FROM ledger_entries WHERE position = 5").fetchone()
    changed = bytes(leaf)[:-1] + bytes([leaf[-1] ^ 1])
    database.execute("UPDATE ledger_entries SET leaf = ? WHERE position = 5", (changed,))


def _drop_row(database: sqlite3.Connection, disk: Path) -> None:
    database.execute("DELETE FROM ledger_entries WHERE position = 5")


def _swap_rows(database: sqlite3.Connection, disk: Path) -> None:
    for old, new in ((5, -1), (6, 5), (-1, 6)):
        database.execute("UPDATE ledger_entries SET position = ? WHERE position = ?", (new, old))


def _flip_tile(database: sqlite3.Connection, disk: Path) -> None:
    tile = max((disk / "ledger").glob("tile/0/*.p/*"), key=lambda p: (p.stat().st_mtime, p.name))
    data = bytearray(tile.read_bytes())
    data[len(data) // 2] ^= 1
    tile.write_bytes(data)


def _drop_tile(database: sqlite3.Connection, disk: Path) -> None:
    for path in (disk / "ledger").rglob("*"):
        if path.is_file() and "entries" in path.parts:
            path.unlink()


def _old_checkpoint(database: sqlite3.Connection, disk: Path) -> None:
    checkpoint = disk / "ledger" / "checkpoint"
    lines = checkpoint.read_text().splitlines(keepends=True)
    lines[1] = f"{int(lines[1]) - 1}\n"
    checkpoint.write_text("".join(lines))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "change", [_alter_row, _drop_row, _swap_rows, _flip_tile, _drop_tile, _old_checkpoint]
)
async def test_a_changed_ledger_is_noticed_and_named_at_the_start(
    taken: Taken, tmp_path: Path, change: Change
) -> None:
    """In the database or in the tiles: central does not start, and says what is wrong."""
    disk = tmp_path / "disk"
    shutil.copytree(taken.disk, disk)
    database = sqlite3.connect(disk / "central.sqlite")
    with database:
        change(database, disk)
    database.close()
    with pytest.raises(Corrupt) as found:
        async with running(CentralSettings(disk, port=0)):
            pass
    assert any(character.isdigit() for character in found.value.refused), found.value


@pytest.mark.asyncio(loop_scope="module")
async def test_the_unchanged_copy_starts(taken: Taken, tmp_path: Path) -> None:
    """The control: what was copied from the running service is a whole ledger."""
    disk = tmp_path / "disk"
    shutil.copytree(taken.disk, disk)
    async with running(CentralSettings(disk, port=0)) as address:
        assert address.startswith("http://127.0.0.1:")
