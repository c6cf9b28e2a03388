"""The embedded engine: bubblewrap, two system-call filters, control groups. No daemon."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from importlib import import_module

from branchline.sandbox import readback, seccomp, walls
from branchline.sandbox.cgroups import Group, find_cgroups
from branchline.sandbox.channel import Channel
from branchline.sandbox.engine import (
    Capabilities,
    EngineRefused,
    EngineUnavailable,
    JobSpec,
    Session,
)
from branchline.sandbox.inside.frames import FrameError
from branchline.sandbox.limits import Limits
from branchline.sandbox.logs import LogPipe
from branchline.sandbox.process import Descriptors, spawn
from branchline.sandbox.session import Parts, SandboxSession

_START_SECONDS = 60.0
_READY_BYTES = 4096
_LIBRARIES_BYTES = 512 << 20
"""Address space that shared libraries take beside the data a train is limited to."""
_WEAKER = {
    "memory:rlimit": "RLIMIT_DATA, RLIMIT_AS, RLIMIT_FSIZE for each process, none for all",
    "processes:rlimit": "RLIMIT_NPROC for the session's user namespace",
    "cpu-time:rlimit": "RLIMIT_CPU for each process, none for all",
}


class Bubblewrap:
    """Run sessions with bubblewrap.

    Args:
        accept_weaker: names of weaker mechanisms the station's administrator accepts on a machine
            without delegated control groups: "memory:rlimit", "processes:rlimit",
            "cpu-time:rlimit". What is not named is refused.
    """

    name = "bubblewrap"

    def __init__(self, accept_weaker: frozenset[str] = frozenset()) -> None:
        unknown = accept_weaker - set(_WEAKER)
        if unknown:
            raise EngineRefused(
                f"{min(unknown)!r} is not a weaker mechanism of the engine bubblewrap",
                advice=f"Known are {', '.join(sorted(_WEAKER))}",
            )
        self._accepted = accept_weaker
        self._bwrap = shutil.which("bwrap")
        self._cgroups = find_cgroups()
        if self._cgroups is not None:
            # What a killed station left still counts against the machine's memory.
            self._cgroups.sweep()

    def capabilities(self) -> Capabilities:
        """Return what can be enforced on this machine, by this user."""
        enforced = {
            "network": "network namespace",
            "system-calls": "seccomp",
            "scratch": "tmpfs size",
            "open-files": "RLIMIT_NOFILE",
            "wall-time": "kill by the station",
        }
        missing = [] if self._bwrap else ["bubblewrap"]
        for limit in ("memory", "processes", "cpu-time"):
            if self._cgroups is not None:
                enforced[limit] = "control group"
            else:
                missing.append(limit)
        return Capabilities(enforced, _WEAKER if self._cgroups is None else {}, missing)

    async def start(self, spec: JobSpec) -> Session:
        """Start a session and return when it is ready and every limit has been read back."""
        walls.check(spec)
        rlimits = self._rlimits(spec.limits)
        # The interpreter loads meanwhile; code of the train waits for its first round, and there
        # is none unless the environment turns out to be what it was made of.
        verifying = asyncio.ensure_future(asyncio.to_thread(spec.environment.verify))
        try:
            parts = await self._spawn(spec, rlimits)
            try:
                await self._ready(parts)
                enforced = self._read_back(parts, spec.limits, rlimits)
                await asyncio.shield(verifying)
            except OSError as error:
                await SandboxSession(self.name, spec, parts, {}).close()
                raise EngineUnavailable(
                    f"what limits the sandbox could not be read back: {error.strerror}"
                ) from error
            except BaseException:
                await SandboxSession(self.name, spec, parts, {}).close()
                raise
        except BaseException as error:
            await asyncio.wait({verifying})
            damage = verifying.exception()
            if damage is not None and isinstance(error, EngineUnavailable):
                # An interpreter that is damaged may not even start; that is why.
                raise damage from error
            raise
        return SandboxSession(self.name, spec, parts, enforced)

    def _rlimits(self, limits: Limits) -> dict[str, int]:
        """Return the resource limits of each process; refuse what nobody accepted."""
        rlimits = {"nofile": limits.open_files, "cpu": limits.cpu_seconds}
        if self._cgroups is not None:
            return rlimits
        refused = sorted(set(_WEAKER) - self._accepted)
        if refused:
            raise EngineRefused(
                f"this user has no control groups to enforce {', '.join(refused)} with",
                advice="Start the station with delegated control groups (systemd: Delegate=yes), "
                "or accept the weaker mechanisms by these names",
            )
        if os.getuid() == 0:
            raise EngineRefused(
                "the kernel exempts root from RLIMIT_NPROC, so nothing would limit processes",
                advice="Start the station as an ordinary user, or with control groups",
            )
        return {
            **rlimits,
            "data": limits.memory_bytes,
            "as": limits.memory_bytes + _LIBRARIES_BYTES,
            "fsize": limits.scratch_bytes + 2 * limits.output_bytes,
            "nproc": limits.processes,
        }

    async def _spawn(self, spec: JobSpec, rlimits: Mapping[str, int]) -> Parts:
        if self._bwrap is None:
            raise EngineRefused("bwrap was not found", advice="Install the package bubblewrap")
        group = self._group(spec.limits)
        channel, logs, memories = Channel(), LogPipe(spec.limits.log_bytes), Descriptors()
        try:
            inherited = walls.Descriptors(
                link=channel.remote.fileno(),
                stream=channel.remote_stream.fileno(),
                filters=[memories.memory(content) for content in self._filters()],
                files=[memories.memory(text.encode()) for _, text in spec.environment.files],
            )
            words = self._command(spec, _settings(spec, rlimits), inherited)
            passed = [inherited.link, inherited.stream, *memories.opened]
            process = await spawn(words, group, passed, logs.writer)
        except BaseException:
            channel.close()
            logs.close()
            if group is not None:
                group.remove()
            raise
        finally:
            memories.close()
        channel.started()
        logs.started()
        return Parts(process, channel, logs, group)

    def _group(self, limits: Limits) -> Group | None:
        if self._cgroups is None:
            return None
        return self._cgroups.create(limits.memory_bytes, limits.processes)

    async def _ready(self, parts: Parts) -> None:
        # The codec brings numpy and pyarrow: loaded while the sandbox starts, off the event loop.
        await asyncio.to_thread(import_module, "branchline.sandbox.inside.values")
        try:
            # Not wait_for: it drops a cancellation that comes together with the frame.
            async with asyncio.timeout(_START_SECONDS):
                frame = await parts.channel.receive(_READY_BYTES)
        except (TimeoutError, FrameError):
            frame = None
        if frame is None or frame.header != {"ready": True}:
            await parts.process.end()
            said = parts.logs.take()[-500:].decode(errors="replace").strip()
            raise EngineUnavailable(
                f"the sandbox did not start: {said or 'it ended without a word'}",
                advice="Check that bubblewrap may make user namespaces, and that the "
                "environment has numpy and pyarrow",
            )

    def _read_back(
        self, parts: Parts, limits: Limits, rlimits: Mapping[str, int]
    ) -> dict[str, str]:
        """Return what is in force, as the kernel says; a limit of this process is its own word."""
        pid = parts.channel.sender
        layers = readback.read_layers(pid, len(self._filters()))
        readback.read_rlimits(pid, rlimits)
        if parts.group is not None:
            held = parts.group.enforced()
        else:
            held = {name.partition(":")[0]: text for name, text in _WEAKER.items()}
        return {
            **layers,
            **held,
            "system-calls": seccomp.description(),
            "open-files": f"RLIMIT_NOFILE={limits.open_files}",
            "scratch": f"tmpfs size={limits.scratch_bytes}",
            "output": f"frames and a stream of up to {limits.output_bytes} bytes a round",
            "logs": f"{limits.log_bytes} bytes kept",
            "wall-time": f"killed after {limits.wall_seconds} s a round",
        }

    def _filters(self) -> tuple[bytes, ...]:
        return seccomp.filters()

    def _command(self, spec: JobSpec, settings: str, inherited: walls.Descriptors) -> list[str]:
        return walls.command(self._bwrap or "bwrap", spec, settings, inherited)


def _settings(spec: JobSpec, rlimits: Mapping[str, int]) -> str:
    return json.dumps(
        {
            "rlimits": dict(rlimits),
            "entry": dict(spec.entry),
            "purpose": spec.purpose,
            "tables": sorted(spec.tables),
            "output_bytes": spec.limits.output_bytes,
        }
    )
