"""Trains as text, and what a test asks the machine after one has run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pytest
from tests.groups import control_groups

from branchline.environment.host import HostMount, describe_host, mounts
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.cgroups import find_cgroups
from branchline.sandbox.engine import (
    Engine,
    EnvironmentMount,
    JobSpec,
    Purpose,
    RoundOutcome,
    RoundRequest,
)
from branchline.sandbox.limits import MIB, Limits

WEAKER = frozenset({"memory:rlimit", "processes:rlimit", "cpu-time:rlimit"})

SMALL = Limits(
    memory_bytes=256 * MIB,
    processes=24,
    cpu_seconds=20,
    wall_seconds=20,
    output_bytes=4 * MIB,
    scratch_bytes=8 * MIB,
    open_files=128,
    log_bytes=64 << 10,
)
"""Limits that a test's good train needs a fraction of."""

GOOD = """
def station(data, state, parameters):
    return {"rows": data["visits"].num_rows, "before": (state or {}).get("rows", 0)}
"""


_OF_A_SESSION = re.compile(r"/(newroot|oldroot|train-\d+|(visits|foreign)\.arrow)\b")


@cache
def environment() -> HostMount:
    """Return the mounts of the Python that runs the tests."""
    return mounts(describe_host())


class Bench:
    """Make jobs in a folder of their own: one train, one bound table, one that is not bound.

    Args:
        folder: The folder.
        mount: What jobs run in; by default the Python that runs the tests.
    """

    def __init__(self, folder: Path, mount: EnvironmentMount | None = None) -> None:
        self.folder = folder
        self.mount = mount or environment()
        self.table = folder / "visits.arrow"
        self.foreign = folder / "foreign.arrow"
        for path in (self.table, self.foreign):
            write_table(path, pa.table({"age": list(range(40)), "sex": ["f", "m"] * 20}))
        self._count = 0

    def job(
        self,
        source: str,
        limits: Limits = SMALL,
        *,
        purpose: Purpose = "station",
        entry: Mapping[str, Any] | None = None,
        frame: str = "arrow",
    ) -> JobSpec:
        """Return a job whose `train.py` has this source."""
        self._count += 1
        code = self.folder / f"train-{self._count}"
        code.mkdir()
        (code / "train.py").write_text(dedent(source), encoding="utf-8")
        function = "combine" if purpose == "aggregator" else "station"
        default = {"kind": "functions", "file": "train.py", "function": function, "frame": frame}
        tables = {"visits": self.table} if purpose == "station" else {}
        return JobSpec(self.mount, code, tables, entry or default, limits, purpose)


def bubblewrap() -> Bubblewrap:
    """Return the engine with whatever this user can enforce."""
    return Bubblewrap(WEAKER)


def skip_unless_counted(reason: str) -> None:
    """Skip a case that only control groups can tell apart from an error of the train."""
    if reason in ("memory", "processes", "cpu-time") and find_cgroups() is None:
        pytest.skip("this user has no control groups")


def write_table(path: Path, table: pa.Table) -> None:
    """Write an uncompressed Arrow IPC file, as the datasets room does."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


async def run_once(
    engine: Engine, job: JobSpec, request: RoundRequest | None = None
) -> RoundOutcome:
    """Run a job for one round in a session of its own."""
    session = await engine.start(job)
    try:
        return await session.run(request or RoundRequest(1))
    finally:
        await session.close()


def footprint() -> dict[str, set[str]]:
    """Return what this process holds of the machine."""
    return {
        "descriptors": set(os.listdir("/proc/self/fd")),
        "children": children(),
        "mounts": mounted(),
        "groups": control_groups(),
    }


def left_since(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what this process holds and did not hold before.

    What it lost meanwhile is what others had left to be collected; see `collected`.
    """
    now = footprint()
    return {kind: now[kind] - held for kind, held in before.items() if now[kind] - held}


def mounted() -> set[str]:
    """Return mounts a session makes: its own root, and what is bound there.

    Tests beside this one, and other programs, mount as they like.
    """
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if _OF_A_SESSION.search(line)}


def children() -> set[str]:
    """Return the processes below this one."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update((task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that ended meanwhile
    return found
