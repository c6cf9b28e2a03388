"""Cosigning: the stations are asked to vouch for the ledger's growth, and receipts wait for them.

Every witness is asked for one and the same checkpoint, then for the next: were each asked for
whatever is newest, a busy ledger would gather single cosignatures on many checkpoints. A round ends
when all who listen have answered, or after a moment; who was late has his say in the next one.
Which cosignatures are enough is not central's to say: each study has its own policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from branchline.central.inbox import Inbox
from branchline.central.receipts import Receipts
from branchline.foundation.errors import BranchlineError, Conflict, Corrupt, Unavailable
from branchline.foundation.tasks import in_thread
from branchline.journey.messages import WitnessAnswer, WitnessCall
from branchline.ledger.log import Log
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.cosignature import Cosigned
from branchline.ledger.proof.note import Note, VerifierKey, parse_note
from branchline.ledger.proof.policy import Policy
from branchline.ledger.proof.receipt import Receipt
from branchline.ledger.rows import read_rows
from branchline.ledger.witness.wire import Request, parse_answer, parse_size

log = logging.getLogger("branchline.central")

_TICK = 1.0
"""Seconds between rounds while the ledger grows and nobody waits for a receipt."""
_MOMENT = 0.5
"""Seconds that a round waits for its last witnesses."""
_PATIENCE = 20.0
_AGAIN = 5.0
"""Seconds after which a witness that gave no answer, or could not yet, is asked again."""
_NOT_YET = 503
"""How a witness says that it does not hold the entries yet."""
_KEPT = 8
"""Rounds of which late answers are still taken in."""
_INLINE_ENTRIES, _INLINE_BYTES = 512, 256 << 10
"""Entries that ride in a call; more of them are fetched from the ledger's files."""


@dataclass
class Line:
    """One witness, as central knows it.

    Args:
        party: Its name.
        key: The key it cosigns with.
        size: What it cosigned last, as far as is known.
        asked: The size it was asked for and has not answered; None if nothing is open.
        old: The size from which on it was asked last.
        again: When it is asked again, by the loop's clock; None if it has answered.
        listening: On how many connections it listens.
    """

    party: str
    key: VerifierKey
    size: int = 0
    asked: int | None = None
    old: int = 0
    again: float | None = None
    listening: int = 0


@dataclass
class Round:
    """One checkpoint, and who has cosigned it so far.

    Args:
        size: Entries it covers.
        signed: The note as the ledger alone signed it.
        cosigned: By the names of the witnesses' keys.
        calls: What to ask, by the size that a witness has; made once for all who have it.
        kept: How many cosignatures it had when it was kept last.
    """

    size: int
    signed: Note
    cosigned: dict[str, Cosigned] = field(default_factory=dict)
    calls: dict[int, bytes] = field(default_factory=dict)
    kept: int = 0

    @property
    def note(self) -> str:
        """The note with every signature line there is."""
        lines = [self.cosigned[name].signature for name in sorted(self.cosigned)]
        return Note(self.signed.text, (*self.signed.signatures, *lines)).full_text


