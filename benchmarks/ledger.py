"""How fast the ledger is, beside pymerkle and the floor, a bare SQLite table: ``make bench-ledger``.

Prints a table and writes ``results/ledger-*.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the package benchmarks is

from rich.console import Console
from rich.table import Table

from benchmarks import logs, machine
from benchmarks.figures import Spread
from benchmarks.peers import make_environment
from branchline.foundation.encoding import to_base64url
from branchline.foundation.keys import Identity
from branchline.ledger.audit import audit
from branchline.ledger.files import FolderFiles
from branchline.ledger.proof.checkpoint import parse_checkpoint
from branchline.ledger.proof.cosignature import cosign, cosigner_key
from branchline.ledger.proof.merkle import check_inclusion, leaf_hash
from branchline.ledger.proof.note import key_of, parse_note
from branchline.ledger.proof.policy import Policy, default_policy
from branchline.ledger.proof.receipt import parse_receipt, verify_receipt
from branchline.ledger.tagproof import check_tags, parse_tag_proof
from branchline.ledger.tagtree import TagTree
from branchline.ledger.witness.mirror import Mirror, catch_up, fetch_from

HERE = Path(__file__).resolve().parent
CACHE, RESULTS = HERE / "results" / "cache", HERE / "results"
BATCH, RATE = 256, 1000
REQUIREMENTS = ("pymerkle==7.0.0",)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        what: What was measured.
        unit: Of all figures in the line.
        ours: Branchline's.
        peer: pymerkle's, where it does the same.
        floor: The bare table's, where it does the same.
        goal: What ours has to be: at least, if ``more`` is better, otherwise at most.
        more: Whether more is better.
        load: The machine's load before.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    floor: float | None = None
    goal: float | None = None
    more: bool = False
    load: float = field(default_factory=machine.load)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        if self.goal is None:
            return None
        return self.ours >= self.goal if self.more else self.ours <= self.goal


class Bench:
    """One run of the benchmark.

    Args:
        place: A folder for logs.
        entries: Entries of the large log.
        seconds: How long entries are appended at a rate.
        console: Told what is under way.
    """

    def __init__(self, place: Path, entries: int, seconds: int, console: Console) -> None:
        self._place, self._entries, self._seconds = place, entries, seconds
        self._console = console
        self._python = make_environment(CACHE, "pymerkle", REQUIREMENTS) / "python"

    def run(self) -> Iterator[Figure]:
        """Measure everything."""
        yield from self._appending()
        yield from self._large()
        yield from self._light_reader()

    def _appending(self) -> Iterator[Figure]:
        count = self._entries // 10
        self._say(f"{count} entries in batches of {BATCH}; then {RATE}/s for {self._seconds} s")
        load = machine.load()
        durable, signed = logs.append_batches(self._folder("batches"), count, BATCH)
        floor = logs.floor_batches(self._folder("batches"), count, BATCH)
        peer = self._peer(count)
        rates = [count / seconds for seconds in (durable, peer["append"], floor)]
        yield Figure(
            "durable entries, in batches", "1/s", *rates, goal=10_000, more=True, load=load
        )
        yield Figure("the same, published and signed", "1/s", count / signed, load=load)
        load = machine.load()
        waits = asyncio.run(logs.append_at_rate(self._folder("rate"), RATE, self._seconds))
        others = [peer["waits"], logs.floor_at_rate(self._folder("rate"), RATE, self._seconds)]
        for share, goal in ((0.5, None), (0.99, 20.0)):
            figures = [1000 * _quantile(each, share) for each in (waits, *others)]
            what = f"acknowledged at {RATE}/s, {share:.0%} within"
            yield Figure(what, "ms", *figures, goal=goal, load=load)
        self._peer_checked: list[float] = peer["check"]

    def _large(self) -> Iterator[Figure]:
        folder = self._folder("large")
        sizes = [self._entries // 10, self._entries]
        self._say(f"a log of {self._entries} entries, grown by a process of its own")
        grown = self._grow(folder, sizes)
        more = grown[1]["resident_mib"] - grown[0]["resident_mib"]
        yield Figure(f"memory at {sizes[0]} entries", "MiB", grown[0]["resident_mib"])
        yield Figure(f"memory at {sizes[1]}, on top of that", "MiB", more, goal=8)
        files, key = FolderFiles(folder / "files"), key_of(logs.ORIGIN, logs.identity().public)
        seconds = _timed(lambda: audit(files.read, files.paths(), key))
        per_million = seconds * 1_000_000 / self._entries
        yield Figure("full audit of 1,000,000 entries", "s", per_million, goal=30)
        mirror = Mirror(FolderFiles(folder / "mirror"), key)
        note, fetch = files.read("checkpoint"), fetch_from(files.read, self._entries)
        seconds = _timed(lambda: catch_up(mirror, note, fetch))
        yield Figure("mirror of 1,000,000, from nothing", "s", seconds * 1e6 / self._entries)
        yield from self._opened(folder)

    def _opened(self, folder: Path) -> Iterator[Figure]:
        start = time.perf_counter()
        with logs.opened(folder) as (_, log):
            yield Figure(f"start with {self._entries} entries", "s", time.perf_counter() - start)
            witnesses = [Identity.create() for _ in range(4)]
            policy = _policy(witnesses)
            text = log.checkpoint().decode().partition("\n\n")[0] + "\n"
            lines = [cosign(text, f"w{n}", each, 1).line for n, each in enumerate(witnesses)]
            log.keep(log.checkpoint() + "".join(lines).encode())
            leaves = list(logs.invented(1000))
            receipts = [each.text for each in log.prove_many(range(1000), cosigned=True)]
        checked = []
        for leaf, text in zip(leaves, receipts, strict=True):
            start = time.perf_counter()
            verify_receipt(parse_receipt(text), leaf, policy)
            checked.append(time.perf_counter() - start)
        ours, peer = (1000 * Spread.of(each).median for each in (checked, self._peer_checked))
        yield Figure("receipt with 4 cosignatures, checked", "ms", ours, goal=2)
        path = 1000 * _path_alone(receipts, leaves)
        yield Figure("of which the path alone, all that pymerkle checks", "ms", path, peer)

    def _light_reader(self) -> Iterator[Figure]:
        count = self._entries
        self._say(f"a tag tree of {count} tags")
        chance = random.Random(2)
        tags = [chance.randbytes(16) for _ in range(count)]
        records = b"".join(tag + at.to_bytes(8) for at, tag in enumerate(tags))
        start = time.perf_counter()
        tree = TagTree(records, count)
        head = tree.head
        yield Figure(f"tag tree of {count} tags, built", "s", time.perf_counter() - start)
        absent = [chance.randbytes(16) for _ in range(16)]
        asked = [to_base64url(tag) for tag in (chance.choice(tags), *absent)]
        proof = tree.prove(asked).data
        yield Figure("light reader's proof: 1 tag there, 16 not", "kB", len(proof) / 1000, goal=20)
        made = [_timed(lambda: tree.prove(asked)) for _ in range(20)]
        took = [_timed(lambda: check_tags(parse_tag_proof(proof), head, asked)) for _ in range(20)]
        both = Spread.of(made).median + Spread.of(took).median
        yield Figure("made and checked", "ms", 1000 * both, goal=50)

    def _peer(self, count: int) -> dict[str, Any]:
        script = str(HERE / "merkle_peer.py")
        given = [str(self._folder("peer")), *map(str, (count, BATCH, RATE, self._seconds))]
        done = subprocess.run(
            [str(self._python), script, *given], check=True, capture_output=True, timeout=900
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _grow(self, folder: Path, sizes: Sequence[int]) -> list[dict[str, float]]:
        script = str(HERE / "logs.py")
        command = [sys.executable, script, str(folder), *map(str, sizes)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=900)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def _folder(self, name: str) -> Path:
        folder = self._place / name
        folder.mkdir(exist_ok=True)
        return folder

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{datetime.now(UTC):%H:%M:%S} {text}[/dim]")


def _policy(witnesses: Sequence[Identity]) -> Policy:
    keys = {f"h{n}": [cosigner_key(f"w{n}", each.public)] for n, each in enumerate(witnesses)}
    return default_policy(key_of(logs.ORIGIN, logs.identity().public), keys)


def _path_alone(receipts: Sequence[str], leaves: Sequence[bytes]) -> float:
    seconds = []
    for text, leaf in zip(receipts, leaves, strict=True):
        receipt = parse_receipt(text)
        head = parse_checkpoint(parse_note(receipt.checkpoint.encode()).text)
        given = (receipt.index, head.size, receipt.path, head.root)
        seconds.append(
            _timed(lambda given=given, leaf=leaf: check_inclusion(leaf_hash(leaf), *given))
        )
    return Spread.of(seconds).median


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_figures(figures: Sequence[Figure], console: Console) -> None:
    """Print the table."""
    table = Table(title="The ledger; beside it pymerkle, and a bare SQLite table, as durable")
    for heading in ("", "unit", "Branchline", "pymerkle", "SQLite", "goal", "load"):
        table.add_column(heading, justify="left" if not heading else "right")
    for figure in figures:
        numbers = ["" if each is None else _text(each) for each in (figure.peer, figure.floor)]
        goal = "" if figure.goal is None else f"{'≥' if figure.more else '≤'} {figure.goal:,g}"
        verdict = {True: " met", False: " MISSED", None: ""}[figure.met]
        ours, load = _text(figure.ours), f"{figure.load:.1f}"
        table.add_row(figure.what, figure.unit, ours, *numbers, goal + verdict, load)
    console.print(table)


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a goal was missed, for scripts that care."""
    parser = argparse.ArgumentParser(description="How fast the ledger is.")
    parser.add_argument("--quick", action="store_true", help="a small log: does it work?")
    given = parser.parse_args(arguments)
    console = Console(width=160, highlight=False)
    date = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    with tempfile.TemporaryDirectory(prefix="branchline-bench-") as place:
        entries, seconds = (20_000, 2) if given.quick else (1_000_000, 10)
        figures = list(Bench(Path(place), entries, seconds, console).run())
    print_figures(figures, console)
    plain = [asdict(figure) | {"met": figure.met} for figure in figures]
    report = {"date": date, "machine": machine.describe(), "peer": REQUIREMENTS, "figures": plain}
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"ledger-{date.replace(':', '')}.json"
    file.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"written to {file}")
    return 0 if all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
