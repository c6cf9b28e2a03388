"""A journey in the requester's hands: where it stands, what came back, what to do about a station."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from branchline.foundation.canonical import canonical_json
from branchline.foundation.errors import Conflict
from branchline.foundation.keys import Identity
from branchline.foundation.sealing import unseal
from branchline.journey import acts, messages
from branchline.journey.machine import ENDED, Phase
from branchline.train.bundle import open_bundle
from branchline.workbench.core import Core
from branchline.workbench.home import WorkbenchHome
from branchline.workbench.loop import PrivateLoop
from branchline.workbench.progress import Watcher
from branchline.workbench.results import Result, open_result, result_digest, write_result

_STOPS_HERE = ENDED | {Phase.WAITING}
"""Phases in which nothing more happens by itself."""


class Journey:
    """One journey; made by ``Client.depart`` or ``Client.journey``.

    Args:
        id: Its identifier.
        core: The person at central.
        loop: Where the core runs.
        home: The person's folder.
    """

    def __init__(self, id: str, core: Core, loop: PrivateLoop, home: WorkbenchHome) -> None:
        self.id = id
        self._core, self._loop, self._home = core, loop, home

    def __repr__(self) -> str:
        return f"Journey({self.id})"

    def status(self) -> messages.JourneyStatus:
        """Return where it stands now."""
        return self._loop.run(self._core.status(self.id))

    def watch(self) -> Iterator[messages.JourneyStatus]:
        """Yield its status now and at every change, as central pushes it, until it has ended."""
        return self._loop.iterate(self._core.watch(self.id))

    def wait(self, progress: bool = False) -> messages.JourneyStatus:
        """Wait until it has ended, or waits for a word of yours (``skip``, ``retry``).

        Args:
            progress: Show each station meanwhile, in a terminal or a notebook.
        """
        with Watcher(shown=progress) as watcher:
            for status in self.watch():
                watcher.show(status)
                if status.phase in _STOPS_HERE:
                    return status
        return self.status()

    def result(self, folder: str | Path | None = None) -> Result:
        """Wait for the result, open it, check it, and write its folder; may be asked for again.

        Args:
            folder: Where; by default the journey's own folder among the home's results.

        Raises:
            Conflict: The journey ended without a result, or waits for a word of yours.
            Corrupt: What came back is not what the journey announced.
        """
        status = self.wait()
        if status.phase not in (Phase.ARRIVED, Phase.DELIVERED):
            raise _without_result(status)
        target = self._home.results / self.id if folder is None else Path(folder).absolute()
        return self._loop.run(self._fetch(status, target))

    def evidence(self) -> messages.Evidence:
        """Return the signed entries and receipts of everything that happened so far."""
        return self._loop.run(self._core.evidence(self.id))

    def cancel(self, reason: str = "") -> messages.JourneyStatus:
        """Call the train back."""
        return self._loop.run(self._do(acts.JourneyCancelled, reason=reason))

    def skip(self, station: str) -> messages.JourneyStatus:
        """Go on without a station that declined, withheld, failed or did not answer."""
        return self._loop.run(self._do(acts.StopSkipped, station=station))

    def retry(self, station: str) -> messages.JourneyStatus:
        """Send the train to a station again that declined, failed or did not answer."""
        return self._loop.run(self._do(acts.StopRetried, station=station))

    async def _do(self, kind: type[acts.JourneyAct], **fields: Any) -> messages.JourneyStatus:
        id_, at = self._core.stamp()
        await self._core.act(kind(id=id_, at=at, journey=self.id, **fields))
        return await self._core.status(self.id)

    async def _fetch(self, status: messages.JourneyStatus, folder: Path) -> Result:
        if status.result is None:
            raise Conflict(f"The journey {self.id} is {status.phase}, but names no result")
        identity: Identity = self._home.identity
        parcel = await self._core.parcel(status.result)
        payload = unseal(parcel, identity.seal_private)
        content = result_digest(payload, status.content)
        bundle = await self._core.train(status.train)
        manifest = open_bundle(bundle, status.train).manifest
        values = open_result(payload, manifest)
        if status.phase == Phase.ARRIVED:
            # Before the evidence is fetched, so that it tells of the delivery too.
            await self._do(acts.JourneyDelivered, content=content)
        evidence = await self._core.evidence(self.id)
        self._home.keep_evidence(self.id, canonical_json(evidence))
        request = self._core.requested(evidence, self.id)
        write_result(folder, payload, values, request, manifest, bundle, evidence)
        return Result(self.id, values, content, folder)


def _without_result(status: messages.JourneyStatus) -> Conflict:
    told = [status.reason] if status.reason else []
    told += [f"{s.station} {s.phase}: {s.reason}" for s in status.stops if s.reason]
    if status.phase == Phase.WAITING:
        advice = "Say 'branchline journey skip' or 'branchline journey retry' with the station"
    else:
        advice = "Look at 'branchline journey status'"
    return Conflict(
        f"The journey {status.journey} is {status.phase} and has no result"
        + (f" ({'; '.join(told)})" if told else ""),
        advice=advice,
        detail={"phase": status.phase.value, "reason": status.reason},
    )
