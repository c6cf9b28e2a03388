"""Kill the victim at any moment, and hold the next one to everything that was acknowledged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ledger.vectors import entries

from branchline.ledger.edge import Edge
from branchline.ledger.proof.merkle import leaf_hash

SCRIPT = Path(__file__).with_name("victim.py")
KILL = -1
"""The error, as ``faults.c`` names it, that ends the process."""
LONGEST = 0.03
"""Seconds that a victim works at most before it is killed."""


class Victim:
    """The process that forks the ones to be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, **order: object) -> int:
        """Start a child; return its process id."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self.said("child")[-1][1])

    def said(self, last: str) -> list[list[str]]:
        """Return what was said, up to a line that begins with a word."""
        assert self._process.stdout
        words: list[list[str]] = []
        for line in self._process.stdout:
            words.append(line.split())
            assert words[-1][0] != "failed", line
            if words[-1][0] == last:
                return words
        raise AssertionError("the victim's parent ended")


@contextmanager
def victim(preload: Path | None = None) -> Iterator[Victim]:
    """Start the process that forks."""
    variables = {"LD_PRELOAD": str(preload)} if preload else {}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    ) as process:
        yield Victim(process)
        assert process.stdin
        process.stdin.close()


class Memory:
    """What was acknowledged of one ledger, to be held against what it says later.

    Every entry is known beforehand, so there is one right root for every size.
    """

    def __init__(self) -> None:
        self.appended = self.kept = self.mirrored = 0
        self.cosigned: dict[int, int] = {}
        self._edge, self._roots = Edge(), dict[int, str]()

    def hear(self, words: list[str]) -> None:
        """Take a line in; raise AssertionError where it contradicts an earlier one."""
        match words:
            case ["appended", first, count]:
                assert int(first) >= self.appended, (
                    f"{words}, but {self.appended} were acknowledged"
                )
                self.appended = int(first) + int(count)
            case ["signed", size, root]:
                assert self._root_of(int(size)) == root, f"{words} is no root of these entries"
            case ["mirrored", size]:
                self.mirrored = int(size)
            case ["cosigned", number, size]:
                self.cosigned[int(number)] = int(size)
            case ["kept", size]:
                self.kept = int(size)
            case ["opened", size]:
                assert int(size) >= self.appended, f"{words}, but {self.appended} were acknowledged"
                self.appended = int(size)
            case ["has-cosigned", number, size]:
                assert int(size) >= self.cosigned.get(int(number), 0), f"{words}: {self.cosigned}"
            case ["has-kept", size]:
                assert int(size) >= self.kept, f"{words}, but {self.kept} were kept"
            case ["has-mirrored", size]:
                assert int(size) >= self.mirrored, f"{words}, but {self.mirrored} were mirrored"
            case _:
                raise AssertionError(f"the victim said {words}")

    def _root_of(self, size: int) -> str:
        while self._edge.size < size:
            self._edge.extend(map(leaf_hash, entries(1, self._edge.size)))
            self._roots[self._edge.size] = self._edge.root().hex()
        return self._roots.get(size) or Edge().root().hex()


def kill_again_and_again(place: Path, cycles: int, seed: int, *, fresh: int = 25) -> int:
    """Kill so many times; return how many entries were acknowledged.

    Args:
        place: Where the ledgers are.
        cycles: How often.
        seed: Of all chance but the scheduler's.
        fresh: After so many cycles a new ledger is begun.
    """
    chance, total, memory = random.Random(seed), 0, Memory()
    with victim() as forker:
        for cycle in range(cycles):
            if cycle % fresh == 0:
                total += memory.appended
                folder, memory = place / str(cycle), Memory()
                folder.mkdir()
            try:
                for words in _kill_once(forker, folder, chance):
                    memory.hear(words)
            except AssertionError as error:
                error.add_note(f"seed {seed}, cycle {cycle}; the ledger is in {folder}")
                raise
    return total + memory.appended


def _kill_once(forker: Victim, folder: Path, chance: random.Random) -> list[list[str]]:
    """Let a child work, kill it, and return what it said."""
    child = forker.order(folder=str(folder), seed=chance.random())
    lines: list[list[str]] = []
    if chance.random() < 0.7:  # otherwise it may end while it starts: recovery is work, too
        lines = forker.said("opened")
    time.sleep(chance.uniform(0, LONGEST))
    os.kill(child, signal.SIGKILL)
    lines += forker.said("ended")
    assert lines.pop() == ["ended", "killed"], "the child ended before it was killed"
    return lines


def kill_at(forker: Victim, folder: Path, call: int, count: int) -> bool:
    """End a ledger's process at the n-th change of its disk, and hold what is left to what was said.

    It is ended again, a little later each time, while it recovers.

    Args:
        forker: Whose disk can be made to fail.
        folder: The ledger.
        call: Which change of the disk ends it.
        count: How many entries it appends meanwhile.

    Returns:
        False if there were fewer changes.
    """
    memory = Memory()
    orders = [
        {"call": call, "errno": KILL, "count": count},
        {"call": 1 + call % 7, "errno": KILL, "count": count, "early": True},
        {"call": 0, "errno": 0},
    ]
    ends = []
    for order in orders:
        forker.order(folder=str(folder), **order)
        lines = forker.said("ended")
        ends.append(lines.pop()[1])
        for words in lines:
            if words[0] != "reached":
                memory.hear(words)
    assert ends[1:] == ["killed", "0"], f"change {call}: {ends}"
    return ends[0] == "killed"
