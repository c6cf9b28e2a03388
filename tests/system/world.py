"""A small world over real HTTP: central, stations with data, people, and an approved study.

Programs run inside the test's own loop (``Here``: fast) or as processes (``There``: can be killed).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from tests.ports import free_port
from tests.system.trains import Train

from branchline.central import founding, service
from branchline.central.store import Store
from branchline.datasets.infer import infer_schema
from branchline.datasets.store import DatasetStore
from branchline.disclosure.rules import Thresholds
from branchline.foundation.canonical import canonical_json
from branchline.foundation.clock import Clock, SystemClock, rfc3339
from branchline.foundation.database import open_database
from branchline.foundation.errors import BranchlineError, NotFound, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import unseal
from branchline.journey import acts, messages
from branchline.journey.enrolment import join, witness_vkey
from branchline.journey.invitation import Invitation, parse_invitation
from branchline.journey.machine import ENDED, Phase
from branchline.journey.request import JourneyRequest, Route
from branchline.ledger.beside import Beside
from branchline.ledger.classes import ActorSecret
from branchline.ledger.epochs import Epochs
from branchline.sandbox.inside.values import decode_payload
from branchline.station import agent, enrol
from branchline.station.control import poke
from branchline.station.outbox import RECORDED
from branchline.station.settings import StationHome, StationSettings
from branchline.station.store import Approval, StationStore
from branchline.station.topics import dataset_topic
from branchline.study.document import CentralPin, Person, StudyDocument, StudyStation, check_study
from branchline.train.archive import File
from branchline.train.bundle import pack_files, sign_bundle

T = TypeVar("T")

STUDY = "trial-1"
ORIGIN = "127.0.0.1/test"
PATIENCE = 90.0
"""Seconds after which a journey that has not come where it should fails the test."""


LENIENT = {
    "thresholds": Thresholds(
        dof=0, parameters_per_row=1e9, values_per_row=1e9, journey_values_per_row=1e9
    )
}
"""Settings of a station that lets large arrays out, for tests of large parcels."""


class Program(Protocol):
    """One of the three programs, however it is run."""

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        ...

    async def stop(self) -> None:
        """End it as a person would; harmless when it does not run."""
        ...


class Here:
    """A program inside the test's own loop."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._make = make
        self._context: AbstractAsyncContextManager[Any] | None = None
        self.value: Any = None

    async def start(self) -> None:
        """Enter its context."""
        self._context = self._make()
        self.value = await self._context.__aenter__()

    async def stop(self) -> None:
        """Leave its context."""
        context, self._context = self._context, None
        if context is not None:
            await context.__aexit__(None, None, None)


