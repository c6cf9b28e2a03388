"""One running session: rounds in, outcomes out, and the one reason when something fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from branchline.foundation.buffers import Pieces
from branchline.foundation.digest import Bytes
from branchline.foundation.tasks import in_thread
from branchline.sandbox.cgroups import Counters, Group
from branchline.sandbox.channel import Channel
from branchline.sandbox.engine import (
    Completed,
    Failed,
    FailureReason,
    JobSpec,
    RoundOutcome,
    RoundRequest,
)
from branchline.sandbox.inside.frames import (
    INLINE_LIMIT,
    FrameError,
    Incoming,
    Outgoing,
    TooLarge,
    pack,
    pack_flow,
    size_of,
)
from branchline.sandbox.limits import RunRecord, Usage
from branchline.sandbox.logs import LogPipe
from branchline.sandbox.process import SandboxProcess, killed_by

_FLOW_SHARE = 4
"""Inputs of at most one part in so many of a train's memory are put into it."""
_SPARE_BYTES = 64 << 10  # a failure's trace may come on top of the output limit
_PROCESSORS = os.cpu_count() or 1
_TICKS = 1.1
_REASONS = {
    str(reason): reason
    for reason in (
        FailureReason.TRAIN_ERROR,
        FailureReason.BAD_OUTPUT,
        FailureReason.OUTPUT_SIZE,
        FailureReason.MEMORY,
    )
}
"""What the runner may say by itself; anything else only the host can know."""


@dataclass
class Parts:
    """What a session is made of."""

    process: SandboxProcess
    channel: Channel
    logs: LogPipe
    group: Group | None


