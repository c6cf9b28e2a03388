"""Whether what a station keeps and what the ledger holds are the same story, as far as it knows it.

The mirror is recomputed from its entries; what the station signed is looked for in it, and what is
in it under the station's key is looked for here; its topics must be complete; its visits must have
led to the acts that they lead to. A contradiction is a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from sqlalchemy import select

from branchline.foundation.clock import Clock
from branchline.foundation.database import open_database, reading
from branchline.foundation.decoding import decode_json
from branchline.foundation.digest import Digest, digest_of
from branchline.foundation.errors import BranchlineError, Corrupt
from branchline.journey import acts
from branchline.journey.holdings import OwnTopic
from branchline.journey.stop import Event
from branchline.ledger.audit import audit
from branchline.ledger.entry import Entry, read_leaf
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import parse_key
from branchline.ledger.witness.store import WitnessStore
from branchline.station import topics
from branchline.station.holdings import holdings
from branchline.station.outbox import RECORDED
from branchline.station.settings import StationHome
from branchline.station.store import StationStore, outbox

_LEADS_TO: Mapping[Event, type[acts.Act]] = {
    Event.ACCEPTED: acts.StopAccepted,
    Event.DECLINED: acts.StopDeclined,
    Event.DEPARTED: acts.StopReleased,
    Event.WITHHELD: acts.StopWithheld,
    Event.FAILED: acts.StopFailed,
}
"""The act with which each event is stored, in one transaction."""


class StationAudit:
    """One look at a station's folder; best taken while it does not run.

    Args:
        home: The station's folder.
        clock: The time.
    """

    def __init__(self, home: StationHome, clock: Clock) -> None:
        self._home, self._holdings = home, holdings(home, clock)
        self._store = StationStore(open_database(home.database), clock)
        self._own: dict[Digest, int] = {}
        self._made: list[tuple[acts.Act, Entry, str | None]] = []
        self.entries = 0

    def contradictions(self) -> Iterator[str]:
        """Yield every contradiction."""
        found = list(self._mirror())
        yield from found
        yield from self._acts()
        if not found:  # what the mirror does not hold cannot be found in it
            yield from self._topics()
        yield from self._visits()
        yield from self._witness()

    def _mirror(self) -> Iterator[str]:
        files = FolderFiles(self._home.folder / "ledger")
        own = self._home.identity.id

        def seen(first: int, leaves: list[bytes]) -> None:
            for at, leaf in enumerate(leaves, first):
                try:
                    mine = read_leaf(leaf).kid == own
                except Corrupt:
                    continue
                if mine:
                    self._own[digest_of(leaf)] = at

        key = parse_key(self._holdings.log_vkey)
        try:
            self.entries = audit(files.read, files.paths(), key, seen).checkpoint.size
        except BranchlineError as error:
            yield error.refused

    def _acts(self) -> Iterator[str]:
        with reading(self._store.engine) as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.id)).all()
        for row in rows:
            entry = decode_json(row.entry, Entry)
            try:
                act = acts.read_act(entry, self._home.identity.public)
            except BranchlineError as error:
                yield f"The act {row.act} cannot be read: {error.refused}"
                continue
            self._made.append((act, entry, row.outcome))
            there = self._own.pop(entry.id, None)
            what = f"{acts.kind_of(act)} {act.id}"
            if row.outcome == RECORDED and row.position < self.entries and there != row.position:
                yield f"Central acknowledged {what} as entry {row.position}; it is not there"
            if row.outcome not in (None, RECORDED) and there is not None:
                yield f"Central refused {what}, but it stands in the ledger at {there}"
        for entry in self._home.enrolment():
            self._own.pop(entry.id, None)
        for at in sorted(self._own.values()):
            yield f"Entry {at} of the ledger bears this station's signature, but was not made here"

    def _topics(self) -> Iterator[str]:
        made = {entry.id for _, entry, _ in self._made}
        for topic in self._holdings.topics():
            report = self._holdings.prove(topic)
            for incident in report.incidents:
                yield f"Topic {topic.name}: {incident.says}"
            for each in report.entries:
                if digest_of(each.leaf) not in made:
                    yield f"Topic {topic.name}: entry {each.position} was not made here"
            yield from self._counter(topic)

    def _counter(self, topic: OwnTopic) -> Iterator[str]:
        taken = topics.acts_of(self._store.engine, topic.name)
        counted = topics.one_topic(self._store.engine, topic.name).next
        if len(taken) != counted:
            yield f"Topic {topic.name}: {counted} numbers are counted, but {len(taken)} are taken"

    def _visits(self) -> Iterator[str]:
        made: Counter[tuple[str, type[acts.Act]]] = Counter(
            (act.journey, type(act)) for act, _, _ in self._made if isinstance(act, acts.StopAct)
        )
        happened: Counter[tuple[str, type[acts.Act]]] = Counter()
        for notice, _ in self._store.visits():
            for event in self._store.events(notice.journey, notice.attempt):
                if event.event in _LEADS_TO:
                    happened[notice.journey, _LEADS_TO[event.event]] += 1
        for journey, kind in sorted(happened.keys() | made.keys(), key=str):
            if kind not in _LEADS_TO.values():
                continue
            acted, told = made[journey, kind], happened[journey, kind]
            if acted != told:
                word = str(kind.__struct_config__.tag)
                yield f"{journey}: {told} times it came to {word}, but {acted} times it was said"

    def _witness(self) -> Iterator[str]:
        origin = parse_key(self._holdings.log_vkey).name
        known = WitnessStore(self._store.engine).latest(origin)
        if known is not None and known.checkpoint.size > self.entries:
            yield (
                f"The witness vouched for {known.checkpoint.size} entries; "
                f"the mirror holds {self.entries}"
            )
        for each in WitnessStore(self._store.engine).evidence():
            name = digest_of(each.text.encode())
            yield f"There is evidence that central's ledger contradicts itself: {name}"
