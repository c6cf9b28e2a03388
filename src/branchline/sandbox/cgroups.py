"""Put a session into control groups of its own, version 1 or 2, and read back what holds.

Sources: the kernel's admin guide, "cgroup-v1" and "cgroup-v2". Groups are made *below* the
current one, never at the root, so that a station running inside another engine stays within that
engine's limits. A group's name holds the process id and start time of the station that made it, and
which processes the id counts among: what a killed station left is found and removed by the next
one, while those of stations in other containers, whose processes are not seen here, are left alone.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from branchline.foundation.errors import Unavailable

PREFIX = "branchline-"
_NAME = re.compile(rf"{PREFIX}(\d+)-(\d+)-(\d+)-\d+")
_OWN_PROCESSES = 2
"""bwrap's own monitor and the sandbox's init count as processes as well."""

_serial = itertools.count()


class CgroupError(Unavailable):
    """A control group could not be made, or does not hold what was written into it."""


@dataclass(frozen=True)
class Counters:
    """Hold one reading of a group; differences of two readings say what happened between."""

    oom_kills: int
    refused_forks: int
    cpu_seconds: float
    peak_memory_bytes: int


class Group(Protocol):
    """One session's place in the hierarchies."""

    def enforced(self) -> dict[str, str]:
        """Return each limit's mechanism with the value read back."""
        ...

    def entries(self) -> Sequence[Path]:
        """Return the `cgroup.procs` files a process writes 0 into to enter."""
        ...

    def counters(self) -> Counters:
        """Read the group's counters."""
        ...

    def kill(self) -> None:
        """Kill every process in the group."""
        ...

    def remove(self) -> None:
        """Remove the emptied group; killing what is left first, for at most two seconds."""
        ...


class Cgroups(Protocol):
    """The hierarchies this process may make groups in."""

    def create(self, memory_bytes: int, processes: int) -> Group:
        """Make a group with these limits, read back; raises CgroupError."""
        ...

    def sweep(self) -> list[str]:
        """Remove groups whose station is dead; return their names."""
        ...


def find_cgroups(proc: Path = Path("/proc")) -> Cgroups | None:
    """Return the version this machine offers to this user, or None."""
    own = _own_groups((proc / "self/cgroup").read_text())
    mounts = list(_cgroup_mounts((proc / "self/mountinfo").read_text()))
    folders: dict[str, Path] = {}
    for controller in ("memory", "pids", "cpuacct"):
        for root, point, kind, options in mounts:
            if kind == "cgroup" and controller in options and controller in own:
                folders[controller] = point / _below(root, own[controller])
    if len(folders) == 3 and all(_writable(folder) for folder in folders.values()):
        return CgroupsV1(folders)
    for root, point, kind, _ in mounts:
        folder = point / _below(root, own.get("", "/"))
        if kind == "cgroup2" and _delegated(folder):
            return CgroupsV2(folder)
    return None


def group_name() -> str:
    """Return a new name that tells which station made it."""
    own = os.getpid()
    return f"{PREFIX}{_namespace()}-{own}-{_start_time(own)}-{next(_serial)}"


class CgroupsV1:
    """One folder per controller: `memory`, `pids`, `cpuacct`."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)

    def create(self, memory_bytes: int, processes: int) -> Group:
        """Make the session's folder in each hierarchy and write its limits."""
        name = group_name()
        group = GroupV1({kind: folder / name for kind, folder in self._folders.items()})
        try:
            group.make(memory_bytes, processes + _OWN_PROCESSES)
        except OSError as error:
            group.remove()
            raise CgroupError(
                f"the control group {name} could not be made: {error.strerror}"
            ) from error
        return group

    def sweep(self) -> list[str]:
        """Remove what dead stations left behind."""
        names = {name for folder in self._folders.values() for name in _abandoned(folder)}
        for name in names:
            GroupV1({kind: folder / name for kind, folder in self._folders.items()}).remove()
        return sorted(names)


