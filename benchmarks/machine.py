"""Where a measurement was made: cores, load, versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("numpy", "pyarrow", "cryptography", "aiohttp", "sqlalchemy")


def load() -> float:
    """Return the load average over the last minute."""
    return round(os.getloadavg()[0], 2)


def describe() -> dict[str, object]:
    """Return what anybody needs to judge a measurement by."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("branchline", *_PACKAGES)},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
