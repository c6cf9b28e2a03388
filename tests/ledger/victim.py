"""A process that does a ledger's work and is killed for it: run as a script, by ``killing.py``.

It starts once, reads orders from standard input, and forks a child for each: starting Python two
hundred times would take longer than all the rest. The child says on standard output, line by line,
what has been acknowledged. Whatever it said must still be true after its end.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy.exc import OperationalError

from branchline.foundation.clock import FixedClock
from branchline.foundation.database import open_database, writing
from branchline.foundation.errors import BranchlineError
from branchline.foundation.keys import Identity
from branchline.ledger.files import FolderFiles
from branchline.ledger.log import Log
from branchline.ledger.proof.note import key_of
from branchline.ledger.witness.mirror import Mirror, catch_up, fetch_from
from branchline.ledger.witness.store import WitnessStore
from branchline.ledger.witness.wire import Request
from branchline.ledger.witness.witness import Witness

ORIGIN = "log.example/branchline"
WITNESSES = 2
CLOCK = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))


def identity_of(seed: int) -> Identity:
    """Return the keys of a seed."""
    raw = bytes([seed]) * 32
    return Identity(
        Ed25519PrivateKey.from_private_bytes(raw), X25519PrivateKey.from_private_bytes(raw)
    )


LOG_KEY = key_of(ORIGIN, identity_of(1).public)


def say(word: str, *numbers: object) -> None:
    """Acknowledge something: one line, in one write."""
    os.write(1, (" ".join([word, *map(str, numbers)]) + "\n").encode())


class Ledger:
    """A log with its witnesses, the first of which has a mirror.

    Args:
        folder: Where everything is.
    """

    def __init__(self, folder: Path) -> None:
        self.files = FolderFiles(folder / "files")
        self.engine = open_database(folder / "log.db")
        self.log = Log(self.engine, self.files, ORIGIN, identity_of(1))
        self.mirror = Mirror(FolderFiles(folder / "mirror"), LOG_KEY)
        self.witnesses = [self._witness(folder, number) for number in range(WITNESSES)]

    def _witness(self, folder: Path, number: int) -> Witness:
        store = WitnessStore(open_database(folder / f"witness-{number}.db"))
        mirrors = {} if number else {ORIGIN: self.mirror}
        keys = {ORIGIN: [LOG_KEY]}
        return Witness(
            store, f"w{number}", identity_of(2 + number), CLOCK, logs=keys, mirrors=mirrors
        )

    def tell(self) -> None:
        """Say what is there."""
        head = self.log.integrate()
        say("signed", head.size, head.root.hex())
        for number, witness in enumerate(self.witnesses):
            say("has-cosigned", number, witness.size_of(ORIGIN))
        kept = self.log.cosigned()
        say("has-kept", int(kept.split(b"\n")[1]) if kept else 0)
        say("has-mirrored", self.mirror.checkpoint.size)
        say("opened", head.size)

    def grow(self, size: int, count: int) -> Iterator[None]:
        """Append, integrate, mirror, cosign and keep, saying each; a pause may follow each."""
        leaves = [b"entry %d" % number for number in range(size, size + count)]
        with writing(self.engine) as connection:
            first = self.log.append_many(connection, leaves)[0]
        say("appended", first, count)
        yield
        head = self.log.integrate()
        say("signed", head.size, head.root.hex())
        yield
        catch_up(self.mirror, self.log.checkpoint(), fetch_from(self.files.read, head.size))
        say("mirrored", head.size)
        yield
        yield from self._cosign(head.size)

    def _cosign(self, size: int) -> Iterator[None]:
        note, lines = self.log.checkpoint(), ""
        for number, witness in enumerate(self.witnesses):
            old = witness.size_of(ORIGIN)
            path = self.log.prove_growth(old, size) if old else ()
            answer = witness.add_checkpoint(
                Request(old, path, note.partition(b"\n\n")[0] + b"\n\n" + _own(note)).body
            )
            assert answer.status == 200, answer
            say("cosigned", number, size)
            lines += answer.body
            yield
        self.log.keep(note + lines.encode())
        say("kept", size)
        yield


def _own(note: bytes) -> bytes:
    """Return the log's own signature line of a note."""
    return note.partition(b"\n\n")[2].partition(b"\n")[0] + b"\n"


def work_until_killed(order: dict[str, Any]) -> None:
    """Grow for ever."""
    chance = random.Random(order["seed"])
    ledger = Ledger(Path(order["folder"]))
    ledger.tell()
    while True:
        size = ledger.log.integrate().size
        for _ in ledger.grow(size, chance.choice([1, 2, 3, 40, 256, 300])):
            pass


def work_with_a_fault(order: dict[str, Any]) -> None:
    """Grow once while one change fails or ends the process, and once more when nothing does.

    With ``early`` the fault may strike while the ledger is opened.
    """
    library = ctypes.CDLL(None)
    folder, early = Path(order["folder"]), order.get("early", False)
    if early:
        library.fault_arm(order["call"], order["errno"], str(folder).encode())
    ledger = Ledger(folder)
    ledger.tell()
    size = ledger.log.integrate().size
    if not early:
        library.fault_arm(order["call"], order["errno"], str(folder).encode())
    try:
        for _ in ledger.grow(size, order.get("count", 3)):
            pass
    except (BranchlineError, OperationalError, OSError) as error:
        say("refused", type(error).__name__)
    say("reached", library.fault_disarm())
    size = ledger.log.integrate().size
    for _ in ledger.grow(size, 2):
        pass
    ledger.tell()


def main() -> None:
    """Fork a child for every order, which says its process id; say when it has ended."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            say("child", os.getpid())  # by the child, before all else it says
            try:
                work = work_with_a_fault if "call" in order else work_until_killed
                work(order)
                status = 0
            except BaseException as error:  # noqa: BLE001 - outermost: the parent is told
                say("failed", repr(error).replace("\n", " "))
            os._exit(status)
        _, ended = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
        say("ended", "killed" if killed else os.waitstatus_to_exitcode(ended))


if __name__ == "__main__":
    main()