class GroupV1:
    """A session's folders in the version 1 hierarchies."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)

    def make(self, memory_bytes: int, processes: int) -> None:
        """Create the folders and write the limits, memory before memory with swap."""
        for folder in self._folders.values():
            folder.mkdir()
        _limit(self._folders["memory"] / "memory.limit_in_bytes", memory_bytes)
        with_swap = self._folders["memory"] / "memory.memsw.limit_in_bytes"
        if with_swap.exists():
            _limit(with_swap, memory_bytes)
        _limit(self._folders["pids"] / "pids.max", processes)

    def enforced(self) -> dict[str, str]:
        """Return each limit's mechanism with the value read back."""
        memory = self._folders["memory"]
        files = [memory / "memory.limit_in_bytes", memory / "memory.memsw.limit_in_bytes"]
        read = [f"{file.name}={_read(file).strip()}" for file in files if file.exists()]
        pids = _read(self._folders["pids"] / "pids.max").strip()
        return {
            "memory": "cgroup-v1 " + " ".join(read),
            "processes": f"cgroup-v1 pids.max={pids}",
            "cpu-time": "cgroup-v1 cpuacct.usage, polled",
        }

    def entries(self) -> Sequence[Path]:
        """Return one file per hierarchy."""
        return [folder / "cgroup.procs" for folder in self._folders.values()]

    def counters(self) -> Counters:
        """Read the counters of all three hierarchies."""
        memory = self._folders["memory"]
        return Counters(
            oom_kills=_keyed(memory / "memory.oom_control").get("oom_kill", 0),
            refused_forks=_keyed(self._folders["pids"] / "pids.events").get("max", 0),
            cpu_seconds=int(_read(self._folders["cpuacct"] / "cpuacct.usage")) / 1e9,
            peak_memory_bytes=int(_read(memory / "memory.max_usage_in_bytes")),
        )

    def kill(self) -> None:
        """Kill by list; a fork bomb that outruns it meets `pids.max` and the next try."""
        for folder in self._folders.values():
            _kill_listed(folder)

    def remove(self) -> None:
        """Remove the folders, of a group made only in part as well."""
        for folder in self._folders.values():
            _remove_folder(folder, self.kill)


class CgroupsV2:
    """The unified hierarchy, in a folder delegated to this user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, memory_bytes: int, processes: int) -> Group:
        """Make the session's folder and write its limits."""
        folder = self._folder / group_name()
        group = GroupV2(folder)
        try:
            self._enable()
            group.make(memory_bytes, processes + _OWN_PROCESSES)
        except OSError as error:
            group.remove()
            raise CgroupError(
                f"the control group {folder.name} could not be made: {error.strerror}",
                advice="Start the station with a delegated control group (systemd: Delegate=yes)",
            ) from error
        return group

    def sweep(self) -> list[str]:
        """Remove what dead stations left behind."""
        names = sorted(_abandoned(self._folder))
        for name in names:
            GroupV2(self._folder / name).remove()
        return names

    def _enable(self) -> None:
        """Let children be limited; processes move to a leaf, as inner nodes may have none."""
        control = self._folder / "cgroup.subtree_control"
        if {"memory", "pids"} <= set(_read(control).split()):
            return
        leaf = self._folder / "station"
        leaf.mkdir(exist_ok=True)
        for pid in _read(self._folder / "cgroup.procs").split():
            (leaf / "cgroup.procs").write_text(pid)
        control.write_text("+memory +pids")


