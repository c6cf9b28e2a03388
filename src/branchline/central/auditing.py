"""Whether everything that central keeps follows from the ledger: replay it all, list what does not.

The ledger's files are recomputed from its entries; the rows are compared with them; and every table
with what the acts say. A contradiction is a sentence: what stands where, and what it should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from branchline.central import tables
from branchline.central.course import Course
from branchline.central.founding import origin_of
from branchline.central.rights import CENTRAL
from branchline.central.store import Store, StoredAct
from branchline.foundation.database import reading
from branchline.foundation.digest import Digest, digest_of, is_named, is_named_file
from branchline.foundation.encoding import from_base64url
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound
from branchline.foundation.jws import read_kid
from branchline.foundation.keys import Identity
from branchline.journey import acts, machine
from branchline.journey.parcels import needed, parcels_of
from branchline.ledger.audit import audit
from branchline.ledger.beside import Beside
from branchline.ledger.entry import leaf_tags, read_leaf
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.note import key_of
from branchline.ledger.rows import ledger_entries, ledger_tags
from branchline.ledger.statements import check_statement, stated_in
from branchline.ledger.tagtree import TagTree

T = TypeVar("T", bound=acts.Act)


class CentralAudit:
    """One look at a central service's folder; best taken while it does not run.

    Args:
        folder: Central's folder.
        database: SQLAlchemy URL of a server; None for SQLite in the folder.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self._files = FolderFiles(folder / "ledger")
        self._store = Store(folder, database)
        identity = Identity.load_or_create(folder / "keys")
        self._key = key_of(origin_of(folder), identity.public)
        self._keys = {each.name: each.keys for each in self._store.parties()}
        self._keys[CENTRAL] = identity.public
        self._leaves: dict[int, tuple[Digest, str]] = {}
        self._tags: dict[str, int] = {}
        self._statements: dict[int, tuple[int, bytes]] = {}
        self._acts: list[tuple[StoredAct, acts.Act]] = []
        self.entries = 0

    def contradictions(self) -> Iterator[str]:
        """Yield every contradiction; none for a service that is what it says."""
        yield from self._ledger()
        yield from self._history()
        yield from self._tables()
        yield from self._journeys()

    # The ledger against itself, and the rows against it

    def _ledger(self) -> Iterator[str]:
        found: list[str] = []

        def seen(first: int, leaves: list[bytes]) -> None:
            rows = self._rows(first, len(leaves))
            for at, leaf in enumerate(leaves, first):
                who = self._signer(leaf)
                if at not in rows:
                    found.append(f"Entry {at} of the ledger, signed by {who}, has no row")
                elif rows[at] != leaf:
                    found.append(f"Row {at} is not what stands in the ledger, signed by {who}")
                self._leaves[at] = (digest_of(leaf), who)
                self._tags |= dict.fromkeys(leaf_tags(leaf), at)
                covered = stated_in(leaf, at, self._key) if who == CENTRAL else None
                if covered is not None:
                    self._statements[at] = (covered, leaf)

        try:
            self.entries = audit(
                self._files.read, self._files.paths(), self._key, seen
            ).checkpoint.size
        except Corrupt as error:
            found.append(error.refused)
        yield from found
        with reading(self._store.engine) as connection:
            held = {row.tag: row.position for row in connection.execute(select(ledger_tags))}
        within = {tag: at for tag, at in held.items() if at < self.entries}
        for tag in sorted(within.keys() ^ self._tags.keys()):
            yield f"The tag {tag} stands in the ledger or in the database, not in both"
        yield from self._stated()

    def _stated(self) -> Iterator[str]:
        """Make the newest tag tree anew that is stated; each was by mirrors before they cosigned."""
        for position in sorted(self._statements)[-1:]:
            covered, leaf = self._statements[position]
            within = ((tag, at) for tag, at in self._tags.items() if at < covered)
            records = b"".join(from_base64url(tag) + at.to_bytes(8) for tag, at in within)
            try:
                check_statement(leaf, position, TagTree(records, covered).head, self._key)
            except Corrupt:
                yield (
                    f"Entry {position} states another tag tree than that of the {covered} entries "
                    "it covers"
                )

    def _rows(self, first: int, count: int) -> dict[int, bytes]:
        column = ledger_entries.c.position
        query = select(ledger_entries).where(column >= first, column < first + count)
        with reading(self._store.engine) as connection:
            return {row.position: bytes(row.leaf) for row in connection.execute(query)}

    def _signer(self, leaf: bytes) -> str:
        try:
            kid = read_leaf(leaf).kid
        except Corrupt:
            return "nobody"
        return next((n for n, keys in self._keys.items() if keys.id == kid), f"key {kid[:12]}")

    # The acts against the ledger

    def _history(self) -> Iterator[str]:
        stored = {each.position: each for each in self._store.acts()}
        for position in sorted(self._leaves.keys() - stored.keys() - self._statements.keys()):
            who = self._leaves[position][1]
            yield f"Entry {position} of the ledger, signed by {who}, is no act that is kept"
        for position, each in stored.items():
            there = self._leaves.get(position)
            if position < self.entries and (there is None or each.entry.id != there[0]):
                yield f"The act kept for entry {position} is not what stands in the ledger"
            keys = self._keys.get(each.party)
            if keys is None:
                yield f"The act at {position} is by {each.party!r}, who is not enrolled"
                continue
            try:
                self._acts.append((each, acts.read_act(each.entry, keys)))
            except BranchlineError as error:
                yield f"The act at {position} cannot be read: {error.refused}"
        yield from self._columns()

    def _columns(self) -> Iterator[str]:
        """Compare the columns by which acts are found with the acts themselves."""
        with reading(self._store.engine) as connection:
            rows = {row.position: row for row in connection.execute(select(tables.acts))}
        for stored, act in self._acts:
            row = rows[stored.position]
            said = (act.id, acts.kind_of(act), _of(act, "journey"), _of(act, "study"))
            if (row.id, row.kind, row.journey, row.study) != said:
                yield f"The act at {stored.position} is filed under something else than it says"
        yield from self._erasures()

    def _erasures(self) -> Iterator[str]:
        """Compare what was erased with the words of it, and with what is still kept."""
        words = {a.entry for a in self._of_kind(acts.EntryErased)}
        gone = self._store.erased()
        for entry in sorted(words ^ gone):
            yield f"That fields of {entry} were erased stands in the ledger or is noted, not both"
        besides = self._store.beside(sorted(words))
        for stored, act in self._acts:
            entry, erased = stored.entry.id, stored.entry.id in words
            whole = acts.is_whole(stored.entry, act)
            if erased and (whole or not _is_erased(besides.get(entry))):
                yield f"Fields of the act at {stored.position} were erased, but are still kept"
            if not erased and not whole:
                yield f"Fields of the act at {stored.position} are missing; nobody erased them"

    # The tables against the acts

    def _tables(self) -> Iterator[str]:
        yield from self._parties()
        yield from self._studies()
        yield from self._trains()

    def _parties(self) -> Iterator[str]:
        enrolled = {a.name: a for a in self._of_kind(acts.PartyEnrolled)}
        known = {caller.name: caller for caller in self._store.parties()}
        for name in sorted(enrolled.keys() ^ known.keys()):
            yield f"The party {name!r} stands in the ledger or in the registry, not in both"
        witnesses = {each.party: each for each in self._store.witnesses()}
        for name in sorted(enrolled.keys() & known.keys()):
            act, caller, witness = enrolled[name], known[name], witnesses.get(name)
            if (act.kind, act.keys) != (caller.kind, caller.keys):
                yield f"The party {name!r} has another kind or other keys than it enrolled with"
            found = ("", None) if witness is None else (witness.vkey, witness.entity)
            if (act.witness, act.entity) != found:
                yield f"The party {name!r} has another witness key than it enrolled with"
        yield from self._invitations({caller.keys.id: name for name, caller in known.items()})

    def _invitations(self, names: Mapping[str, str]) -> Iterator[str]:
        with reading(self._store.engine) as connection:
            rows = connection.execute(select(tables.invitations)).all()
        used = {row.used_by: row.name for row in rows if row.used_by is not None}
        for key in sorted(names.keys() - used.keys()):
            yield f"The party {names[key]!r} is enrolled, but used no invitation"
        for key, name in sorted(used.items()):
            if names.get(key) != name:
                yield f"The invitation for {name!r} was used by a key that is not enrolled as that"

    def _studies(self) -> Iterator[str]:
        proposed = {a.study_digest: a for a in self._of_kind(acts.StudyProposed)}
        with reading(self._store.engine) as connection:
            rows = connection.execute(select(tables.studies)).all()
        for row in rows:
            act = proposed.pop(row.digest, None)
            if digest_of(bytes(row.document)) != row.digest:
                yield f"The document of the study {row.name!r} is not {row.digest}"
            if act is None or act.study != row.name:
                yield f"The study {row.name!r} ({row.digest}) was never put forward"
        for act in proposed.values():
            yield f"The study {act.study!r} ({act.study_digest}) was put forward, but is not kept"

    def _trains(self) -> Iterator[str]:
        packed = {a.train for a in self._of_kind(acts.TrainPacked)}
        with reading(self._store.engine) as connection:
            rows = connection.execute(select(tables.trains)).all()
        kept = {row.digest for row in rows}
        for digest in sorted(packed ^ kept):
            yield f"The train {digest} stands in the ledger or in the registry, not in both"
        for digest in sorted(packed & kept):
            yield from self._blob(digest, f"The train {digest}")

    def _blob(self, digest: Digest, what: str) -> Iterator[str]:
        path = self._store.blobs.path(digest)
        if not path.exists():
            yield f"{what} is not kept"
        elif not is_named_file(path, digest):
            yield f"{what} has other bytes"

    # The journeys

    def _journeys(self) -> Iterator[str]:
        with reading(self._store.engine) as connection:
            rows = {row.id: row for row in connection.execute(select(tables.journeys))}
        asked = {a.journey for a in self._of_kind(acts.JourneyRequested)}
        for journey in sorted(rows.keys() ^ asked):
            yield f"The journey {journey} stands in the ledger or in the database, not in both"
        courses: dict[str, Course] = {}
        for stored, act in self._acts:
            if isinstance(act, acts.JourneyAct):
                yield from self._step(courses, stored, act)
        for journey, course in courses.items():
            row = rows.get(journey)
            if row is None:
                continue
            if row.requester != course.journey.requester:
                yield f"The journey {journey} is filed under another requester"
            if bool(row.finished) != course.finished:
                yield f"The journey {journey} is {course.journey.phase}, but not filed so"
        yield from self._parcels({d for course in courses.values() for d in needed(course.journey)})

    def _parcels(self, needed: Set[Digest]) -> Iterator[str]:
        """Look for the parcels; a large one that nobody has to fetch any more may be gone."""
        for stored, act in self._acts:
            if not isinstance(act, acts.JourneyAct):
                continue
            for digest in parcels_of(act):
                what = f"The parcel {digest}, which the act at {stored.position} speaks of,"
                try:
                    small = self._store.small_parcel(digest)
                except NotFound:
                    yield f"{what} is not kept"
                    continue
                if small is None:
                    if digest in needed or self._store.blobs.has(digest):
                        yield from self._blob(digest, what)
                elif not is_named(small, digest):
                    yield f"{what} has other bytes"

    def _step(
        self, courses: dict[str, Course], stored: StoredAct, act: acts.JourneyAct
    ) -> Iterator[str]:
        if isinstance(act, acts.JourneyRequested):
            begun = machine.begin(act, read_kid(stored.entry.jws))
            courses[act.journey] = Course(begun, stored.entry, stored.position)
            return
        course = courses.get(act.journey)
        if course is None:
            yield f"The act at {stored.position} is about a journey that nobody asked for"
            return
        try:
            course.apply(act, stored.entry)
        except BranchlineError as error:
            yield f"The act at {stored.position} is out of place: {error.refused}"

    def _of_kind(self, kind: type[T]) -> list[T]:
        return [act for _, act in self._acts if isinstance(act, kind)]


def _is_erased(beside: Beside | None) -> bool:
    return beside is None or beside.classes[acts.PEOPLE].erased


def _of(act: acts.Act, name: str) -> str | None:
    value: str | None = getattr(act, name, None)
    return value
