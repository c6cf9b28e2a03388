"""Say how much one session may use, and record what really held it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

MIB = 1 << 20


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bound one session; every limit is enforced, or the engine refuses to start.

    `memory_bytes` counts everything the session keeps in memory, its scratch files included, and a
    round's inputs unless they are larger than a quarter of it.
    `processes` counts threads too. `cpu_seconds` is for the whole session and all its processes,
    `wall_seconds` and `output_bytes` for one round, `scratch_bytes` for each of `/tmp`, `/in`,
    `/out` and `/dev/shm`. Log bytes beyond `log_bytes` are dropped and counted.
    """

    memory_bytes: int = 1 << 30
    processes: int = 64
    cpu_seconds: int = 600
    wall_seconds: float = 900
    output_bytes: int = 64 * MIB
    scratch_bytes: int = 256 * MIB
    open_files: int = 1024
    log_bytes: int = MIB


@dataclass(frozen=True)
class Usage:
    """Say what a session has used so far; None where the engine cannot measure it."""

    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float = 0.0
    log_bytes_dropped: int = 0


@dataclass(frozen=True)
class RunRecord:
    """Record which engine ran a session, what it enforced as read back, and what was used.

    `enforced` maps each limit and each layer of isolation to the mechanism in force. `exit` is
    the session's exit code; like everything here but the engine and `enforced` it stays at the
    station.
    """

    engine: str
    enforced: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    exit: int | None = None
