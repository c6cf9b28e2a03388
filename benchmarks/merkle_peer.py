"""The same work with pymerkle, run by its own interpreter: writes seconds as JSON to stdout.

python merkle_peer.py <folder> <entries> <batch> <rate> <seconds>
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from pymerkle import SqliteTree, verify_inclusion

ENTRY = 500


def main(folder: Path, count: int, batch: int, rate: int, seconds: int) -> None:
    """Append in batches, append at a rate, prove and check."""
    chance = random.Random(1)
    entries = [chance.randbytes(ENTRY) for _ in range(count)]
    tree = SqliteTree(str(folder / "peer.db"))
    start = time.perf_counter()
    for at in range(0, count, batch):
        tree.append_entries(entries[at : at + batch], chunksize=batch)
    appended = time.perf_counter() - start

    start = time.perf_counter()
    root = tree.get_state()
    rooted = time.perf_counter() - start

    checked = []
    for index in [chance.randrange(count) + 1 for _ in range(200)]:
        proof, leaf = tree.prove_inclusion(index), tree.get_leaf(index)
        start = time.perf_counter()
        verify_inclusion(leaf, root, proof)
        checked.append(time.perf_counter() - start)

    waits = []
    begun = time.perf_counter()
    for number in range(rate * seconds):
        due = begun + number / rate
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        tree.append_entry(entries[number % count])
        waits.append(time.perf_counter() - due)
        if time.perf_counter() - begun > 3 * seconds:
            break  # it does not keep up: what was measured says so
    tree.close()
    print(json.dumps({"append": appended, "root": rooted, "check": checked, "waits": waits}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