class There:
    """A program as a process of its own.

    Args:
        arguments: What follows ``python -m branchline``.
        log: Where its standard error goes, appended.
        environment: What is added to the environment.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments, self.log = list(arguments), log
        self.environment = dict(environment or {})
        self.process: asyncio.subprocess.Process | None = None
        self.printed = b""

    async def start(self) -> None:
        """Start it and read the line that says that it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "branchline",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=os.environ | self.environment,
            )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        self.printed += line
        assert b"listening" in line, f"not ready: {self.log.read_text()[-2000:]}"

    async def kill(self) -> None:
        """End it with SIGKILL: it gets no chance to tidy up."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it with SIGTERM."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            rest, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        except TimeoutError:
            process.kill()
            rest, _ = await asyncio.wait_for(process.communicate(), 10)
        self.printed += rest


@dataclass
class Member:
    """A party with its keys and its line to central."""

    name: str
    identity: Identity
    client: ApiClient
    secret: ActorSecret
    clock: Clock = field(default_factory=SystemClock)

    def at(self) -> str:
        """Return the time as acts carry it."""
        return rfc3339(self.clock.now())

    async def act(
        self, act: acts.Act, *, parcels: dict[Any, bytes] | None = None, key: str | None = None
    ) -> messages.Recorded:
        """Sign an act and send it."""
        entry, beside = acts.seal_act(act, self.identity, self.secret)
        return await self.send(entry, key or act.id, parcels, beside)

    async def send(
        self,
        entry: Any,
        key: str,
        parcels: dict[Any, bytes] | None = None,
        beside: Beside | None = None,
    ) -> messages.Recorded:
        """Send an act that is signed already."""
        message = messages.ActMessage(entry=entry, parcels=parcels or {}, beside=beside)
        return await self.client.call(
            "POST", "/v1/acts", body=message, answer=messages.Recorded, key=key
        )


@dataclass
class World:
    """Everything, in one folder."""

    folder: Path
    port: int
    central: Program
    make_station: Callable[[StationHome], Program]
    clock: Clock = field(default_factory=SystemClock)
    homes: dict[str, StationHome] = field(default_factory=dict)
    stations: dict[str, Program] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    study: StudyDocument | None = None
    hello: messages.Hello | None = None

    @property
    def url(self) -> str:
        """Where central is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """Central's folder."""
        return self.folder / "central"

    @property
    def pi(self) -> Member:
        """The principal investigator."""
        return self.members["alice"]

    @property
    def ethics(self) -> Member:
        """The ethics officer."""
        return self.members["ella"]

    # Making it

    def invite(self, name: str, kind: Any, valid: timedelta = timedelta(days=1)) -> Invitation:
        """Invite a party, as central's operator does."""
        made = founding.invite(self.home, name, kind, self.url, valid, self.clock)
        return parse_invitation(made.text)

    async def enrol_person(self, name: str) -> Member:
        """Enrol a person with new keys."""
        # Kept in a folder, as a person's own program does.
        identity = Identity.load_or_create(self.folder / name)
        epochs = Epochs(self.folder / name)
        invitation = self.invite(name, "person")
        self.hello = await join(identity, invitation, self.clock, secret=epochs.current())
        return self.member(name, identity)

    def member(self, name: str, identity: Identity) -> Member:
        """Give a party a line to central, closed with the world."""
        keys = self.homes[name].folder / "keys" if name in self.homes else self.folder / name
        secret = Epochs(keys).current()
        member = Member(name, identity, ApiClient(self.url, identity), secret)
        self.members[name] = member
        return member

    async def add_station(self, name: str, rows: str) -> StationHome:
        """Enrol a station and give it a dataset from the text of a CSV file."""
        home = StationHome(self.folder / name)
        await enrol.enrol(home, self.invite(name, "station"), self.clock)
        source = home.folder / "patients.csv"
        source.write_text(rows)
        schema = infer_schema({"patients": source})
        database = open_database(home.database)
        DatasetStore(database).add("trial", {"patients": source}, schema, ["GRU"], "confidential")
        database.dispose()
        self.homes[name] = home
        self.member(name, home.identity)
        self.stations[name] = self.make_station(home)
        return home

    def settle(self, station: str, **changes: Any) -> None:
        """Change a station's settings."""
        home = self.homes[station]
        changed: StationSettings = msgspec.structs.replace(home.settings(), **changes)
        home.write_settings(changed)

    def document(self, name: str = STUDY, **changes: Any) -> StudyDocument:
        """Write a study over all people and stations."""
        assert self.hello is not None
        now = self.clock.now()
        plain: dict[str, Any] = {
            "id": name,
            "title": "A trial",
            "purpose": "To know",
            "protocol": "As written",
            "duo": ("GRU",),
            "people": (
                Person("alice", "principal-investigator", self.pi.identity.public),
                Person("ella", "ethics-officer", self.ethics.identity.public),
            ),
            "stations": tuple(self.pinned(station) for station in self.homes),
            "central": CentralPin(ORIGIN, self.hello.keys, self.hello.log_vkey),
            "proposer": "alice",
            "approver": "ella",
            "valid_from": now - timedelta(days=1),
            "valid_until": now + timedelta(days=30),
        }
        return StudyDocument(**(plain | changes))

    def pinned(self, station: str) -> StudyStation:
        """Return a station as a study pins it."""
        home = self.homes[station]
        witness = witness_vkey(ORIGIN, station, home.witness)
        return StudyStation(station, home.identity.public, ("trial",), witness)

    async def propose(self, document: StudyDocument) -> None:
        """Put a study forward as its proposer."""
        data = canonical_json(document)
        act = acts.StudyProposed(
            id=new_id("act"), at=self.pi.at(), study=document.id, study_digest=document.digest
        )
        message = messages.StudyMessage(entry=acts.sign_act(act, self.pi.identity), document=data)
        await self.pi.client.call("POST", "/v1/studies", body=message, answer=messages.Recorded)

    async def decide(
        self,
        kind: type[acts.StudyAct],
        member: Member,
        document: StudyDocument | None = None,
        **more: Any,
    ) -> messages.Recorded:
        """Decide about a study."""
        study = document or self.approved
        about: dict[str, Any] = {"study": study.id, "study_digest": study.digest}
        return await member.act(kind(id=new_id("act"), at=member.at(), **about, **more))

    async def approve_at(self, station: str, document: StudyDocument | None = None) -> None:
        """Let a station allow a study, as its administrator does."""
        study = document or self.approved
        member, home = self.members[station], self.homes[station]
        act = acts.SiteApproved(
            id=new_id("act"),
            at=member.at(),
            study=study.id,
            study_digest=study.digest,
            station=station,
            datasets={"trial": ("GRU",)},
            by="steward",
        )
        store = self.station_store(station)
        about = [dataset_topic("trial")]
        queued = store.queue(
            "",
            0,
            [],
            act,
            lambda a, tags: acts.seal_act(a, home.identity, home.epochs.current(), tags),
            about,
        )
        recorded = await member.send(queued.entry, act.id, beside=queued.beside)
        store.settle(queued.row, RECORDED, recorded.position)
        store.write_settled()
        store.engine.dispose()
        view = await member.client.call("GET", f"/v1/studies/{study.id}", answer=messages.StudyView)
        database = open_database(home.database)
        StationStore(database, self.clock).approve(
            Approval(study.id, study.digest, view.document, view.entries, ("trial",), False)
        )
        database.dispose()

    @property
    def approved(self) -> StudyDocument:
        """The study that everybody approved."""
        assert self.study is not None
        return self.study

    async def approve_everywhere(self, document: StudyDocument) -> None:
        """Propose and approve a study, by the officer and by every station."""
        check_study(document)
        await self.propose(document)
        await self.decide(acts.StudyApproved, self.ethics, document)
        for station in self.homes:
            await self.approve_at(station, document)

    # Journeys

    async def send_train(self, train: Train) -> tuple[str, str]:
        """Bring a train; returns its digest and its author's signature."""
        bundle = pack_files(
            {
                "train.toml": File(train.manifest.encode(), False),
                "analysis.py": File(train.code.encode(), False),
                **{name: File(data) for name, data in train.files.items()},
            }
        )
        author = sign_bundle(bundle, self.pi.identity)
        act = acts.TrainPacked(
            id=new_id("act"), at=self.pi.at(), train=bundle.digest, name=train.name, version="0.1.0"
        )
        message = messages.TrainMessage(
            entry=acts.sign_act(act, self.pi.identity), author=author, bundle=bundle.data
        )
        await self.pi.client.call("POST", "/v1/trains", body=message, answer=messages.Recorded)
        return bundle.digest, author

    async def request(self, train: Train, **changes: Any) -> JourneyRequest:
        """Bring a train and write a request for a journey over all stations."""
        digest, author = await self.send_train(train)
        route: dict[str, Any] = {
            "kind": train.route,
            "stations": tuple(self.homes),
            "rounds": train.rounds,
            "quorum": len(self.homes),
            "deadline_seconds": 60,
        }
        parameters = {"rounds": 2, "seconds": 0} | changes.pop("parameters", {})
        wanted = {k: changes.pop(k) for k in list(changes) if k in Route.__struct_fields__}
        request = JourneyRequest(
            journey=new_id("journey"),
            study=self.approved.id,
            study_digest=self.approved.digest,
            train=digest,  # type: ignore[arg-type]  # as the bundle names itself
            author=author,
            route=Route(**(route | wanted)),
            parameters=parameters,
            datasets=dict.fromkeys(self.homes, "trial"),
        )
        return msgspec.structs.replace(request, **changes)

    async def depart(self, train: Train, **changes: Any) -> str:
        """Let a train depart; returns the journey."""
        request = await self.request(train, **changes)
        await self.ask(request)
        return request.journey

    async def ask(self, request: JourneyRequest, by: Member | None = None) -> messages.Recorded:
        """Send a request."""
        by = by or self.pi
        act = acts.JourneyRequested(
            id=new_id("act"), at=by.at(), journey=request.journey, request=request
        )
        return await by.act(act)

    async def tell(
        self, kind: type[acts.JourneyAct], journey: str, member: Member | None = None, **more: Any
    ) -> messages.Recorded:
        """Do something about a journey."""
        member = member or self.pi
        return await member.act(kind(id=new_id("act"), at=member.at(), journey=journey, **more))

    async def status(self, journey: str) -> messages.JourneyStatus:
        """Return a journey's status as the requester sees it."""
        return await self.pi.client.call(
            "GET", f"/v1/journeys/{journey}", answer=messages.JourneyStatus
        )

    async def told(self, journey: str) -> AsyncIterator[messages.JourneyStatus]:
        """Yield what the requester is told, over as many connections as it takes."""
        while True:
            try:
                async for event in self.pi.client.events(f"/v1/journeys/{journey}/events"):
                    yield msgspec.json.decode(event, type=messages.JourneyStatus)
            except Unavailable:
                await asyncio.sleep(0.05)  # central was killed by the test

    async def until(
        self, journey: str, holds: Callable[[messages.JourneyStatus], bool]
    ) -> messages.JourneyStatus:
        """Wait to be told a status of which something holds."""
        last = None
        try:
            async with asyncio.timeout(PATIENCE):
                async with contextlib.aclosing(self.told(journey)) as statuses:  # type: ignore[type-var]  # an async generator
                    async for last in statuses:
                        if holds(last):
                            return last
        except TimeoutError:
            raise AssertionError(f"it never came; last: {last}") from None
        raise AssertionError("the line ended")

    async def ended(self, journey: str) -> messages.JourneyStatus:
        """Wait for a journey's end."""
        return await self.until(journey, lambda status: status.phase in ENDED)

    async def arrived(self, journey: str) -> dict[str, Any]:
        """Wait for a journey's result and open it."""
        status = await self.ended(journey)
        assert status.phase == Phase.ARRIVED, status
        return await self.open(status)

    async def open(self, status: messages.JourneyStatus) -> dict[str, Any]:
        """Open a result as the requester."""
        sealed = await self.pi.client.get_bytes(f"/v1/parcels/{status.result}")
        data = bytes(unseal(sealed, self.pi.identity.seal_private))
        return dict(decode_payload(data, max_bytes=1 << 24))

    async def evidence(self, journey: str) -> messages.Evidence:
        """Fetch what proves a result."""
        return await self.pi.client.call(
            "GET", f"/v1/journeys/{journey}/evidence", answer=messages.Evidence
        )

    # Looking in

    def history(self, **where: Any) -> list[tuple[str, acts.Act]]:
        """Read central's history: who did what, in order, every signature checked."""
        store = Store(self.home)
        try:
            found = []
            for stored in store.acts(**where):
                keys = (
                    Identity.load_or_create(self.home / "keys").public
                    if stored.party == "central"
                    else store.party(stored.party).keys
                )
                found.append((stored.party, acts.read_act(stored.entry, keys)))
            return found
        finally:
            store.engine.dispose()

    def incidents(self) -> list[str]:
        """Return the sentences of the refused requests."""
        store = Store(self.home)
        try:
            return [incident["sentence"] for incident in store.incidents()]
        finally:
            store.engine.dispose()

    def station_store(self, station: str) -> StationStore:
        """Open a station's store beside the running agent, as its commands do."""
        return StationStore(open_database(self.homes[station].database), self.clock)

    def withdraw(self, station: str, *, withdrawn: bool = True) -> None:
        """Let a station take its approval back, or give it again, by itself."""
        store = self.station_store(station)
        approval = store.approval(STUDY)
        assert approval is not None
        store.approve(dataclasses.replace(approval, withdrawn=withdrawn))
        store.engine.dispose()

    def decide_at(self, station: str, journey: str, what: str, reason: str = "") -> None:
        """Let a person at a station decide, as its commands do: write it down, wake the agent."""
        store = self.station_store(station)
        store.decide(journey, what, "olga", reason)
        store.engine.dispose()
        poke(self.homes[station].control)

    async def restart(self, station: str) -> None:
        """End a station and start it again."""
        await self.stations[station].stop()
        await self.stations[station].start()

    async def close(self) -> None:
        """End everything."""
        for member in self.members.values():
            await member.client.close()
        for program in self.stations.values():
            await program.stop()
        await self.central.stop()


