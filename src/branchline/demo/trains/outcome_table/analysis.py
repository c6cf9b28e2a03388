"""Outcome by treatment: every hospital counts its patients, the aggregator adds up."""

from collections import Counter
from itertools import product
from typing import Any

CELLS = list(product(["placebo", "indomethacin"], ["no", "yes"]))


def station(data: dict[str, Any], state: None, parameters: dict[str, Any]) -> dict[str, Any]:
    """Count patients by treatment and outcome; small cells leave the hospital as null."""
    patients = data["patients"]
    counts = Counter(zip(*(patients[name].to_pylist() for name in ("rx", "outcome")), strict=True))
    return {"table": table([counts[cell] for cell in CELLS])}


def combine(
    updates: list[dict[str, Any]], state: None, parameters: dict[str, Any]
) -> tuple[None, dict[str, Any]]:
    """Add up the whole tables: a sum with gaps would compare different patients' arms."""
    counts = [update["table"]["n"].to_pylist() for update in updates]
    whole = [cells for cells in counts if None not in cells]
    sums = [sum(cells[i] for cells in whole) for i in range(len(CELLS))]
    left_out = len(counts) - len(whole)
    return None, {"table": table(sums), "hospitals": len(whole), "left_out": left_out}


def table(counts: list[int]) -> dict[str, list[Any]]:
    """Write one count for each cell as a table."""
    treatments, outcomes = zip(*CELLS, strict=True)
    return {"rx": list(treatments), "outcome": list(outcomes), "n": counts}
