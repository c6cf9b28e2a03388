"""Witnesses that are no stations: central posts to them, as C2SP tlog-witness says.

An auditor or a university runs one (``ledger/witness/service``, or any other program of that
specification). Here it is a witness as every other: it is asked in the same rounds, and what it
answers is checked and kept in the same place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import aiohttp
from msgspec import Struct

from branchline.central.inbox import Inbox
from branchline.central.witnessing import Witnessing
from branchline.foundation.canonical import parse_json
from branchline.foundation.durable import write_durably
from branchline.foundation.errors import BranchlineError, Corrupt, Refused
from branchline.foundation.http.client import check_address
from branchline.journey.messages import WitnessAnswer, WitnessCall
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.cosignature import parse_cosigner_key
from branchline.ledger.proof.note import COSIGNATURE, MAX_NOTE, VerifierKey, parse_note
from branchline.ledger.witness.wire import parse_request

log = logging.getLogger("branchline.central")

_CALL_LIMIT = 4 << 20
_FILE = "witnesses"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class OutsideWitness(Struct, frozen=True):
    """A witness that is no station.

    Args:
        key: What verifies its cosignatures.
        url: Where it is: what stands before ``/add-checkpoint``.
    """

    key: VerifierKey
    url: str


def parse_outside(text: str) -> OutsideWitness:
    """Read ``VKEY@URL``.

    Raises:
        Refused: Not of that form, not a key for cosignatures, or an address without TLS that is not
            loopback.
    """
    vkey, separator, url = text.partition("@http")
    if not separator:
        raise Refused(
            f"{text[:80]!r} is no witness", advice="Give its verifier key and address: VKEY@URL"
        )
    key = parse_cosigner_key(vkey)
    if key.type != COSIGNATURE:
        raise Refused(f"The key of the witness {key.name} is not of Ed25519")
    return OutsideWitness(key, check_address(f"http{url}"))


class Outside:
    """Posts to one witness, for as long as central runs.

    Args:
        witness: Which one.
        origin: The ledger's name.
        witnessing: Asks, and takes answers in.
        inbox: Where it asks.
    """

    def __init__(
        self, witness: OutsideWitness, origin: str, witnessing: Witnessing, inbox: Inbox
    ) -> None:
        self._key, self._url = witness.key, witness.url
        # No party can have this name: it holds what names do not.
        self._party = f"{witness.key.name}@outside"
        self._witnessing, self._inbox = witnessing, inbox
        self._latest = f"/{sha256(origin.encode()).hexdigest()}/checkpoint"

    async def run(self) -> None:
        """Hear what it cosigned last, then post every call to it; again and again, if it is away."""
        pause = _FIRST_PAUSE
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                try:
                    await self._confront(session)
                    pause = _FIRST_PAUSE
                    await self._post_calls(session)
                except (BranchlineError, aiohttp.ClientError, TimeoutError) as error:
                    log.warning("the witness %s is not asked now: %s", self._key.name, error)
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    async def _confront(self, session: aiohttp.ClientSession) -> None:
        async with session.get(self._url + self._latest) as answer:
            note = await _read(answer) if answer.status == 200 else b""
        self._witnessing.confront(self._party, self._key, note.decode(errors="replace"))

    async def _post_calls(self, session: aiohttp.ClientSession) -> None:
        channel = self._inbox.open(self._party)
        self._witnessing.listens(self._party, self._key)
        try:
            async for data in channel.told():
                call = parse_json(data, WitnessCall, what="call to cosign", limit=_CALL_LIMIT)
                await self._post(session, call.request)
        finally:
            self._inbox.leave(self._party, channel)
            self._witnessing.leaves(self._party)

    async def _post(self, session: aiohttp.ClientSession, request: bytes) -> None:
        async with session.post(f"{self._url}/add-checkpoint", data=request) as answer:
            body = (await _read(answer)).decode(errors="replace")
            status = answer.status
        size = parse_checkpoint(parse_note(parse_request(request).note).text).size
        self._witnessing.answered(self._party, WitnessAnswer(size=size, status=status, body=body))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Read a body that is not larger than any answer has to be."""
    pieces: list[bytes] = []
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        if sum(map(len, pieces)) > MAX_NOTE:
            raise Corrupt(f"A witness answered more than {MAX_NOTE} bytes")
    return b"".join(pieces)


def keep_outsides(folder: Path, witnesses: Sequence[OutsideWitness]) -> None:
    """Note which witnesses a running central asks, for commands that show how they stand."""
    lines = "".join(f"{each.key.text}@{each.url}\n" for each in witnesses)
    write_durably(folder / _FILE, lines.encode())


def kept_outsides(folder: Path) -> list[OutsideWitness]:
    """Return the witnesses that central asked when it was started last."""
    try:
        lines = (folder / _FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [parse_outside(line) for line in lines]


def outsides(
    witnesses: Sequence[OutsideWitness], origin: str, witnessing: Witnessing, inbox: Inbox
) -> list[Outside]:
    """Return the posters to all of these witnesses."""
    return [Outside(each, origin, witnessing, inbox) for each in witnesses]
