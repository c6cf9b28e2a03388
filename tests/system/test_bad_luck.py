"""Full disks, a central that is away, clocks that are wrong, messages twice and out of order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from tests.ports import free_port
from tests.system import world as w
from tests.system.trains import MEAN
from yarl import URL

from branchline.aggregation.aggregator import Aggregator
from branchline.central.service import CentralSettings, running
from branchline.foundation.clock import SystemClock
from branchline.foundation.errors import Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.journey import acts
from branchline.journey.machine import Phase, StopPhase
from branchline.journey.messages import Notice
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.engine import JobSpec, Session
from branchline.station.hosting import Hosting
from branchline.station.store import Queued
from branchline.station.visit import Visit

pytestmark = pytest.mark.slow


# Full disks


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "24m") -> Iterator[Path]:
    """A disk of its own that can be filled."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def free(disk: Path) -> None:
    """Make room again."""
    (disk / "filler").unlink()


async def test_central_with_a_full_disk_takes_nothing_in_and_loses_nothing(tmp_path: Path) -> None:
    """It answers that it cannot write; with room again the same act is taken in, once."""
    with small_disk(tmp_path / "central"):
        async with w.inhabited(w.here(tmp_path)) as world:
            brief = world.member("brief", world.pi.identity)
            await brief.client.close()
            brief.client = ApiClient(world.url, brief.identity, retry_seconds=0.2)
            request = await world.request(MEAN)
            act = acts.JourneyRequested(
                id=new_id("act"), at=world.pi.at(), journey=request.journey, request=request
            )
            entry = acts.sign_act(act, world.pi.identity)
            fill(world.home)
            with pytest.raises(Unavailable):
                await brief.send(entry, act.id)
            free(world.home)
            recorded = await brief.send(entry, act.id)
            assert world.history()[recorded.position][1].id == act.id
            assert (await world.arrived(request.journey))["rounds"] == 2


async def test_central_whose_disk_fills_during_a_journey_goes_on_with_room(tmp_path: Path) -> None:
    """Acts of the stations and of its own wait; the journey ends well without a restart."""
    with small_disk(tmp_path / "central"):
        async with w.inhabited(w.here(tmp_path)) as world:
            journey = await world.depart(MEAN, parameters={"rounds": 3, "seconds": 0.3})
            await world.until(journey, lambda s: s.round == 2)
            fill(world.home)
            await asyncio.sleep(1.5)  # long enough for updates, or their sum, to find no room
            free(world.home)
            assert (await world.arrived(journey))["rounds"] == 3
            once(world, journey)


async def test_a_station_whose_disk_fills_during_a_journey_goes_on_with_room(
    tmp_path: Path,
) -> None:
    """Nothing is sent that is not durable first; with room again the round is finished."""
    with small_disk(tmp_path / "north"):
        async with w.inhabited(w.here(tmp_path)) as world:
            journey = await world.depart(MEAN, parameters={"rounds": 3, "seconds": 0.3})
            await world.until(journey, lambda s: s.round == 2)
            fill(tmp_path / "north")
            await asyncio.sleep(1.5)
            free(tmp_path / "north")
            assert (await world.arrived(journey))["rounds"] == 3
            once(world, journey)


@pytest.mark.parametrize("host", ["central", "south"])
async def test_an_aggregator_that_finds_no_room_at_first_keeps_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """However often it is started, stations seal to the one key that was announced."""
    start, failures = Aggregator._start, iter([errno.ENOSPC, errno.ENOENT])

    async def starting(self: Aggregator) -> Session:
        number = next(failures, None)
        if number is not None:
            raise OSError(number, os.strerror(number))
        return await start(self)

    monkeypatch.setattr(Aggregator, "_start", starting)
    async with w.inhabited(w.here(tmp_path), aggregator=host) as world:
        journey = await world.depart(MEAN)
        assert (await world.arrived(journey))["rounds"] == 2
        assert next(failures, None) is None
        history = [act for _, act in world.history(journey=journey)]
        assert sum(isinstance(act, acts.JourneyPrepared) for act in history) == 1