def people(station: int, rows: int = 60) -> str:
    """Write a table of made-up patients, another one for every station."""
    lines = [
        f"{20 + (7 * i + 13 * station) % 60},{'abc'[i % 3]},{_canary(station, i)},Zq{station}x{i:04d}"
        for i in range(rows)
    ]
    return "age,arm,weight,name\n" + "\n".join(lines) + "\n"


def _canary(station: int, i: int) -> str:
    return f"{40 + (i * 7919 + station * 104729) % 600000 / 9973:.6f}"


def mean_age(*stations: int, rows: int = 60) -> float:
    """Return the mean age over stations, as the pooled table has it."""
    ages = [int(line.split(",")[0]) for s in stations for line in people(s, rows).splitlines()[1:]]
    return sum(ages) / len(ages)


def sum_age(*stations: int, rows: int = 60) -> float:
    """Return the sum of ages over stations."""
    return mean_age(*stations, rows=rows) * rows * len(stations)


Maker = Callable[[StationHome], Program]


def here(folder: Path, clock: Clock | None = None, station_clock: Clock | None = None) -> World:
    """Lay out a world inside the test's own loop."""
    port = free_port()
    settings = service.CentralSettings(folder / "central", port=port)
    return World(
        folder,
        port,
        Here(lambda: service.running(settings, clock)),
        lambda home: Here(lambda: agent.running(home, station_clock)),
    )


