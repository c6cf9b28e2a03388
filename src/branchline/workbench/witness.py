"""An engine that remembers how its last round failed: the trace an author needs and nobody else."""

from __future__ import annotations

from branchline.sandbox.engine import (
    Capabilities,
    Engine,
    Failed,
    JobSpec,
    RoundOutcome,
    RoundRequest,
    Session,
)
from branchline.sandbox.limits import RunRecord


class Witness:
    """Wrap an engine with the same interface.

    The aggregator passes on a failure's reason only, as it must at central; on the author's own
    machine the trace behind it is what he needs.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.last: Failed | None = None

    @property
    def name(self) -> str:
        """Return the wrapped engine's name."""
        return self._engine.name

    def capabilities(self) -> Capabilities:
        """Return what the wrapped engine can enforce."""
        return self._engine.capabilities()

    async def start(self, spec: JobSpec) -> Session:
        """Start a session whose failures are remembered."""
        return _Watched(await self._engine.start(spec), self)


class _Watched:
    def __init__(self, session: Session, witness: Witness) -> None:
        self._session, self._witness = session, witness

    @property
    def record(self) -> RunRecord:
        return self._session.record

    async def run(self, request: RoundRequest) -> RoundOutcome:
        outcome = await self._session.run(request)
        if isinstance(outcome, Failed):
            self._witness.last = outcome
        return outcome

    async def close(self) -> None:
        await self._session.close()