class GroupV2:
    """A session's folder in the unified hierarchy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, memory_bytes: int, processes: int) -> None:
        """Create the folder and write the limits; out of memory ends the whole session."""
        self._folder.mkdir()
        _limit(self._folder / "memory.max", memory_bytes)
        swap = self._folder / "memory.swap.max"
        if swap.exists():
            _limit(swap, 0)
        (self._folder / "memory.oom.group").write_text("1")
        _limit(self._folder / "pids.max", processes)

    def enforced(self) -> dict[str, str]:
        """Return each limit's mechanism with the value read back."""
        files = [self._folder / "memory.max", self._folder / "memory.swap.max"]
        read = [f"{file.name}={_read(file).strip()}" for file in files if file.exists()]
        pids = _read(self._folder / "pids.max").strip()
        return {
            "memory": "cgroup-v2 " + " ".join(read),
            "processes": f"cgroup-v2 pids.max={pids}",
            "cpu-time": "cgroup-v2 cpu.stat, polled",
        }

    def entries(self) -> Sequence[Path]:
        """Return the one file there is."""
        return [self._folder / "cgroup.procs"]

    def counters(self) -> Counters:
        """Read the counters; kernels before 5.19 do not keep the peak."""
        peak = self._folder / "memory.peak"
        current = peak if peak.exists() else self._folder / "memory.current"
        return Counters(
            oom_kills=_keyed(self._folder / "memory.events").get("oom_kill", 0),
            refused_forks=_keyed(self._folder / "pids.events").get("max", 0),
            cpu_seconds=_keyed(self._folder / "cpu.stat").get("usage_usec", 0) / 1e6,
            peak_memory_bytes=int(_read(current)),
        )

    def kill(self) -> None:
        """Kill all at once where the kernel can (5.14), else by list."""
        at_once = self._folder / "cgroup.kill"
        if at_once.exists():
            at_once.write_text("1")
        else:
            _kill_listed(self._folder)

    def remove(self) -> None:
        """Remove the folder."""
        _remove_folder(self._folder, self.kill)


def _own_groups(text: str) -> dict[str, str]:
    """Return this process's group by controller; "" is version 2."""
    own = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    return own


def _cgroup_mounts(text: str) -> Iterator[tuple[str, Path, str, set[str]]]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            fields = before.split(" ")
            yield fields[3], Path(fields[4]), kind, set(options.split(","))


def _below(root: str, path: str) -> str:
    """Return a group's path relative to a mount that may show only part of the hierarchy."""
    return path.removeprefix(root.rstrip("/")).lstrip("/")


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _delegated(folder: Path) -> bool:
    controllers = folder / "cgroup.controllers"
    if not _writable(folder) or not os.access(folder / "cgroup.procs", os.W_OK):
        return False
    return {"memory", "pids"} <= set(_read(controllers).split())


def _limit(file: Path, value: int) -> None:
    """Write a limit and refuse to go on unless it holds (the kernel rounds down to pages)."""
    file.write_text(str(value))
    held = _read(file).strip()
    if not held.isdecimal() or int(held) > value:
        raise CgroupError(f"{file.name} was set to {value} but holds {held}")


def _read(file: Path) -> str:
    return file.read_text(encoding="ascii")


def _keyed(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _read(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _namespace() -> int:
    """Return the number of the namespace in which process ids are counted here."""
    return os.stat("/proc/self/ns/pid").st_ino


def _start_time(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot), or None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; field 22 counts from after it (proc(5)).
    return stat.rpartition(")")[2].split()[19]


def _abandoned(folder: Path) -> list[str]:
    here = str(_namespace())
    found = [_NAME.fullmatch(entry.name) for entry in folder.iterdir()]
    own = [m for m in found if m is not None and m[1] == here]
    return [m[0] for m in own if _start_time(int(m[2])) != m[3]]


def _kill_listed(folder: Path) -> None:
    try:
        pids = _read(folder / "cgroup.procs").split()
    except OSError:
        return  # removed in the meantime
    for pid in pids:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass  # ended by itself


def _remove_folder(folder: Path, kill: object) -> None:
    deadline = time.monotonic() + 2
    while folder.is_dir():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            if callable(kill):
                kill()
            time.sleep(0.002)  # the kernel frees a killed process a moment later
