"""The interface every engine keeps, and the words it speaks.

An engine runs train code in a *session*: one sandboxed process that stays for all rounds of one
stop. Every engine passes the same contract suite (`tests/sandbox/test_contract.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from branchline.foundation.buffers import Pieces
from branchline.foundation.digest import Bytes
from branchline.foundation.errors import Refused, Unavailable
from branchline.sandbox.limits import Limits, RunRecord

Purpose = Literal["station", "aggregator"]


class EngineRefused(Refused):
    """A limit or a layer of isolation that this engine cannot enforce, or a job it cannot run."""


class EngineUnavailable(Unavailable):
    """The sandbox did not start."""


class FailureReason(enum.StrEnum):
    """Say why a round failed: the only word about a failure that may leave a station."""

    TRAIN_ERROR = "train-error"
    MEMORY = "memory"
    PROCESSES = "processes"
    CPU_TIME = "cpu-time"
    WALL_TIME = "wall-time"
    OUTPUT_SIZE = "output-size"
    BAD_OUTPUT = "bad-output"
    KILLED = "killed"


class EnvironmentMount(Protocol):
    """The root filesystem a session sees; nothing else of the host is in it.

    An environment describes itself by this interface (`environment.host.HostMount` does): the two
    rooms do not import each other.
    """

    @property
    def root(self) -> Sequence[tuple[Path, str]]:
        """Return (host path, path inside) pairs, bound read-only in this order."""
        ...

    @property
    def python(self) -> str:
        """Return the interpreter's path inside; it must have numpy and pyarrow."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Return environment variables to set beside or instead of the engine's own."""
        ...

    @property
    def before(self) -> Sequence[str]:
        """Return words that every command line begins with inside; they end in the command."""
        ...

    @property
    def links(self) -> Sequence[tuple[str, str]]:
        """Return (target, path inside) symbolic links."""
        ...

    @property
    def files(self) -> Sequence[tuple[str, str]]:
        """Return (path inside, content) small read-only files made for the session.

        One below a folder that `root` binds must be there already: it is hidden, not replaced.
        """
        ...

    def verify(self) -> None:
        """Raise unless what `root` binds is still what the environment was made of.

        Called at each start from a thread, before anything of the train runs.

        Raises:
            Corrupt: A file is another one than it was; the sentence names it.
        """
        ...


@dataclass(frozen=True)
class JobSpec:
    """Describe one session.

    Args:
        environment: what the session sees as its root.
        code: the train's unpacked folder, bound read-only at `/train`.
        tables: Arrow IPC files by table name, each bound read-only at `/data/<name>.arrow`.
        entry: the manifest's entry point: `kind` "functions" with `file`, `function` and `frame`
            ("pandas", "arrow"), or `kind` "command" with `argv` and `frame` ("arrow", "csv").
        limits: what the session may use.
        purpose: which contract the entry point follows.
    """

    environment: EnvironmentMount
    code: Path
    tables: Mapping[str, Path]
    entry: Mapping[str, Any]
    limits: Limits = Limits()
    purpose: Purpose = "station"


@dataclass(frozen=True)
class RoundRequest:
    """Ask for one round; `state` and `updates` are encoded payloads (`inside.values`)."""

    round: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: Bytes | Pieces | None = None
    updates: Sequence[Bytes | Pieces] = ()


@dataclass(frozen=True)
class Completed:
    """Hold what a round gave: encoded payloads that are well-formed, and hostile all the same.

    A station's round has `outputs`. An aggregator's has `state` (None: it keeps none) and
    `result` (None: go on). Large payloads are views of memory that nobody can write to any more.
    """

    outputs: Bytes | None = None
    state: Bytes | None = None
    result: Bytes | None = None
    logs: bytes = b""


@dataclass(frozen=True)
class Failed:
    """Say why a round failed. Only `reason` may leave; `trace` and `logs` stay at the station."""

    reason: FailureReason
    trace: str = ""
    logs: bytes = b""


RoundOutcome = Completed | Failed


@dataclass(frozen=True)
class Capabilities:
    """Say how an engine would enforce each limit and layer, and which it cannot.

    `weaker` maps the names a caller may accept (such as "memory:rlimit") to what they mean;
    `missing` lists the limits and layers that have no enforcement even so.
    """

    enforced: Mapping[str, str]
    weaker: Mapping[str, str]
    missing: Sequence[str]


class Session(Protocol):
    """One sandboxed process, alive across rounds, killed with its station.

    Rounds run one after another; a second `run` before the first has ended is an error of the
    caller. After a reason other than `train-error`, `bad-output` or `output-size` the session may
    be gone, and each further round fails with `killed`.
    """

    @property
    def record(self) -> RunRecord:
        """Return what is enforced and used, also after `close`."""
        ...

    async def run(self, request: RoundRequest) -> RoundOutcome:
        """Run one round; whatever the train does ends as an outcome, never as an exception."""
        ...

    async def close(self) -> None:
        """Kill everything in the session and leave nothing behind; closing twice is harmless."""
        ...


class Engine(Protocol):
    """Start sessions. Safe to use from many tasks of one event loop at once."""

    @property
    def name(self) -> str:
        """Return the engine's name as configuration and records spell it."""
        ...

    def capabilities(self) -> Capabilities:
        """Return what can be enforced on this machine, by this user."""
        ...

    async def start(self, spec: JobSpec) -> Session:
        """Start a session and return when it is ready and every limit has been read back.

        Raises:
            EngineRefused: a limit or layer cannot be enforced, or the job cannot be run at all.
            EngineUnavailable: the sandbox did not start; trying again may help.
            Corrupt: the environment is not what it was made of; nothing of the train has run.
        """
        ...