def there(folder: Path, *options: str) -> World:
    """Lay out a world of processes."""
    port = free_port()
    central = There(
        ["central", "serve", "--listen", f"127.0.0.1:{port}", "--home", str(folder / "central"),
         *options],
        folder / "central.log",
    )  # fmt: skip
    return World(
        folder,
        port,
        central,
        lambda home: There(
            ["station", "serve", "--home", str(home.folder), *options],
            folder / f"{home.folder.name}.log",
        ),
    )


async def populate(
    world: World,
    stations: Sequence[str] = ("north", "south"),
    *,
    rows: int = 60,
    settings: Mapping[str, Any] | None = None,
    **study: Any,
) -> World:
    """Start central, enrol everybody, approve a study; the stations are not started yet."""
    founding.initialise(world.home, ORIGIN)
    await world.central.start()
    await world.enrol_person("alice")
    await world.enrol_person("ella")
    for number, station in enumerate(stations, 1):
        await world.add_station(station, people(number, rows))
        world.settle(station, **(settings or {}))
    world.study = world.document(**study)
    await world.approve_everywhere(world.study)
    return world


async def start_stations(world: World) -> None:
    """Start all stations and wait until each has its line to central."""
    for program in world.stations.values():
        await program.start()


@contextlib.asynccontextmanager
async def inhabited(world: World, *names: str, **options: Any) -> AsyncIterator[World]:
    """A world with everything running; ended when the block ends."""
    try:
        await populate(world, names or ("north", "south"), **options)
        await start_stations(world)
        yield world
    finally:
        await world.close()