class Witnessing:
    """Ask witnesses, take their answers in, and give out receipts that they vouch for.

    Args:
        ledger: The log.
        receipts: Brings entries under a checkpoint.
        engine: The database with the ledger's rows.
        inbox: The lines to the witnesses.
    """

    def __init__(self, ledger: Log, receipts: Receipts, engine: Engine, inbox: Inbox) -> None:
        self._ledger, self._receipts = ledger, receipts
        self._engine, self._inbox = engine, inbox
        self._lines: dict[str, Line] = {}
        self._rounds: list[Round] = []
        self._wanted = 0
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self.stopped = ""

    # Who listens

    def listens(self, party: str, key: VerifierKey) -> None:
        """Note that a witness has opened a line, and ask it for the round under way."""
        line = self._line(party, key)
        line.listening += 1
        line.asked = None
        if self._rounds:
            self._ask(line, self._rounds[-1])
        self._wake.set()

    def leaves(self, party: str) -> None:
        """Note that one of a witness's lines has ended."""
        line = self._lines[party]
        line.listening -= 1
        if not line.listening:
            line.asked = None
            self._tell()

    def confront(self, party: str, key: VerifierKey, note: str) -> None:
        """Compare the ledger with what a witness cosigned last; see ``Log.confront``.

        Raises:
            Corrupt: The note is not this ledger's.
            Conflict: The ledger is behind it, or is another one: from now on it takes nothing in.
        """
        try:
            self._ledger.confront(key.name, note.encode() if note else None)
        except (Conflict, Corrupt) as error:
            self._look_whether_stopped(error, party)
            raise Conflict(error.refused, advice=error.advice, detail=error.detail) from error
        self._receipts.wanted()  # what waited for witnesses since the start
        if note:
            self._line(party, key).size = parse_checkpoint(parse_note(note.encode()).text).size

    def _look_whether_stopped(self, error: BranchlineError, party: str) -> None:
        if "size" in error.detail or "evidence" in error.detail:
            self.stopped = f"{error.refused}, as the witness of {party} has shown"
            log.critical("%s. %s. Nothing is taken in any more", self.stopped, error.advice)

    def _line(self, party: str, key: VerifierKey) -> Line:
        return self._lines.setdefault(party, Line(party, key))

    # Rounds

    async def run(self) -> None:
        """Hold rounds for as long as central runs."""
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), _TICK)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                if not self.stopped:
                    await self._round()
            except Exception:
                # Outermost loop: a round that failed, on a full disk say, is followed by the next.
                log.exception("a round of cosigning failed")
                await asyncio.sleep(_TICK)

    async def _round(self) -> None:
        held = self._rounds[-1].size if self._rounds else -1
        if self._size() <= held and self._wanted <= held:
            await self._after()
            return
        now = self._open()
        for line in self._lines.values():
            if line.listening:
                self._ask(line, now)
        deadline = asyncio.get_running_loop().time() + _MOMENT
        while any(line.asked == now.size for line in self._lines.values()):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await self._heard(left):
                break
        await self._keep(now)

    async def _after(self) -> None:
        """Keep what came late, and ask again who did not answer: there may be no next round."""
        if not self._rounds:
            return
        now = self._rounds[-1]
        await self._keep(now)
        time = asyncio.get_running_loop().time()
        for line in self._lines.values():
            if line.listening and line.again is not None and line.again <= time:
                self._ask(line, now)

    def _open(self) -> Round:
        note = parse_note(self._ledger.checkpoint())
        now = Round(parse_checkpoint(note.text).size, _by_the_log(note))
        self._rounds = [*self._rounds, now][-_KEPT:]
        return now

    def _ask(self, line: Line, now: Round) -> None:
        if line.key.name in now.cosigned or line.size > now.size:
            return
        line.asked, line.old = now.size, line.size
        line.again = asyncio.get_running_loop().time() + _AGAIN
        if line.size not in now.calls:
            now.calls[line.size] = msgspec.json.encode(self._call(line.size, now))
        self._inbox.push(line.party, now.calls[line.size])

    def _call(self, old: int, now: Round) -> WitnessCall:
        path = self._ledger.prove_growth(old, now.size) if old else ()
        request = Request(old, path, now.signed.full_text.encode())
        entries: list[bytes] = []
        if now.size - old <= _INLINE_ENTRIES:
            entries = read_rows(self._engine, old, now.size - old)
        if sum(map(len, entries)) > _INLINE_BYTES:
            entries = []
        return WitnessCall(kind="witness", request=request.body, first=old, entries=tuple(entries))

    async def _keep(self, now: Round) -> None:
        """Keep a round's checkpoint with the cosignatures it has by now, if it has more than before."""
        count, note = len(now.cosigned), now.note.encode()
        if count == now.kept:
            return
        try:
            await in_thread(lambda: self._ledger.keep(note))
            now.kept = count
        except (BranchlineError, SQLAlchemyError) as error:
            log.error("a cosigned checkpoint cannot be kept now: %s", error)

    # Answers

    def answered(self, party: str, answer: WitnessAnswer) -> None:
        """Take a witness's answer in.

        Raises:
            Conflict: Nothing of this size was asked for.
            Corrupt: The answer is malformed, or a cosignature does not hold.
        """
        line = self._lines.get(party)
        asked = next((each for each in self._rounds if each.size == answer.size), None)
        if line is None or asked is None:
            raise Conflict(f"No checkpoint of {answer.size} entries is to be cosigned now")
        if line.asked == answer.size:
            line.asked = None
            if answer.status != _NOT_YET:
                line.again = None
        body = answer.body.encode()
        if answer.status == 200:
            found = parse_answer(body, asked.signed.text, [line.key])
            if not found:
                raise Corrupt(f"The answer has no cosignature by the witness key of {party}")
            asked.cosigned[line.key.name] = found[-1]
            line.size = max(line.size, asked.size)
        elif answer.status == 409:
            self._correct(line, parse_size(body), asked)
        else:
            log.error("%s does not cosign (%s): %s", party, answer.status, answer.body.strip())
        self._tell()

    def _correct(self, line: Line, has: int, asked: Round) -> None:
        """Ask a witness anew that has cosigned something else than this process knows of.

        It was restored from a backup, or central was restarted, or it was asked before it had
        answered the round before.

        Raises:
            Conflict: It claims more than there is, which its word alone does not show.
        """
        if has > self._size():
            raise Conflict(
                f"A witness claims {has} entries; this ledger has {self._size()}",
                advice="Show the checkpoint that was cosigned",
            )
        line.size = has
        # An answer to the round before may have come in between: what counts is from where on it
        # was asked. Of the same size again it would say the same.
        if has != line.old and line.listening and asked is self._rounds[-1]:
            self._ask(line, asked)

    # Receipts

    async def receipts(
        self,
        positions: Sequence[int],
        policy: Policy,
        cosigned_by: Collection[str] = (),
        patience: float = _PATIENCE,
    ) -> list[str]:
        """Return receipts at one checkpoint that a policy accepts, waiting for its witnesses.

        Args:
            positions: The entries.
            policy: Whose cosignatures count.
            cosigned_by: Witnesses that must be among them.
            patience: Seconds to wait at most.

        Raises:
            Unavailable: Not enough witnesses cosigned in time; the sentence names those that did.
        """
        need = max(positions) + 1
        await self._receipts.cover(need)
        self._wanted = max(self._wanted, need)
        self._wake.set()
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            found = self._accepted(need, policy, cosigned_by)
            if found is not None:
                return self._prove(positions, found)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await self._heard(left):
                raise Unavailable(
                    self._lacking(need, policy), advice="Try again when more stations are there"
                )

    def best(self, positions: Sequence[int]) -> list[str]:
        """Return receipts at the newest checkpoint, with whatever cosignatures it has.

        Raises:
            Unavailable: No round covered them yet.
        """
        return [each.text for each in self.proven(positions)]

    def proven(self, positions: Sequence[int]) -> list[Receipt]:
        """Do as ``best`` does; gives receipts that are not spelled yet."""
        need = max(positions) + 1
        covering = [each for each in self._rounds if each.size >= need]
        if not covering:
            raise Unavailable("No checkpoint covers these entries yet")
        at = max(covering, key=lambda each: len(each.cosigned))
        return self._ledger.prove_many(positions, at=at.note)

    def _accepted(self, need: int, policy: Policy, cosigned_by: Collection[str]) -> Round | None:
        for each in reversed(self._rounds):
            names = each.cosigned.keys()
            if each.size >= need and policy.satisfied_by(names) and set(cosigned_by) <= names:
                return each
        return None

    def _prove(self, positions: Sequence[int], at: Round) -> list[str]:
        return [each.text for each in self._ledger.prove_many(positions, at=at.note)]

    def _lacking(self, need: int, policy: Policy) -> str:
        counted = {witness.name for witness in policy.witnesses}
        names = {
            name for each in self._rounds if each.size >= need for name in each.cosigned
        } & counted
        parties = sorted(line.party for line in self._lines.values() if line.key.name in names)
        return (
            f"Of the {len(counted)} witnesses asked for, {', '.join(parties) or 'nobody'} cosigned "
            "in time"
        )

    # Small things

    def _size(self) -> int:
        return parse_checkpoint(parse_note(self._ledger.checkpoint()).text).size

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()

    async def _heard(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _by_the_log(note: Note) -> Note:
    """Return a note with the ledger's own signatures alone."""
    origin = parse_checkpoint(note.text).origin
    return Note(note.text, tuple(line for line in note.signatures if line.name == origin))
