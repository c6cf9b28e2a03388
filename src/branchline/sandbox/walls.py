"""Build the bubblewrap command line: what a session sees, and what keeps it in.

Source: bwrap(1) 0.8. Order matters: bubblewrap works through the arguments from left to right,
and `--size` holds for the next `--tmpfs` only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchline.sandbox.engine import EngineRefused, EnvironmentMount, JobSpec

INSIDE = Path(__file__).parent / "inside"
WORK = "/work"
"""Where a person's own folder stands, within the walls."""

_BOOT = (
    "import sys; sys.path.insert(0, '/branchline'); "
    "from branchline_inside.runner import main; main()"
)
_TELLING = (
    "cmdline",
    "diskstats",
    "interrupts",
    "iomem",
    "kallsyms",
    "kcore",
    "keys",
    "key-users",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "loadavg",
    "modules",
    "partitions",
    "sched_debug",
    "schedstat",
    "slabinfo",
    "softirqs",
    "swaps",
    "timer_list",
    "uptime",
    "version",
    "vmallocinfo",
    "vmstat",
    "zoneinfo",
)
"""Files of /proc that no analysis needs: they identify the host or change with its load."""


@dataclass(frozen=True)
class Descriptors:
    """Numbers of the descriptors that bubblewrap and the runner inherit."""

    link: int
    stream: int
    filters: Sequence[int]
    files: Sequence[int]


@dataclass(frozen=True)
class PersonalJob:
    """Describe one command of a person, on his own machine, in an environment.

    Args:
        environment: what the command sees as its root.
        argv: the command.
        folder: bound at `/work` for reading and writing, and its working folder; None for none.
        network: whether it sees the machine's network.
        variables: set beside the environment's own.
        more: further folders, by their path inside, bound for reading and writing.
    """

    environment: EnvironmentMount
    argv: Sequence[str]
    folder: Path | None = None
    network: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Path] = field(default_factory=dict)


def command(bwrap: str, spec: JobSpec, settings: str, descriptors: Descriptors) -> list[str]:
    """Return the whole command line of one session."""
    return [
        bwrap,
        *_namespaces(),
        "--new-session",
        *_kernel_folders(),
        *_scratch(spec.limits.scratch_bytes),
        # After /tmp: an environment may lie below it.
        *_root(spec.environment, descriptors.files),
        *_job(spec),
        *("--remount-ro", "/"),
        *_variables(spec.environment.env),
        *_filters(descriptors.filters),
        *("--chdir", "/train"),
        *("--", *spec.environment.before),
        *(spec.environment.python, "-s", "-c", _BOOT),
        *(str(descriptors.link), str(descriptors.stream), settings),
    ]


def personal(
    bwrap: str,
    job: PersonalJob,
    filters: Sequence[int],
    files: Sequence[int],
    gate: int | None = None,
) -> list[str]:
    """Return the whole command line of a person's command; it keeps the person's terminal.

    Args:
        bwrap: bubblewrap.
        job: The command, and what it sees.
        filters: Descriptors of the system-call filters.
        files: Descriptors of the environment's own files.
        gate: One to wait at, once the walls are up, until there is something to read.
    """
    folder = [] if job.folder is None else ["--bind", str(job.folder), WORK]
    more = [word for inside, path in job.more.items() for word in ("--bind", str(path), inside)]
    return [
        bwrap,
        *_namespaces(),
        *(("--share-net",) if job.network else ()),
        *_kernel_folders(),
        *("--tmpfs", "/tmp", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),
        *_root(job.environment, files),
        *folder,
        *more,
        *("--remount-ro", "/"),
        *_variables({**job.environment.env, **job.variables}),
        *_filters(filters),
        *(() if gate is None else ("--block-fd", str(gate))),
        *("--chdir", WORK if folder else "/tmp"),
        *("--", *job.environment.before, *job.argv),
    ]


def check_personal(job: PersonalJob) -> str:
    """Return where bubblewrap is, once all that the command is to see is there.

    Raises:
        EngineRefused: bubblewrap is not here, or a path does not exist.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise EngineRefused("bwrap was not found", advice="Install the package bubblewrap")
    folders = [path for path, _ in job.environment.root]
    check_paths([*folders, *([] if job.folder is None else [job.folder]), *job.more.values()])
    return bwrap


def check(spec: JobSpec) -> None:
    """Refuse a job whose paths do not exist, before anything is started."""
    check_paths((*(path for path, _ in spec.environment.root), spec.code, *spec.tables.values()))
    for name in spec.tables:
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise EngineRefused(f"{name!r} cannot be the name of a table's file")


def check_paths(paths: Iterable[Path]) -> None:
    """Refuse paths that do not exist."""
    for path in paths:
        if not path.exists():
            raise EngineRefused(f"{path} does not exist, so the sandbox cannot show it to a train")


def _namespaces() -> list[str]:
    # --unshare-all only tries user and cgroup namespaces; named, they must succeed.
    return [
        *("--unshare-all", "--unshare-user", "--unshare-cgroup", "--disable-userns"),
        *("--die-with-parent", "--cap-drop", "ALL"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "train"),
    ]


def _root(environment: EnvironmentMount, files: Sequence[int]) -> list[str]:
    words = []
    for host, inside in environment.root:
        words += ["--ro-bind", str(host), inside]
    for target, inside in environment.links:
        words += ["--symlink", target, inside]
    for number, (inside, _) in zip(files, environment.files, strict=True):
        # Bound, not written: the folder it lies in may be a read-only one of the environment.
        words += ["--perms", "0444", "--ro-bind-data", str(number), inside]
    return words


def _kernel_folders() -> list[str]:
    words = ["--proc", "/proc"]
    for name in _TELLING:
        if os.path.exists(f"/proc/{name}"):
            words += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    # A station of root's maps uid 1000 inside to 0 outside, and the kernel lets 0 write to
    # /proc/sys whatever its capabilities: one core_pattern later the train is outside.
    return [*words, "--remount-ro", "/proc", "--dev", "/dev"]


def _scratch(size: int) -> list[str]:
    words = []
    for path in ("/dev/shm", "/tmp", "/in", "/out"):
        words += ["--size", str(size), "--tmpfs", path]
    # /dev's own tmpfs has no size; only what is mounted on it stays writable.
    return [*words, "--remount-ro", "/dev"]


def _job(spec: JobSpec) -> list[str]:
    words = ["--ro-bind", str(INSIDE), "/branchline/branchline_inside"]
    words += ["--ro-bind", str(spec.code), "/train", "--dir", "/data"]
    for name, path in spec.tables.items():
        words += ["--ro-bind", str(path), f"/data/{name}.arrow"]
    return words


def _variables(env: Mapping[str, str]) -> list[str]:
    words = ["--clearenv"]
    for name, value in {**_DEFAULTS, **env}.items():
        words += ["--setenv", name, value]
    return words


def _filters(numbers: Sequence[int]) -> list[str]:
    return [word for number in numbers for word in ("--add-seccomp-fd", str(number))]


_DEFAULTS = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    # The same train over the same data must give the same bytes: no random set order, and sums
    # not split over however many processors a machine happens to have.
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