class SandboxSession:
    """A session of one bubblewrap process; see `engine.Session` for the promises."""

    def __init__(self, name: str, spec: JobSpec, parts: Parts, enforced: Mapping[str, str]) -> None:
        self._name = name
        self._spec = spec
        self._parts = parts
        self._enforced = dict(enforced)
        self._begun = time.monotonic()
        self._wall: float | None = None
        self._last: Counters | None = None
        self._reason: FailureReason | None = None

    @property
    def record(self) -> RunRecord:
        """Return what is enforced and used, also after `close`."""
        counters = self._count()
        usage = Usage(
            peak_memory_bytes=counters.peak_memory_bytes if counters else None,
            cpu_seconds=counters.cpu_seconds if counters else None,
            wall_seconds=self._wall or time.monotonic() - self._begun,
            log_bytes_dropped=self._parts.logs.dropped,
        )
        return RunRecord(self._name, self._enforced, usage, self._parts.process.exit)

    async def run(self, request: RoundRequest) -> RoundOutcome:
        """Run one round; whatever the train does ends as an outcome."""
        before = self._count()
        try:
            outcome = await self._round(request)
        except BaseException:
            # Cancelled halfway: whatever the train answers now belongs to no round.
            self._parts.process.kill()
            self._reason = FailureReason.KILLED
            raise
        if isinstance(outcome, Failed):
            reason = self._better_reason(outcome.reason, before)
            return Failed(reason, outcome.trace, outcome.logs)
        return outcome

    async def close(self) -> None:
        """Kill everything in the session and leave nothing behind."""
        if self._wall is not None:
            return
        self._wall = time.monotonic() - self._begun
        try:
            await self._parts.process.end()
        finally:
            # Also when the one who closes is cancelled halfway, and then again.
            self._parts.channel.close()
            self._parts.logs.close()
            if self._parts.group is not None:
                self._count()
                group, self._parts.group = self._parts.group, None
                await in_thread(group.remove)

    async def _round(self, request: RoundRequest) -> RoundOutcome:
        if self._reason is not None or self._wall is not None:
            return self._failed(FailureReason.KILLED)
        if self._parts.channel.pending():
            return await self._fatal(FailureReason.BAD_OUTPUT)
        waiting = asyncio.ensure_future(self._exchange(request))
        try:
            reason = await self._watch(waiting)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
        if reason is not None:
            return await self._fatal(reason)
        try:
            answer = waiting.result()
            if answer is None:
                return await self._fatal(FailureReason.KILLED)
            return await self._outcome(request.round, answer)
        except TooLarge:
            return await self._fatal(FailureReason.OUTPUT_SIZE)
        except FrameError:
            return await self._fatal(FailureReason.BAD_OUTPUT)

    async def _exchange(self, request: RoundRequest) -> Incoming | None:
        parts: list[tuple[str, Bytes | Pieces]] = [
            ("parameters", json.dumps(request.parameters).encode())
        ]
        if request.state is not None:
            parts.append(("state", request.state))
        parts += [("update", update) for update in request.updates]
        header = {"round": request.round}
        size = sum(size_of(part) for _, part in parts)
        if size <= INLINE_LIMIT:
            sent = await self._parts.channel.send(pack(header, parts))
        elif size * _FLOW_SHARE <= self._spec.limits.memory_bytes:
            sent = await self._flow(header, parts)
        else:
            # In a memfd, which is the host's memory, not the train's.
            sent = await self._parts.channel.send(await _pack_aside(header, parts))
        if not sent:
            return None
        return await self._parts.channel.receive(self._spec.limits.output_bytes + _SPARE_BYTES)

    async def _flow(
        self, header: Mapping[str, object], parts: list[tuple[str, Bytes | Pieces]]
    ) -> bool:
        frame, flow = pack_flow(header, parts)
        # In a thread of its own: a train that does not read holds up nobody else.
        with ThreadPoolExecutor(1, "flow") as thread:
            try:
                # If the session is gone, so is the flow's other end.
                await self._parts.channel.send(frame)
                return await asyncio.wrap_future(thread.submit(flow.send))
            finally:
                flow.stop()

    async def _watch(self, waiting: asyncio.Future[Incoming | None]) -> FailureReason | None:
        """Wait for the answer; return a reason when wall or CPU time runs out before it."""
        limits = self._spec.limits
        deadline = time.monotonic() + limits.wall_seconds
        while True:
            left = deadline - time.monotonic()
            counters = self._count()
            if counters is not None:
                spare = limits.cpu_seconds - counters.cpu_seconds
                if spare <= 0:
                    return FailureReason.CPU_TIME
                # On every processor at once the time left would last this long.
                left = min(left, max(spare / _PROCESSORS, 0.05))
            done, _ = await asyncio.wait({waiting}, timeout=max(left, 0))
            if done:
                return None
            if time.monotonic() >= deadline:
                return FailureReason.WALL_TIME

    async def _outcome(self, number: int, answer: Incoming) -> RoundOutcome:
        header, parts = answer
        if header.get("round") != number:
            raise FrameError("the answer is for another round")
        named = dict(parts)
        if len(named) != len(parts):
            raise FrameError("the answer has a part twice")
        match header:
            case {"status": "failed", "reason": str(said)} if said in _REASONS:
                trace = bytes(named.get("trace", b"")).decode(errors="replace")
                return self._failed(_REASONS[said], trace)
            case {"status": "completed"} if set(named) <= self._expected():
                return await self._completed(named)
        raise FrameError("the answer says neither completed nor failed")

    async def _completed(self, named: Mapping[str, Bytes]) -> RoundOutcome:
        from branchline.sandbox.inside.values import PayloadError, decode_payload

        limit = self._spec.limits.output_bytes
        if sum(len(data) for data in named.values()) > limit:
            raise TooLarge
        for data in named.values():
            try:
                if len(data) <= INLINE_LIMIT:
                    decode_payload(data, max_bytes=limit)
                else:
                    await asyncio.to_thread(decode_payload, data, max_bytes=limit)
            except PayloadError as error:
                return self._failed(FailureReason.BAD_OUTPUT, str(error))
        if self._spec.purpose == "station" and "outputs" not in named:
            raise FrameError("the answer has no outputs")
        return Completed(**{**named, "logs": self._parts.logs.take()})  # type: ignore[arg-type]

    def _expected(self) -> set[str]:
        return {"outputs"} if self._spec.purpose == "station" else {"state", "result"}

    def _failed(self, reason: FailureReason, trace: str = "") -> Failed:
        return Failed(reason, trace, self._parts.logs.take())

    async def _fatal(self, reason: FailureReason) -> Failed:
        """Kill the session: after this failure nothing it says can be trusted or awaited."""
        if reason is FailureReason.KILLED:
            # The connection ended by itself; the exit code that follows may tell more.
            code = await self._parts.process.wait_or_end()
            if killed_by(code, signal.SIGXCPU):
                reason = FailureReason.CPU_TIME
        else:
            await self._parts.process.end()
        self._reason = reason
        return self._failed(reason)

    def _better_reason(self, reason: FailureReason, before: Counters | None) -> FailureReason:
        """Prefer what the kernel counted during the round to what the train felt of it."""
        after = self._count()
        if before is None or after is None or reason is FailureReason.WALL_TIME:
            return reason
        if after.oom_kills > before.oom_kills:
            return FailureReason.MEMORY
        # A process's own limit is counted in ticks, the group's time exactly: they differ a little.
        if after.cpu_seconds * _TICKS >= self._spec.limits.cpu_seconds:
            return FailureReason.CPU_TIME
        if after.refused_forks > before.refused_forks:
            return FailureReason.PROCESSES
        return reason

    def _count(self) -> Counters | None:
        if self._parts.group is not None:
            try:
                self._last = self._parts.group.counters()
            except OSError:
                # Somebody took the group away, and the limits with it: nothing runs without them.
                self._parts.process.kill()
                self._reason = self._reason or FailureReason.KILLED
        return self._last


async def _pack_aside(
    header: Mapping[str, object], parts: list[tuple[str, Bytes | Pieces]]
) -> Outgoing:
    """Copy large parts in a thread; when cancelled, the memfd is closed once it is there."""
    packing = asyncio.ensure_future(asyncio.to_thread(pack, header, parts))
    try:
        return await asyncio.shield(packing)
    except asyncio.CancelledError:
        packing.add_done_callback(_discard)
        raise


def _discard(packing: asyncio.Future[Outgoing]) -> None:
    if packing.exception() is None and (descriptor := packing.result().descriptor) is not None:
        os.close(descriptor)
