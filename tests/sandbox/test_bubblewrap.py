"""The embedded engine's own promises, beyond the contract of all engines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.groups import control_groups
from tests.sandbox.trains import (
    GOOD,
    WEAKER,
    Bench,
    bubblewrap,
    environment,
    run_once,
    skip_unless_counted,
)

from branchline.sandbox import seccomp
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.cgroups import PREFIX, find_cgroups
from branchline.sandbox.engine import (
    Completed,
    EngineRefused,
    EngineUnavailable,
    Failed,
    JobSpec,
    RoundRequest,
)


def without_groups(accepted: frozenset[str] = frozenset()) -> Bubblewrap:
    """Return the engine of a user to whom no control group was delegated."""
    engine = Bubblewrap(accepted)
    engine._cgroups = None
    return engine


@pytest.mark.usefixtures("untouched")
async def test_without_control_groups_it_refuses(bench: Bench) -> None:
    """What cannot be enforced is named and refused, with what to do."""
    engine = without_groups(frozenset({"memory:rlimit"}))
    assert set(engine.capabilities().missing) == {"memory", "processes", "cpu-time"}
    with pytest.raises(EngineRefused, match=r"cpu-time:rlimit, processes:rlimit.*Delegate=yes"):
        await engine.start(bench.job(GOOD))


async def test_root_without_control_groups_is_always_refused(bench: Bench) -> None:
    """The kernel exempts root from the limit on processes, so accepting it would mean none."""
    if os.getuid() != 0:
        pytest.skip("only root is exempt")
    with pytest.raises(EngineRefused, match="exempts root"):
        await without_groups(WEAKER).start(bench.job(GOOD))


@pytest.mark.skipif(os.getuid() == 0, reason="the kernel exempts root from RLIMIT_NPROC")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ("memory", "import numpy; x = [numpy.ones(1 << 20) for _ in range(99)]"),
        ("train-error", "while True: os.fork()"),
        ("train-error", "open('/tmp/x', 'wb').write(b'x' * (1 << 25))"),
    ],
)
async def test_weaker_mechanisms_hold_when_they_are_accepted(
    bench: Bench, expected: str, line: str
) -> None:
    """Resource limits stop what they can, and the record says that they are what holds."""
    job = bench.job(f"import os\ndef station(data, state, parameters):\n    {line}")
    session = await without_groups(WEAKER).start(job)
    try:
        outcome = await session.run(RoundRequest(1))
    finally:
        await session.close()
    assert isinstance(outcome, Failed)
    assert outcome.reason == expected
    assert session.record.enforced["memory"].startswith("RLIMIT_DATA")


def test_an_unknown_weaker_mechanism_is_refused() -> None:
    """A name in the configuration that means nothing is an error, not silence."""
    with pytest.raises(EngineRefused, match="'memory:hope' is not a weaker mechanism"):
        Bubblewrap(frozenset({"memory:hope"}))


@pytest.mark.usefixtures("untouched")
async def test_a_sandbox_that_cannot_start_says_why(bench: Bench) -> None:
    """An interpreter that is not there ends as one sentence with bubblewrap's own words."""
    job = bench.job(GOOD)
    mount = environment()
    broken = type(mount)(mount.root, "/usr/bin/no-python", mount.env, mount.links, mount.files)
    spec = JobSpec(broken, job.code, job.tables, job.entry, job.limits)
    with pytest.raises(EngineUnavailable, match="no-python"):
        await bubblewrap().start(spec)


STATION = """
import asyncio, sys
from pathlib import Path
from branchline.environment.host import describe_host, mounts
from branchline.sandbox.bubblewrap import Bubblewrap
from branchline.sandbox.engine import JobSpec, RoundRequest

async def main():
    entry = {"kind": "functions", "file": "train.py", "function": "station", "frame": "arrow"}
    spec = JobSpec(mounts(describe_host()), Path(sys.argv[1]), {}, entry)
    session = await Bubblewrap().start(spec)
    print("running", flush=True)
    await session.run(RoundRequest(1))

asyncio.run(main())
"""


async def test_a_killed_station_leaves_nothing_behind(bench: Bench) -> None:
    """SIGKILL of the station ends its trains; the next station removes the control groups."""
    skip_unless_counted("memory")
    job = bench.job("import time\ndef station(data, state, parameters):\n    time.sleep(99)\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STATION, str(job.code), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"running\n"
    left = _groups_of(process.pid)
    inside = {pid for folder in left for pid in _members(folder)}
    watched = [os.pidfd_open(pid) for pid in inside]
    assert left
    assert inside
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for descriptor in watched:
        await _readable(descriptor)
        os.close(descriptor)
    Bubblewrap()
    assert _groups_of(process.pid) == set()


async def _readable(descriptor: int) -> None:
    """Wait for the end of the process behind a pidfd."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(descriptor, ended.set_result, None)
    await asyncio.wait_for(ended, 10)
    loop.remove_reader(descriptor)


def _groups_of(pid: int) -> set[Path]:
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found |= {
            Path(folder, name) for name in names if name.startswith(PREFIX) and f"-{pid}-" in name
        }
    return found


def _members(folder: Path) -> set[int]:
    return {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}


async def test_the_filters_are_the_same_every_time() -> None:
    """Two processes build the same filters, so the record's digest names something."""
    program = "from branchline.sandbox import seccomp; print(seccomp.description())"
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == seccomp.description()


@pytest.mark.usefixtures("untouched")
async def test_threads_children_and_libraries_run_behind_the_filters(bench: Bench) -> None:
    """What honest trains do - threads, processes, pools, pandas, linear algebra - just works."""
    source = """
    import concurrent.futures, multiprocessing, os, sqlite3, subprocess, tempfile, threading
    import numpy, pandas, pyarrow.compute, pyarrow.parquet
    def square(x): return x * x
    def station(data, state, parameters):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            threads = sum(pool.map(square, range(4)))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            processes = sum(pool.map(square, range(4)))
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            data["visits"].to_parquet(file.name)
            rows = len(pandas.read_parquet(file.name))
        with sqlite3.connect("/tmp/x.db") as base:
            one = base.execute("select 1").fetchone()[0]
        shell = subprocess.run("seq 3 | wc -l", shell=True, capture_output=True, text=True).stdout
        inverse = numpy.linalg.inv(numpy.eye(50)).sum()
        return {"threads": threads, "processes": processes, "rows": rows, "one": one,
                "shell": int(shell), "inverse": inverse}
    """
    outcome = await run_once(bubblewrap(), bench.job(source, frame="pandas"))
    assert isinstance(outcome, Completed), outcome


def test_groups_are_made_below_the_current_one() -> None:
    """A session's groups lie inside the groups of the process that made them."""
    groups = find_cgroups()
    if groups is None:
        pytest.skip("this user has no control groups")
    before = control_groups()
    group = groups.create(64 << 20, 10)
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
        paths = {line.split(":")[2] for line in own}
        assert len(control_groups() - before) == len(group.entries())
        for entry in group.entries():
            assert any(str(entry.parent.parent).endswith(path.rstrip("/")) for path in paths)
    finally:
        group.remove()
    assert not control_groups() - before
