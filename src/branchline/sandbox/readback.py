"""Read from the kernel what really holds a sandboxed process, before any train code runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from branchline.sandbox.engine import EngineRefused

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_ROWS = {
    "nofile": "Max open files",
    "cpu": "Max cpu time",
    "as": "Max address space",
    "data": "Max data size",
    "fsize": "Max file size",
    "nproc": "Max processes",
    "core": "Max core file size",
}


def read_layers(pid: int, filters: int) -> dict[str, str]:
    """Return the layers of isolation around process `pid`.

    Args:
        pid: the runner, as the kernel named it with its first message.
        filters: how many system-call filters must be loaded.

    Raises:
        EngineRefused: a layer is not in force.
    """
    status = _status(pid)
    own = _status(os.getpid())
    layers = {}
    for kind in _NAMESPACES:
        inside, outside = (
            os.readlink(f"/proc/{pid}/ns/{kind}"),
            os.readlink(f"/proc/self/ns/{kind}"),
        )
        if inside == outside:
            raise _absent(f"a {kind} namespace of its own")
        layers[f"namespace-{kind}"] = "own"
    if any(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")):
        raise _absent("an empty set of capabilities")
    layers["capabilities"] = "none"
    if status["NoNewPrivs"] != "1":
        raise _absent("no_new_privs")
    layers["privileges"] = "no_new_privs"
    loaded = int(status.get("Seccomp_filters", "0")) - int(own.get("Seccomp_filters", "0"))
    if status["Seccomp"] != "2" or loaded != filters:
        raise _absent(f"{filters} system-call filters")
    return layers


def read_rlimits(pid: int, wanted: Mapping[str, int]) -> None:
    """Check the hard limits of process `pid`.

    Raises:
        EngineRefused: a limit is not what was asked for.
    """
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    for name, value in {**wanted, "core": 0}.items():
        row = next(line for line in lines if line.startswith(_ROWS[name]))
        soft, hard = row[len(_ROWS[name]) :].split()[:2]
        if (soft, hard) != (str(value), str(value)):
            raise _absent(f"a limit of {value} for {_ROWS[name].removeprefix('Max ')}")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _absent(layer: str) -> EngineRefused:
    return EngineRefused(
        f"the sandbox started without {layer}",
        advice="Check that bubblewrap 0.8 and libseccomp work for this user on this machine",
    )