async def eventually(holds: Callable[[], T]) -> T:
    """Look again and again until something holds of which nobody is told; return it."""
    async with asyncio.timeout(PATIENCE):
        while not (found := holds()):
            await asyncio.sleep(0.02)
    return found


async def settled(world: World) -> None:
    """Wait until nothing is under way, and the stations hold and vouch for all of it."""

    def quiet() -> bool:
        recorded, vouched = len(world.history()), []
        for name, home in world.homes.items():
            store = world.station_store(name)
            waiting = store.waiting()
            store.engine.dispose()
            if waiting:
                return False
            note = (home.folder / "ledger" / "checkpoint").read_text("utf-8")
            vouched.append(int(note.split("\n")[1]))
        return vouched == [recorded] * len(vouched)

    await eventually(quiet)


def copy_disk(home: Path, to: Path) -> None:
    """Copy a program's folder while it runs: what is being written comes and goes, and is left out."""
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("*.tmp", "control.sock"))


def same_answer(one: BranchlineError, other: NotFound, *journeys: str) -> bool:
    """Tell whether two errors differ in nothing but the journey they name."""
    texts = [repr((type(error), error.refused, error.advice)) for error in (one, other)]
    for journey in journeys:
        texts = [text.replace(journey, "JOURNEY") for text in texts]
    return texts[0] == texts[1]
