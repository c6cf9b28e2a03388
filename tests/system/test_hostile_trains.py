"""Hostile trains through whole journeys: the requester sees fixed sentences, and never a row.

Programs run with their most talkative logs; these too are searched for rows and keys.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.system import world as w
from tests.system.trains import MEAN, Train, hostile

from branchline.disclosure.findings import SafeReason
from branchline.foundation.encoding import to_base64url
from branchline.foundation.keys import Identity
from branchline.journey import acts
from branchline.journey.machine import StopPhase
from branchline.sandbox.limits import MIB, Limits
from branchline.station.visit import SAFE_FAILURES

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SMALL = Limits(
    memory_bytes=256 * MIB,
    processes=24,
    cpu_seconds=6,
    wall_seconds=8,
    output_bytes=4 * MIB,
    scratch_bytes=8 * MIB,
    open_files=128,
    log_bytes=64 << 10,
)
TRAINS: dict[str, Train] = {
    train.name: train
    for train in (
        hostile("exception-text", "    raise ValueError(name)"),
        hostile("exception-class", "    raise type(name, (Exception,), {})()"),
        hostile("exit-code", "    os._exit(age)"),
        hostile("system-exit", "    sys.exit(name)"),
        hostile("kill-itself", "    os.kill(os.getpid(), age % 30 + 1)"),
        hostile("kill-parent", "    os.kill(os.getppid(), 9)\n    os.kill(-1, 9)"),
        hostile(
            "logs", "    print(name, file=sys.stderr)\n    print(table.to_pylist())\n    1 / 0"
        ),
        hostile("undeclared", "    return good | {name: 1.0}"),
        hostile("undeclared-rows", '    return good | {"rows": table}'),
        hostile("wrong-kind", '    return {"sums": name}'),
        hostile("wrong-shape", '    return {"sums": table}'),
        hostile("names-in-columns", '    return {"sums": {name: [100], "sum": [1.0]}}'),
        hostile("not-a-payload", "    return lambda: name"),
        hostile("nothing", "    return None"),
        hostile("endless", "    while True:\n        print(name * 1000)"),
        hostile("huge-output", '    return {"sums": {"n": [60] * 10**7, "sum": [1.0] * 10**7}}'),
        hostile(
            "memory", "    hoard = []\n    while True:\n        hoard.append(bytearray(1 << 24))"
        ),
        hostile("forks", "    while True:\n        os.fork()"),
        hostile(
            "pickle",
            '    import pickle\n    return {"sums": pickle.dumps(table["name"].to_pylist())}',
        ),
    )
}
"""Each is let in, and tries something."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[w.World]:
    """One station with small limits; the programs run as processes and say all they can."""
    laid_out = w.there(tmp_path_factory.mktemp("world"), "-vv")
    async with w.inhabited(laid_out, "north", settings={"limits": SMALL}) as world:
        yield world


def rows() -> Iterator[tuple[str, bytes]]:
    """Yield what must never leave the station: names and weights of single patients."""
    for line in w.people(1).splitlines()[1:]:
        _, _, weight, name = line.split(",")
        yield name, name.encode()
        yield weight, weight.encode()


def private_keys(world: w.World) -> Iterator[tuple[str, bytes]]:
    """Yield every party's private keys in every spelling a log might use."""
    folders = [world.home / "keys", *(home.folder for home in world.homes.values())]
    identities = [Identity.load_or_create(folder) for folder in folders]
    identities += [member.identity for member in world.members.values()]
    for identity in identities:
        for key in (identity.sign_private, identity.seal_private):
            raw = key.private_bytes_raw()
            yield "raw", raw
            yield "hex", raw.hex().encode()
            yield "base64", base64.b64encode(raw).rstrip(b"=")
            yield "base64url", to_base64url(raw).encode()
            yield "repr", repr(raw).encode()


def files(*folders: Path) -> dict[Path, bytes]:
    """Read every file below some folders."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {path: path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("name", TRAINS)
async def test_a_hostile_train_tells_nothing(world: w.World, name: str) -> None:
    """The stop ends with one of the fixed sentences, in which nothing of the data has a place."""
    journey = await world.depart(TRAINS[name])
    status = await world.ended(journey)
    (stop,) = status.stops
    assert stop.phase in (StopPhase.FAILED, StopPhase.WITHHELD), status
    fixed = SAFE_FAILURES.values() if stop.phase == StopPhase.FAILED else list(SafeReason)
    assert stop.reason in fixed
    evidence = msgspec.json.encode(await world.evidence(journey))
    seen = msgspec.json.encode(status) + evidence
    for what, canary in rows():
        assert canary not in seen, what
    assert not list((world.homes["north"].folder / "runs").iterdir())


async def test_a_statistic_of_one_person_leaves_as_an_empty_cell(world: w.World) -> None:
    """What is about too few people is left out, and the act says so."""
    body = '    return {"sums": {"n": [1], "sum": [float(age)]}}'
    journey = await world.depart(hostile("one-person", body))
    assert await world.arrived(journey) == {"stations": 1}
    history = [act for _, act in world.history(journey=journey)]
    released = [act for act in history if isinstance(act, acts.StopReleased)]
    assert [act.suppressed for act in released] == [("sums",)]


async def test_the_station_serves_the_next_journey(world: w.World) -> None:
    """After all of them the station is up, in the same process."""
    assert (await world.arrived(await world.depart(MEAN)))["mean"] == pytest.approx(w.mean_age(1))


async def test_no_row_is_anywhere_but_at_the_station(world: w.World) -> None:
    """Central's folder and every log are searched; the station's own folder would be found."""
    north = world.homes["north"].folder
    logs = list(world.folder.glob("*.log"))
    outside = files(world.home, *logs)
    assert any(north.name in path.name for path in logs)
    for what, canary in rows():
        for path, data in outside.items():
            assert canary not in data, f"{what} in {path.name}"
    assert any(next(rows())[1] in data for data in files(north).values())


async def test_no_private_key_is_in_any_log_or_foreign_folder(world: w.World) -> None:
    """Not raw, not in hex, not in base64; in no log, no database, no output of a program."""
    own = {path for path in world.folder.rglob("*") if path.name == "keys"}
    searched = files(world.folder)
    key_files = {path for path in searched if path in own or path.parent in own}
    key_files |= {path for path in searched if path.stat().st_size == 64}
    printed = [world.central, *world.stations.values()]
    texts = [program.printed for program in printed if isinstance(program, w.There)]
    canaries = list(private_keys(world))
    for path, data in searched.items():
        if path in key_files:
            continue
        for spelling, canary in canaries:
            assert canary not in data, f"a private key ({spelling}) in {path.name}"
    for text in texts:
        for spelling, canary in canaries:
            assert canary not in text, spelling
    assert any(canary in path.read_bytes() for path in key_files for _, canary in canaries)


async def test_no_secret_is_logged_in_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its most talkative, also while things fail, no key and no row."""
    caplog.set_level(logging.DEBUG)
    async with w.inhabited(w.here(tmp_path), "north", settings={"limits": SMALL}) as world:
        for name in ("exception-text", "undeclared-rows"):
            await world.ended(await world.depart(TRAINS[name]))
        await world.central.stop()
        await world.central.start()
        await world.arrived(await world.depart(MEAN))
        token = world.invite("guest", "person").token
        canaries = [*rows(), *private_keys(world), ("token", token.encode())]
    logged = caplog.text.encode() + repr([record.__dict__ for record in caplog.records]).encode()
    assert logged
    for what, canary in canaries:
        assert canary not in logged, what
