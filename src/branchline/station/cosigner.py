"""The station's witness: mirrors the ledger, and vouches for its growth.

Central asks on the station's own line; the answer is posted back. The mirror comes first: what the
station cosigns it holds, durably, computed by itself. Where the ledger convicts itself of two
histories, the evidence is kept, and the station binds no data until its administrator has looked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import Column, Engine, MetaData, String, Table, insert, select
from sqlalchemy.exc import SQLAlchemyError

from branchline.foundation.clock import Clock
from branchline.foundation.database import reading, writing
from branchline.foundation.digest import digest_of
from branchline.foundation.durable import make_folder, write_once
from branchline.foundation.errors import BranchlineError, Corrupt, NotFound, Refused
from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import Identity
from branchline.foundation.tasks import in_thread, leave_off
from branchline.journey.enrolment import witness_vkey
from branchline.journey.messages import SeenCheckpoint, WitnessAnswer, WitnessCall
from branchline.ledger.entry import leaf_tags
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.evidence import Evidence, parse_evidence
from branchline.ledger.proof.note import parse_key, parse_note
from branchline.ledger.tiles import TILE_WIDTH, bundle_name, decode_bundle
from branchline.ledger.witness.decision import Accepted
from branchline.ledger.witness.mirror import Mirror
from branchline.ledger.witness.statements import Statements
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.wire import Answer, parse_request
from branchline.ledger.witness.witness import Witness

log = logging.getLogger("branchline.station")

_ALARM = "Central's ledger contradicts itself; no data are bound until somebody has looked"


metadata = MetaData()
_seen = Table("seen_evidence", metadata, Column("digest", String, primary_key=True))


class SeenEvidence:
    """Which evidence a person at this station has looked at.

    Args:
        engine: The station's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        metadata.create_all(engine)

    def has(self, evidence: Evidence) -> bool:
        """Tell whether somebody has looked at it."""
        query = select(_seen).where(_seen.c.digest == digest_of(evidence.text.encode()))
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def note(self, evidence: Evidence) -> None:
        """Note that somebody has looked at it."""
        if not self.has(evidence):
            with writing(self._engine) as connection:
                connection.execute(insert(_seen).values(digest=digest_of(evidence.text.encode())))


