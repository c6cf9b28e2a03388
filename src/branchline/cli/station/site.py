"""What a site decides about a study: look at it, approve it for datasets, withdraw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from branchline.datasets.store import DatasetStore
from branchline.foundation.clock import Clock, rfc3339
from branchline.foundation.database import open_database
from branchline.foundation.digest import Digest
from branchline.foundation.errors import (
    Corrupt,
    NotAllowed,
    NotFound,
    Unavailable,
)
from branchline.foundation.http.client import ApiClient
from branchline.foundation.ids import new_id
from branchline.journey import acts, messages
from branchline.journey.enrolment import witness_vkey
from branchline.journey.permit import decision_of, standing
from branchline.ledger.classes import Sealed
from branchline.ledger.entry import Entry
from branchline.station.saying import say
from branchline.station.store import Approval, StationStore
from branchline.station.topics import dataset_topic
from branchline.study.document import StudyDocument, StudyStation, parse_study
from branchline.study.duo import Purpose, Verdict, match, parse_term
from branchline.study.lifecycle import Standing, decide

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from branchline.station.settings import StationHome


@dataclass(frozen=True)
class SeenStudy:
    """A study as this station checked it.

    Args:
        document: The study; it pins this station's own keys and its central service.
        data: The document's exact bytes.
        digest: Its digest.
        entries: The signed decisions about it.
        standing: Where they leave it.
        asked: What it asks of this station.
    """

    document: StudyDocument
    data: bytes
    digest: Digest
    entries: tuple[Entry, ...]
    standing: Standing
    asked: StudyStation


class Site:
    """One station's word about studies.

    Args:
        home: The station's folder.
        clock: The time.
    """

    def __init__(self, home: StationHome, clock: Clock) -> None:
        self._settings, self._identity, self._clock = home.settings(), home.identity, clock
        self._witness, self._epochs = home.witness, home.epochs
        engine = open_database(home.database)
        self._store, self._datasets = StationStore(engine, clock), DatasetStore(engine)

    async def look(self, name: str) -> SeenStudy:
        """Fetch a study and check it: whose it is, who decided, and that it means this station.

        Raises:
            Corrupt: A signature does not hold, or the study pins other keys than the true ones.
            NotAllowed: It is not about this station, or somebody decided who may not.
        """
        async with self._central() as client:
            view = await client.call("GET", f"/v1/studies/{name}", answer=messages.StudyView)
        document = parse_study(view.document)
        pinned, central = document.central, self._settings.central
        if document.id != name or (pinned.keys, pinned.log_vkey) != (
            central.keys,
            central.log_vkey,
        ):
            raise Corrupt(f"The study that came is not {name!r} of this station's central service")
        asked = document.station(self._settings.name)
        if asked is None:
            raise NotAllowed(
                f"The study {name!r} does not name the station {self._settings.name!r}"
            )
        if asked.keys != self._identity.public:
            raise Corrupt(
                f"The study {name!r} pins keys for {asked.name!r} that are not this station's",
                advice="Do not approve it; tell the proposer",
            )
        if asked.witness != witness_vkey(central.origin, asked.name, self._witness):
            raise Corrupt(
                f"The study {name!r} pins a witness key for {asked.name!r} that is not this "
                "station's",
                advice="Do not approve it; tell the proposer",
            )
        stands = standing(document, view.entries)
        return SeenStudy(document, view.document, document.digest, view.entries, stands, asked)

    def terms(self, seen: SeenStudy, chosen: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
        """Return the use terms of the datasets to approve the study for: all it asks for, or some.

        Raises:
            NotAllowed: The study does not ask for a dataset named.
            NotFound: A dataset was not added here.
        """
        names = chosen or seen.asked.datasets
        for name in names:
            if name not in seen.asked.datasets:
                raise NotAllowed(
                    f"The study {seen.document.id!r} does not ask for the dataset {name!r}",
                    advice=f"It asks for {', '.join(seen.asked.datasets)}",
                )
        return {name: self._datasets.get(name).use_terms for name in names}

    def fits(self, seen: SeenStudy, terms: Mapping[str, tuple[str, ...]]) -> dict[str, Verdict]:
        """Tell for each dataset whether its use terms allow the study's purpose."""
        vote = seen.document.ethics_vote
        stated = tuple(t for t in map(parse_term, seen.document.duo) if t is not None)
        purpose = Purpose(stated, vote.valid_until if vote else None)
        now = self._clock.now()
        return {name: match(codes, purpose, now) for name, codes in terms.items()}

    async def approve(
        self, seen: SeenStudy, terms: Mapping[str, tuple[str, ...]], by: str
    ) -> Approval:
        """Sign this site's approval, have it recorded, and keep the study with all decisions.

        Raises:
            Conflict: The study is not one that can be approved now.
        """
        act = acts.SiteApproved(
            id=new_id("act"),
            at=rfc3339(self._clock.now()),
            study=seen.document.id,
            study_digest=seen.digest,
            station=self._settings.name,
            datasets=dict(terms),
            by=by,
        )
        entry = await self._record(seen, act, sorted(terms))
        # Only now: what is not in the ledger must not open this station.
        approval = self._approval(seen, (*seen.entries, entry), tuple(terms), withdrawn=False)
        self._store.approve(approval)
        return approval

    async def withdraw(self, name: str, by: str, reason: str) -> Approval:
        """Take this site's approval back: here at once, then on record.

        Raises:
            NotFound: The study was never approved here.
            Unavailable: It is withdrawn here, but central could not be told yet.
        """
        old = self._store.approval(name)
        if old is None:
            raise NotFound(f"The study {name!r} was never approved here")
        closed = Approval(old.study, old.digest, old.document, old.entries, old.datasets, True)
        self._store.approve(closed)
        try:
            seen = await self.look(name)
            act = acts.SiteWithdrawn(
                id=new_id("act"),
                at=rfc3339(self._clock.now()),
                study=name,
                study_digest=seen.digest,
                station=self._settings.name,
                by=by,
                reason=reason,
            )
            entry = await self._record(seen, act, old.datasets)
        except Unavailable as error:
            raise Unavailable(
                f"The station is closed for {name!r}, but central was not told: {error.refused}",
                advice="Say it again when central can be reached",
            ) from error
        approval = self._approval(seen, (*seen.entries, entry), old.datasets, withdrawn=True)
        self._store.approve(approval)
        return approval

    def _approval(
        self,
        seen: SeenStudy,
        entries: tuple[Entry, ...],
        datasets: tuple[str, ...],
        *,
        withdrawn: bool,
    ) -> Approval:
        return Approval(seen.document.id, seen.digest, seen.data, entries, datasets, withdrawn)

    async def _record(self, seen: SeenStudy, act: acts.StudyAct, datasets: Iterable[str]) -> Entry:
        """Have a decision recorded, as an act upon each dataset it is about."""
        # The rules are asked here first, so that central hears of nothing it would refuse.
        tried = decision_of(seen.document, acts.sign_act(act, self._identity))
        decide(seen.standing, seen.document, tried, digest=seen.digest)
        async with self._central() as client:
            about = [dataset_topic(name) for name in datasets]
            return await say(self._store, client, self._sign, act, about)

    def _sign(self, act: acts.Act, tags: Sequence[str]) -> Sealed:
        return acts.seal_act(act, self._identity, self._epochs.current(), tags)

    @asynccontextmanager
    async def _central(self) -> AsyncIterator[ApiClient]:
        central = self._settings.central
        client = ApiClient(
            central.url, self._identity, ca_file=central.ca_file, clock=self._clock, retry_seconds=5
        )
        try:
            yield client
        finally:
            await client.close()
