"""What a process keeps in memory, as the kernel counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Memory of one process in MiB.

    Args:
        resident: All its pages that are in memory (RSS).
        proportional: The same, with pages shared by n processes counted as 1/n (PSS).
    """

    resident: float
    proportional: float


def memory_of(pid: int) -> Memory:
    """Return what a process keeps in memory now."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return Memory(_field(text, "Rss"), _field(text, "Pss"))


def _field(text: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, f"the kernel counts {name}"
    return int(found[1]) / 1024