class Cosigner:
    """Mirror and witness of the ledger that this station's central keeps.

    Args:
        folder: The station's folder: ``ledger`` holds the mirror, ``evidence`` what it found.
        name: The station's name.
        witness: Its keys for cosigning.
        log_vkey: The ledger's key, known since enrolment.
        engine: The station's database.
        client: Central's API.
        clock: The time.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        witness: Identity,
        log_vkey: str,
        engine: Engine,
        client: ApiClient,
        clock: Clock,
    ) -> None:
        key = parse_key(log_vkey)
        self._origin, self._client = key.name, client
        self._store, self._seen = WitnessStore(engine), SeenEvidence(engine)
        self._evidence = folder / "evidence"
        self._files = FolderFiles(folder / "ledger")
        self.mirror = Mirror(self._files, key)
        self._statements = Statements(self._files.read, key)
        self.witness = Witness(
            self._store,
            witness_vkey(key.name, name, witness).partition("+")[0],
            witness,
            clock,
            logs={key.name: [key]},
            mirrors={key.name: self.mirror},
        )
        self._call: WitnessCall | None = None
        self._called = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.alarm = ""
        self.look()

    def start(self) -> None:
        """Begin to answer calls, in the background."""
        self._task = asyncio.create_task(self._answer_calls(), name="cosigner")

    async def stop(self) -> None:
        """Leave off; what was cosigned is durable."""
        if self._task is not None:
            await leave_off([self._task])

    def look(self) -> None:
        """Find out whether there is evidence that nobody has looked at."""
        found = [each for each in self.witness.evidence() if not self._seen.has(each)]
        for each in found:
            keep_evidence(self._evidence, each)
        if found and not self.alarm:
            log.critical("%s: see 'branchline ledger evidence'", _ALARM)
        self.alarm = _ALARM if found else ""

    def stands(self, tag: str, position: int) -> bool:
        """Tell whether the mirror has an entry with a tag at a position."""
        size = self.mirror.checkpoint.size
        if not 0 <= position < size:
            return False
        name = bundle_name(position // TILE_WIDTH, size)
        leaves, _ = decode_bundle(self._files.read(name.path))
        return tag in leaf_tags(leaves[position % TILE_WIDTH])

    async def announce(self) -> None:
        """Show central what this station cosigned last.

        Raises:
            Conflict: Central's ledger is behind that, or another one.
            Unavailable: Central cannot be reached.
        """
        try:
            note = self.witness.latest(self._origin).decode()
        except NotFound:
            note = ""
        await self._client.call("POST", "/v1/ledger/seen", body=SeenCheckpoint(checkpoint=note))

    def told(self, call: WitnessCall) -> None:
        """Take a call; of several that wait the last one counts."""
        self._call = call
        self._called.set()

    async def _answer_calls(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            call, self._call = self._call, None
            if call is None:
                continue
            try:
                await self.answer(call)
            except (BranchlineError, OSError, SQLAlchemyError) as error:
                # Central asks again in the next round.
                log.warning("the ledger was not cosigned now: %s", error)
            except Exception:
                log.exception("the ledger was not cosigned")

    async def answer(self, call: WitnessCall) -> None:
        """Mirror, decide, cosign or not, and post the answer."""
        decision = await asyncio.to_thread(self.witness.consider, call.request)
        answer: Answer | None = None
        if isinstance(decision, Accepted):
            await self._mirror(call, decision)
            answer = await self._judge_statements()
        if answer is None:
            answer = await in_thread(partial(self.witness.add_checkpoint, call.request))
        if answer.status not in (200, 409):
            log.error("a checkpoint was not cosigned (%s): %s", answer.status, answer.body.strip())
        if answer.status != 200:
            self.look()
        size = _size_in(call.request)
        body = WitnessAnswer(size=size, status=answer.status, body=answer.body)
        await self._client.call("POST", "/v1/ledger/cosignatures", body=body)

    async def _judge_statements(self) -> Answer | None:
        """Make stated tag trees anew, from what came since the last cosignature; refuse a wrong one."""
        first, size = self.witness.size_of(self._origin), self.mirror.checkpoint.size
        try:
            await in_thread(partial(self._statements.check, first, size))
        except Corrupt as error:
            return Answer(422, f"{error.refused}\n")
        return None

    async def _mirror(self, call: WitnessCall, accepted: Accepted) -> None:
        """Hold the data of a checkpoint, durably, before it is vouched for."""
        note, size = accepted.note.full_text.encode(), accepted.checkpoint.size
        given = call.entries
        while piece := self.mirror.lacks(size):
            at = piece.start - call.first
            leaves: Sequence[bytes] = given[at : at + len(piece)] if 0 <= at < len(given) else ()
            if not leaves:
                leaves = await self._fetch(piece, size)
            await in_thread(partial(self.mirror.add, piece.start, leaves))
        try:
            await in_thread(partial(self.mirror.settle, note))
        except Corrupt as error:
            if text := error.detail.get("evidence"):
                self._store.keep(parse_evidence(str(text).encode()))
                self.look()
            raise

    async def _fetch(self, piece: range, size: int) -> Sequence[bytes]:
        """Fetch entries from central's bundles."""
        index = piece.start // TILE_WIDTH
        name = bundle_name(index, size)
        try:
            data = await self._client.get_bytes(f"/ledger/{name.path}")
        except NotFound:
            # It is full by now, and the partial one was dropped.
            data = await self._client.get_bytes(f"/ledger/{bundle_name(index, 1 << 62).path}")
        leaves, _ = decode_bundle(bytes(data))
        skipped = piece.start % TILE_WIDTH
        found = leaves[skipped : skipped + len(piece)]
        if not found:
            raise Corrupt(f"Central's ledger gave no entries from {piece.start} on")
        return found[: size - piece.start]


def keep_evidence(folder: Path, evidence: Evidence) -> Path:
    """Write evidence to a file that anybody can check; once."""
    data = evidence.text.encode()
    file = make_folder(folder) / f"{digest_of(data).removeprefix('sha256:')}.txt"
    write_once(file, data)
    return file


def _size_in(request: bytes) -> int:
    """Return the size of the checkpoint in a request that was decided on."""
    try:
        note = parse_request(request).note
        return parse_checkpoint(parse_note(note).text).size
    except (Corrupt, Refused):
        return 0
