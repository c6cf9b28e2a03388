"""A ledger that a test writes into at will, honestly or not, and a station's witness beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from tests.ledger.disk import SimulatedDisk

from branchline.foundation.clock import SystemClock
from branchline.foundation.database import open_database, writing
from branchline.foundation.digest import digest_of
from branchline.foundation.errors import NotFound, Unavailable
from branchline.foundation.http.client import ApiClient
from branchline.foundation.keys import Identity
from branchline.journey.messages import SeenCheckpoint, WitnessAnswer, WitnessCall
from branchline.ledger.entry import make_entry
from branchline.ledger.log import Log
from branchline.ledger.rows import read_rows
from branchline.ledger.witness.wire import Request
from branchline.station.cosigner import Cosigner

ORIGIN = "central.test/branchline"
CENTRAL = Identity.create()


def entry(word: str) -> bytes:
    """Return some entry's leaf."""
    return make_entry({"word": word}, CENTRAL).leaf


class Ledger:
    """One history of central's ledger; two of them are a split view.

    Args:
        folder: For its database.
        leaves: What it begins with.
    """

    def __init__(self, folder: Path, leaves: Sequence[bytes] = ()) -> None:
        self.engine = open_database(folder / "ledger.sqlite")
        self.files = SimulatedDisk()
        self.log = Log(self.engine, self.files, ORIGIN, CENTRAL)
        if leaves:
            self.add(*leaves)

    def add(self, *leaves: bytes) -> None:
        """Append entries and sign for them."""
        with writing(self.engine) as connection:
            self.log.append_many(connection, leaves)
        self.log.integrate()

    @property
    def size(self) -> int:
        """How many entries it has."""
        return int(self.log.checkpoint().split(b"\n")[1])

    def call(self, old: int, *, inline: bool = True, claimed: int | None = None) -> WitnessCall:
        """Ask a witness that has cosigned a size for the latest checkpoint.

        Args:
            old: From which size on the proof leads.
            inline: Whether the entries ride along.
            claimed: Which old size is named; that of the proof if none is given.
        """
        path = self.log.prove_growth(old) if old else ()
        request = Request(old if claimed is None else claimed, path, self.log.checkpoint())
        leaves = read_rows(self.engine, old, self.size - old) if inline else []
        return WitnessCall(kind="witness", request=request.body, first=old, entries=tuple(leaves))


class Line:
    """Stands where a station's line to central is: serves a ledger's files, keeps what is posted.

    Args:
        ledger: Whose files it serves.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.answers: list[WitnessAnswer] = []
        self.seen: list[str] = []
        self.away = False

    async def call(self, method: str, path: str, *, body: Any = None, **_: Any) -> None:
        """Take what is posted."""
        if self.away:
            raise Unavailable("Central is away")
        if isinstance(body, WitnessAnswer):
            self.answers.append(body)
        elif isinstance(body, SeenCheckpoint):
            self.seen.append(body.checkpoint)

    async def get_bytes(self, path: str) -> bytes:
        """Give one of the ledger's files."""
        if self.away:
            raise NotFound("Central is away")
        return self.ledger.files.read(path.removeprefix("/ledger/"))


class Station:
    """A station's witness.

    Args:
        folder: The station's folder.
        line: Its line to central.
        witness: Its keys.
    """

    def __init__(self, folder: Path, line: Line, witness: Identity) -> None:
        self.folder, self.line, self._witness = folder, line, witness
        self.start()

    def start(self) -> None:
        """Begin, or begin again after a restart."""
        self.engine = open_database(self.folder / "station.sqlite")
        self.cosigner = Cosigner(
            self.folder,
            "north",
            self._witness,
            self.line.ledger.log.vkey,
            self.engine,
            cast(ApiClient, self.line),
            SystemClock(),
        )

    async def asked(self, call: WitnessCall) -> WitnessAnswer:
        """Return what it answers to a call."""
        await self.cosigner.answer(call)
        return self.line.answers[-1]

    @property
    def size(self) -> int:
        """What it has cosigned last."""
        return self.cosigner.witness.size_of(ORIGIN)

    @property
    def evidence(self) -> list[bytes]:
        """The files of evidence it keeps."""
        return [file.read_bytes() for file in sorted((self.folder / "evidence").glob("*.txt"))]

    def mirrored(self) -> list[str]:
        """Return the digests of the entries it holds."""
        held = self.cosigner.mirror.checkpoint.size
        leaves: list[bytes] = []
        for index in range(-(-held // 256)):
            from branchline.ledger.tiles import bundle_name, decode_bundle

            data = (self.folder / "ledger" / bundle_name(index, held).path).read_bytes()
            leaves += decode_bundle(data)[0]
        return [digest_of(leaf) for leaf in leaves]


def wired(call: WitnessCall) -> bytes:
    """Return a call as it is pushed."""
    return msgspec.json.encode(call)
