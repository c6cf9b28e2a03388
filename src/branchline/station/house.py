"""What a station has at hand for every visit: keys, data, sandbox, and the line to central."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import msgspec

from branchline.datasets.extract import extract
from branchline.datasets.store import Dataset, DatasetStore
from branchline.disclosure.rules import Thresholds
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.decoding import convert, decode_json
from branchline.foundation.digest import Digest
from branchline.foundation.durable import make_folder
from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import Corrupt, NotFound
from branchline.foundation.http.client import ApiClient
from branchline.journey import acts
from branchline.journey.environments import Ready
from branchline.journey.execution import House, TrainRun
from branchline.journey.messages import Notice, StudyView
from branchline.ledger.classes import Sealed
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.station.cosigner import Cosigner
from branchline.station.environments import environments_of
from branchline.station.gates import Admitted, admit
from branchline.station.outbox import Outbox
from branchline.station.settings import StationHome, StationSettings
from branchline.station.store import Approval, StationStore

log = logging.getLogger("branchline.station")


class StationHouse:
    """Everything a visit needs.

    Args:
        home: The station's folder.
        settings: Its settings.
        store: Its database.
        client: Central's API.
        clock: The time.
    """

    def __init__(
        self,
        home: StationHome,
        settings: StationSettings,
        store: StationStore,
        client: ApiClient,
        clock: Clock,
    ) -> None:
        self.home, self.settings, self.store, self.client = home, settings, store, client
        self.clock = clock
        self.identity = home.identity
        self.cosigner = Cosigner(
            home.folder,
            settings.name,
            home.witness,
            settings.central.log_vkey,
            store.engine,
            client,
            clock,
        )
        self.epochs = home.epochs
        self.outbox = Outbox(
            client, store, self.epochs, home.folder / "outbox", self.cosigner.stands
        )
        self.datasets = DatasetStore(store.engine)
        self.engine = Bubblewrap(accept_weaker=frozenset(settings.accept_weaker))
        self.environments = environments_of(home, settings, client)
        self._runs = make_folder(home.folder / "runs")

    @cached_property
    def enforced(self) -> Digest:
        """Digest of what the engine enforces on this machine."""
        capabilities = self.engine.capabilities()
        return digest_of_json({"engine": self.engine.name, "enforced": dict(capabilities.enforced)})

    def now(self) -> str:
        """Return the time as acts carry it."""
        return rfc3339(self.clock.now())

    def approval_for(self, notice: Notice) -> Approval | None:
        """Return this station's approval of the study a notice is about.

        The request is not believed yet: it only tells which approval to look up.
        """
        if notice.request is None:
            return None
        study = peek_study(notice)
        return None if study is None else self.store.approval(study)

    async def admit(self, notice: Notice, bundle: bytes) -> Admitted:
        """Check a train that has come; see ``gates.admit``."""
        approval = self.approval_for(notice)
        study = peek_study(notice) or ""
        view = await self.client.call("GET", f"/v1/studies/{study}", answer=StudyView)
        dataset = self._dataset(notice, approval)
        return await asyncio.to_thread(
            admit,
            notice,
            bundle,
            approval,
            view,
            dataset,
            self.settings,
            self.clock,
            self.store.retries_before(notice),
        )

    async def ready(self, admitted: Admitted) -> Ready:
        """Make the environment ready that a train names; see ``Environments.ready``."""
        said = partial(log.info, "%s: %s", admitted.request.journey)
        return await self.environments.ready(admitted.opened.environment, said)

    def sign(self, act: acts.Act, tags: Sequence[str]) -> Sealed:
        """Make an act of this station's its ledger entry, and what lies beside it."""
        return acts.seal_act(act, self.identity, self.epochs.current(), tags)

    def dataset_asked(self, notice: Notice) -> str | None:
        """Return the dataset that a notice asks for, if there is one of that name here."""
        wanted = peek_dataset(notice, self.settings.name)
        if wanted is None:
            return None
        try:
            return self.datasets.get(wanted).name
        except NotFound:
            return None

    def _dataset(self, notice: Notice, approval: Approval | None) -> Dataset | None:
        wanted = peek_dataset(notice, self.settings.name)
        if approval is None or wanted is None:
            return None
        try:
            return self.datasets.get(wanted)
        except NotFound:
            return None

    async def bind(self, admitted: Admitted, ready: Ready, name: str) -> TrainRun:
        """Extract exactly the data the contract names, and start the sandbox over them."""
        folder = self._runs / name
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        try:
            return await self._start_run(admitted, ready, folder)
        except BaseException:
            # Ended halfway: what was extracted must not outlive it.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def _start_run(self, admitted: Admitted, ready: Ready, folder: Path) -> TrainRun:
        needs = admitted.opened.manifest.needs
        extracting = asyncio.ensure_future(
            asyncio.to_thread(extract, admitted.dataset, needs, folder / "data")
        )
        try:
            extraction = await asyncio.shield(extracting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: it is waited for, so that nothing is written later.
            await asyncio.wait({extracting})
            raise
        house = House(
            engine=self.engine,
            mount=ready.mount,
            limits=self.settings.limits,
            thresholds=self._thresholds(admitted),
            policy=self.settings.release,
        )
        run = TrainRun(
            house,
            admitted.opened,
            admitted.parameters,
            extraction.tables,
            extraction.units,
            folder,
        )
        await run.start()
        return run

    def _thresholds(self, admitted: Admitted) -> Thresholds:
        return self.settings.thresholds.demanding(admitted.study.minimum_group)

    def folder_for(self, name: str) -> Path:
        """Return the path of one run's own folder."""
        return self._runs / name

    def sweep(self) -> None:
        """Remove what runs of an earlier process left behind."""
        for folder in self._runs.iterdir():
            shutil.rmtree(folder, ignore_errors=True)


def peek_request(notice: Notice) -> acts.JourneyRequested | None:
    """Read a notice's request without believing it."""
    if notice.request is None:
        return None
    fields = {}
    try:
        for text in notice.request.disclosures:
            _, name, value = decode_json(from_base64url(text), tuple[str, str, object])
            fields[name] = value
        return convert(fields, acts.JourneyRequested)
    except (Corrupt, msgspec.DecodeError):
        return None


def peek_study(notice: Notice) -> str | None:
    """Return the name of the study a notice claims to be about."""
    act = peek_request(notice)
    return None if act is None else act.request.study


def peek_dataset(notice: Notice, station: str) -> str | None:
    """Return the dataset a notice asks of a station."""
    act = peek_request(notice)
    return None if act is None else act.request.datasets.get(station)
