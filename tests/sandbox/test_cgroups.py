"""Both versions of control groups, on folders that stand in for the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from branchline.sandbox.cgroups import (
    CgroupError,
    CgroupsV1,
    CgroupsV2,
    GroupV2,
    _limit,
    find_cgroups,
    group_name,
)

V1_MOUNTS = """\
30 25 0:27 / {at}/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:28 / {at}/pids rw,relatime - cgroup cgroup rw,pids
32 25 0:29 /box {at}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""


def proc(folder: Path, groups: str, mounts: str) -> Path:
    """Return a /proc with these groups and mounts."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(groups)
    (folder / "proc/self/mountinfo").write_text(mounts)
    return folder / "proc"


def test_version_1_is_found_where_this_process_is(tmp_path: Path) -> None:
    """Groups go below the current ones, also where a mount shows part of a hierarchy."""
    for place in ("memory/job/7", "pids", "cpu/7"):
        (tmp_path / place).mkdir(parents=True)
    groups = "4:memory:/job/7\n3:pids:/\n2:cpu,cpuacct:/box/7\n0::/\n"
    found = find_cgroups(proc(tmp_path, groups, V1_MOUNTS.format(at=tmp_path)))
    assert isinstance(found, CgroupsV1)
    assert found._folders == {
        "memory": tmp_path / "memory/job/7",
        "pids": tmp_path / "pids",
        "cpuacct": tmp_path / "cpu/7",
    }


def test_version_2_needs_its_controllers(tmp_path: Path) -> None:
    """The unified hierarchy counts only when memory and pids were delegated to this user."""
    own = tmp_path / "unified/user/app"
    own.mkdir(parents=True)
    (own / "cgroup.procs").write_text("")
    (own / "cgroup.controllers").write_text("cpu memory pids")
    mounts = f"30 25 0:27 / {tmp_path}/unified rw - cgroup2 cgroup2 rw\n"
    files = proc(tmp_path, "0::/user/app\n", mounts)
    assert isinstance(find_cgroups(files), CgroupsV2)
    (own / "cgroup.controllers").write_text("cpu pids")
    assert find_cgroups(files) is None


def test_no_hierarchy_at_all_is_none(tmp_path: Path) -> None:
    """A machine without control groups has none to offer."""
    assert find_cgroups(proc(tmp_path, "", "")) is None


def test_version_2_writes_and_reads_back(tmp_path: Path) -> None:
    """Limits are written, swap is off, and an out-of-memory kill takes the whole session."""
    folder = tmp_path / "session"
    group = GroupV2(folder)
    group.make(64 << 20, 12)
    assert (folder / "memory.oom.group").read_text() == "1"
    assert group.enforced() == {
        "memory": "cgroup-v2 memory.max=67108864",
        "processes": "cgroup-v2 pids.max=12",
        "cpu-time": "cgroup-v2 cpu.stat, polled",
    }
    for name, text in {
        "memory.events": "low 0\noom 2\noom_kill 1\n",
        "pids.events": "max 3\n",
        "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
        "memory.current": "4096\n",
    }.items():
        (folder / name).write_text(text)
    counters = group.counters()
    assert (counters.oom_kills, counters.refused_forks) == (1, 3)
    assert (counters.cpu_seconds, counters.peak_memory_bytes) == (1.5, 4096)


def test_version_2_leaves_the_inner_node(tmp_path: Path) -> None:
    """Controllers can be enabled for children only where no process is left beside them."""
    (tmp_path / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.procs").write_text("17\n")
    CgroupsV2(tmp_path).create(64 << 20, 10)
    assert (tmp_path / "station/cgroup.procs").read_text() == "17"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_limit_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    """A kernel that answers with another value than the one written is not believed."""
    with pytest.raises(CgroupError, match="was set to 10 but holds"):
        _limit(Path("/dev/null"), 10)
    with pytest.raises(CgroupError, match="could not be made"):
        CgroupsV2(tmp_path / "absent").create(64 << 20, 10)


def test_only_groups_of_dead_stations_are_swept(tmp_path: Path) -> None:
    """A group of this process stays, one of a process that is gone or came later goes.

    What stations in other containers made is theirs: their processes are not seen from here.
    """
    (tmp_path / "cgroup.subtree_control").write_text("memory pids")
    own = tmp_path / group_name()
    _, here, pid, started, _ = own.name.split("-")
    reused = tmp_path / f"branchline-{here}-{pid}-{int(started) - 1}-0"
    dead = tmp_path / f"branchline-{here}-4194305-1-0"
    elsewhere = tmp_path / f"branchline-{int(here) - 1}-4194305-1-0"
    foreign = tmp_path / "branchline-notes"
    for folder in (own, reused, dead, elsewhere, foreign):
        folder.mkdir()
    assert CgroupsV2(tmp_path).sweep() == sorted([reused.name, dead.name])
    assert own.exists()
    assert elsewhere.exists()
    assert foreign.exists()
