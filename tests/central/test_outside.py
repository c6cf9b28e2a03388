"""Central asks witnesses that are no stations, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.ledger.histories import History
from tests.ledger.vectors import entries

from branchline.central.founding import initialise as found
from branchline.central.founding import invite
from branchline.central.outside import parse_outside
from branchline.central.service import CentralSettings, running
from branchline.central.store import Store
from branchline.cli.root import root
from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import Refused, Unavailable
from branchline.foundation.keys import Identity
from branchline.journey.enrolment import join
from branchline.ledger.classes import ActorSecret
from branchline.ledger.proof.checkpoint import sign_checkpoint
from branchline.ledger.proof.cosignature import cosigner_key
from branchline.ledger.proof.note import VerifierKey, key_of
from branchline.ledger.proof.policy import default_policy
from branchline.ledger.witness.home import WitnessHome, initialise
from branchline.ledger.witness.service import serving
from branchline.ledger.witness.wire import Request

ORIGIN = "central.test/branchline"
CLOCK = SystemClock()


@asynccontextmanager
async def central(folder: Path, *witnesses: str) -> AsyncIterator[str]:
    """Run central with witnesses that are no stations."""
    async with running(CentralSettings(folder, port=0, witnesses=witnesses)) as url:
        yield url


async def enrol(folder: Path, name: str, url: str) -> None:
    """Let a person enrol: the ledger grows by an entry."""
    invitation = invite(folder, name, "person", url, timedelta(1), CLOCK)
    await join(Identity.create(), invitation, CLOCK, secret=ActorSecret(1, bytes(32)))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def made(tmp_path: Path) -> tuple[Path, WitnessHome, VerifierKey, VerifierKey]:
    """Make a central service, and a witness that watches its ledger."""
    folder, home = tmp_path / "central", WitnessHome(tmp_path / "witness")
    log = key_of(ORIGIN, found(folder, ORIGIN).public)
    return folder, home, log, initialise(home, "auditor.example/witness", [log.text])


async def test_what_an_outside_witness_cosigned_is_published(tmp_path: Path) -> None:
    """Its own policy accepts central's ledger; it may be away and come back; central is in order."""
    folder, home, log, key = made(tmp_path)
    cosigned = folder / "ledger" / "cosigned"
    policy = default_policy(log, {"auditor": [key]})

    def covered() -> int:
        return policy.open(cosigned.read_bytes()).checkpoint.size if cosigned.exists() else -1

    async with serving(home, "127.0.0.1", 0) as address:
        port = int(address.rpartition(":")[2])
        async with central(folder, f"{key.text}@{address}") as url:
            await enrol(folder, "alice", url)
            await eventually(lambda: covered() == 1)
    async with central(folder, f"{key.text}@http://127.0.0.1:{port}") as url:
        await enrol(folder, "bob", url)
        assert covered() == 1
        async with serving(home, "127.0.0.1", port):
            await eventually(lambda: covered() == 2)
    done = CliRunner().invoke(root, ["ledger", "audit", "--home", str(folder), "--json"])
    assert json.loads(done.stdout)["contradictions"] == []


async def test_an_outside_witness_that_has_seen_more_stops_central(tmp_path: Path) -> None:
    """What it cosigned last is held against the ledger before anything is asked."""
    folder, home, _, key = made(tmp_path)
    own = Identity.load_or_create(folder / "keys")
    lost = sign_checkpoint(History(entries(9), origin=ORIGIN).checkpoint(9), own)
    request = Request(0, (), lost.full_text.encode())
    assert home.witness(CLOCK).add_checkpoint(request.body).status == 200
    async with serving(home, "127.0.0.1", 0) as address:
        running_at = central(folder, f"{key.text}@{address}")
        async with running_at as url, asyncio.timeout(20):
            with pytest.raises(Unavailable, match="signed 9 entries before, and now has fewer"):
                for number in range(1000):
                    await enrol(folder, f"alice-{number}", url)
    assert len(list(Store(folder).parties())) < 9


@pytest.mark.parametrize(
    "text", ["", "nonsense", "VKEY@ftp://x", "VKEY@http://example.org", "VKEY"]
)
def test_a_witness_is_a_key_and_a_safe_address(text: str) -> None:
    """Neither without TLS across a network, nor without a key."""
    key = cosigner_key("w", Identity.create().public).text
    with pytest.raises(Refused):
        parse_outside(text.replace("VKEY", key))
    assert parse_outside(f"{key}@https://w.example/x/").url == "https://w.example/x"