async def test_a_start_that_cannot_be_put_on_record_at_first_needs_no_second_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox that runs already is kept until there is room to say so; none is left behind."""
    queue, start = Visit._queue, Bubblewrap.start
    full, started = {"north", "south"}, []

    def queueing(self: Visit, act: acts.StopAct, *others: Any) -> Queued:
        if isinstance(act, acts.StopStarted) and act.station in full:
            full.remove(act.station)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return queue(self, act, *others)

    async def starting(self: Bubblewrap, spec: JobSpec) -> Session:
        started.append(spec.purpose)
        return await start(self, spec)

    monkeypatch.setattr(Visit, "_queue", queueing)
    monkeypatch.setattr(Bubblewrap, "start", starting)
    async with w.inhabited(w.here(tmp_path)) as world:
        journey = await world.depart(MEAN)
        assert (await world.arrived(journey))["rounds"] == 2
    assert full == set()
    assert sorted(started) == ["aggregator", "station", "station"]


async def test_a_host_that_prepared_twice_goes_by_the_key_that_was_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station started anew before central had its first act makes a second key, which is void."""
    prepare = Hosting._prepare

    async def twice(self: Hosting, notice: Notice) -> None:
        await prepare(self, notice)
        await prepare(self, notice)

    monkeypatch.setattr(Hosting, "_prepare", twice)
    async with w.inhabited(w.here(tmp_path), aggregator="south") as world:
        journey = await world.depart(MEAN)
        assert (await world.arrived(journey))["rounds"] == 2


async def test_a_station_with_a_full_disk_is_told_again(tmp_path: Path) -> None:
    """A train that comes when there is no room is taken in as soon as there is.

    A station without room mirrors nothing and so cosigns nothing: the study lets one entity of
    the two do.
    """
    with small_disk(tmp_path / "north"):
        async with w.inhabited(w.here(tmp_path), witness_quorum=1) as world:
            fill(tmp_path / "north")
            journey = await world.depart(MEAN)
            await world.until(journey, lambda s: released(s) == {"south"})
            free(tmp_path / "north")
            assert (await world.arrived(journey))["rounds"] == 2
            once(world, journey)


def released(status: object) -> set[str]:
    """Return the stations that have released in the round under way."""
    stops = getattr(status, "stops", ())
    return {stop.station for stop in stops if stop.phase == StopPhase.RELEASED}


def once(world: w.World, journey: str) -> None:
    """Assert that every round was released once by each station and combined once."""
    done = [
        (type(act).__name__, party, act.round)
        for party, act in world.history(journey=journey)
        if isinstance(act, acts.StopReleased | acts.JourneyCombined)
    ]
    assert len(done) == len(set(done))


# Central away


async def test_stations_wait_for_a_central_that_is_away(tmp_path: Path) -> None:
    """They finish what they do, keep it, and send it when central is back; the key comes back."""
    async with w.inhabited(w.here(tmp_path)) as world:
        journey = await world.depart(MEAN, parameters={"rounds": 2, "seconds": 1.0})
        await w.eventually(
            lambda: len([a for _, a in world.history(journey=journey) if _begun(a)]) == 2
        )
        await world.central.stop()
        store = world.station_store("north")
        await w.eventually(lambda: "departed" in [e.event for e in store.events(journey, 1)])
        assert store.waiting()
        await world.central.start()
        assert (await world.arrived(journey))["rounds"] == 2
        await w.eventually(lambda: not store.waiting())
        store.engine.dispose()
        once(world, journey)


def _begun(act: acts.Act) -> bool:
    return isinstance(act, acts.StopStarted)


# Clocks


class WrongClock(SystemClock):
    """The machine's clock, and so much beside it."""

    def __init__(self, **beside: float) -> None:
        self._beside = timedelta(**beside)

    def now(self) -> datetime:
        """Return a wrong time."""
        return super().now() + self._beside


@pytest.mark.parametrize("minutes", [2.0, -2.0, 60.0])
async def test_signatures_follow_the_servers_time(tmp_path: Path, minutes: float) -> None:
    """A station whose clock is wrong signs again by central's, and takes part."""
    world = w.here(tmp_path, station_clock=WrongClock(minutes=minutes))
    async with w.inhabited(world, "north") as world:
        assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2


@pytest.mark.parametrize(
    ("beside", "why"), [({"days": 31}, "ended"), ({"hours": -1}, "not"), ({"days": -2}, "not")]
)
async def test_a_stations_own_clock_decides_whether_a_study_permits(
    tmp_path: Path, beside: dict[str, float], why: str
) -> None:
    """By its own clock the study is over, not begun, or decided in the future: declined."""
    world = w.here(tmp_path, station_clock=WrongClock(**beside))
    async with w.inhabited(world, "north") as world:
        status = await world.ended(await world.depart(MEAN))
        (stop,) = status.stops
        assert stop.phase == StopPhase.DECLINED, status
        assert why in stop.reason, stop.reason


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
async def test_whole_programs_with_wrong_clocks(tmp_path: Path) -> None:
    """Two stations as processes, one two minutes ahead, one two minutes behind."""
    world = w.there(tmp_path)
    try:
        await w.populate(world)
        for name, beside in (("north", "+2m"), ("south", "-2m")):
            program = world.stations[name]
            assert isinstance(program, w.There)
            program.environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME": beside,
                "FAKETIME_DISABLE_SHM": "1",
            }
        await w.start_stations(world)
        assert (await world.arrived(await world.depart(MEAN)))["rounds"] == 2
    finally:
        await world.close()


# Messages twice, late, or never answered


_LINE_LOG = logging.getLogger("tests.line")


class BadLine:
    """A proxy that delivers late, twice, or loses the answer; told its luck by a seed."""

    def __init__(self, to: str, seed: int) -> None:
        self._to, self._luck = to, random.Random(seed)
        self.twice = self.lost = 0
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the address."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass)
        # It breaks lines on purpose: what it meets by that is no error of any server of ours.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, logger=_LINE_LOG)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        body = await request.read()
        # Host stays as the client wrote it: the signature covers it.
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in _HOP]
        url = URL(self._to + request.raw_path, encoded=True)
        await asyncio.sleep(self._luck.uniform(0, 0.08))
        if request.path.endswith(("/inbox", "/events")):
            return await self._stream(request, url, headers)
        async with self._session.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            data, status, kind = await answer.read(), answer.status, answer.content_type
            date = answer.headers.get("Date", "")
        if request.method == "POST" and self._luck.random() < 0.5:
            # The very same bytes again.
            async with self._session.post(url, data=body, headers=headers) as again:
                assert again.status == 401, await again.text()
                self.twice += 1
        if self._luck.random() < 0.2:
            self.lost += 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=data, status=status, content_type=kind, headers={"Date": date})

    async def _stream(
        self, request: web.Request, url: object, headers: list[tuple[str, str]]
    ) -> web.StreamResponse:
        assert self._session is not None
        limits = aiohttp.ClientTimeout(total=None)
        async with self._session.get(str(url), headers=headers, timeout=limits) as answer:
            response = web.StreamResponse(
                status=answer.status, headers={"Content-Type": "text/event-stream"}
            )
            await response.prepare(request)
            older = b""
            with contextlib.suppress(ConnectionResetError, aiohttp.ClientError):
                async for piece in answer.content.iter_any():
                    # Each notice twice, and between them one that is out of date.
                    for told in (piece, older, piece):
                        await response.write(told)
                    older = piece
            return response


_HOP = {"connection", "transfer-encoding", "accept-encoding", "content-length"}


async def test_messages_twice_late_and_unanswered_change_nothing(tmp_path: Path) -> None:
    """The same bytes again are refused and recorded; the same act again has the same answer."""
    world = w.here(tmp_path)
    try:
        await w.populate(world)
        line = BadLine(world.url, seed=7)
        async with line.running() as address:
            for name, home in world.homes.items():
                behind = msgspec.structs.replace(home.settings().central, url=address)
                world.settle(name, central=behind)
            await w.start_stations(world)
            journey = await world.depart(MEAN, parameters={"rounds": 4})
            assert await world.arrived(journey) == {
                "mean": pytest.approx(w.mean_age(1, 2)),
                "rounds": 4,
            }
            for program in world.stations.values():
                await program.stop()
        assert line.twice
        assert line.lost
        # aiohttp itself repeats a request whose connection broke: these come on top.
        replays = world.incidents().count("This signed request was already received")
        assert replays >= line.twice
        once(world, journey)
        assert (await world.status(journey)).phase == Phase.ARRIVED
    finally:
        await world.close()


async def test_a_service_restarted_on_another_clock_still_takes_acts(tmp_path: Path) -> None:
    """Central set back by a minute: its clients follow its time."""
    async with w.inhabited(w.here(tmp_path), "north") as world:
        journey = await world.depart(MEAN, parameters={"rounds": 2, "seconds": 0.5})
        await world.until(journey, lambda s: s.stops[0].phase == StopPhase.RUNNING)
        await world.central.stop()
        settings = CentralSettings(world.home, port=world.port)
        world.central = w.Here(lambda: running(settings, WrongClock(minutes=-3)))
        await world.central.start()
        assert (await world.arrived(journey))["rounds"] == 2
