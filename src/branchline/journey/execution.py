"""Run a train at a station: the session that stays, and the checks after every round.

The same code serves a hospital's station and a trial on the author's machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from branchline.disclosure.check import check_outputs
from branchline.disclosure.context import Context
from branchline.disclosure.findings import Findings
from branchline.disclosure.policy import Decision, ReleasePolicy, decide
from branchline.disclosure.rows import RowIndex
from branchline.disclosure.rules import Thresholds
from branchline.foundation.buffers import Pieces, gather
from branchline.foundation.canonical import digest_of_json
from branchline.foundation.digest import Bytes, Digest
from branchline.sandbox.engine import (
    Engine,
    EnvironmentMount,
    Failed,
    FailureReason,
    JobSpec,
    RoundRequest,
    Session,
)
from branchline.sandbox.limits import Limits
from branchline.train.bundle import OpenBundle, unpack
from branchline.train.entry import as_dict

LARGE = 1 << 20


@dataclass(frozen=True)
class Checked:
    """A round's outputs after the checks.

    Args:
        payload: What may leave once released, encoded; empty if anything is refused.
        findings: What the checks found, with evidence for the output checker.
        decision: What the policy makes of it.
        logs: What the train printed; stays at the station.
    """

    payload: Bytes
    findings: Findings
    decision: Decision
    logs: bytes


@dataclass(frozen=True)
class House:
    """What a station demands of every train, and where it runs it."""

    engine: Engine
    mount: EnvironmentMount
    limits: Limits
    thresholds: Thresholds
    policy: ReleasePolicy


class TrainRun:
    """One train at one station.

    Args:
        house: The station's engine, limits, thresholds and policy.
        opened: The train.
        parameters: Checked parameters.
        tables: The extracted tables, by name.
        rows: How many records each has.
        folder: A folder of the run's own; removed at the end.
    """

    def __init__(
        self,
        house: House,
        opened: OpenBundle,
        parameters: dict[str, Any],
        tables: Mapping[str, Path],
        rows: Mapping[str, int],
        folder: Path,
    ) -> None:
        self._house, self._opened, self._parameters = house, opened, parameters
        self._tables, self._rows, self._folder = tables, rows, folder
        self._session: Session | None = None
        index = RowIndex(self._load, codes=_codes(opened), min_group=house.thresholds.min_group)
        self._context = Context(rows, index, house.thresholds)

    async def start(self) -> None:
        """Start the sandbox with the data bound."""
        code = self._folder / "code"
        shutil.rmtree(code, ignore_errors=True)
        unpack(self._opened, code)
        spec = JobSpec(
            self._house.mount,
            code,
            self._tables,
            as_dict(self._opened.manifest.station),
            self._house.limits,
        )
        self._session = await self._house.engine.start(spec)

    async def run(self, round_: int, state: Bytes | Pieces | None) -> Checked | Failed:
        """Run one round and check what came out."""
        assert self._session is not None, "started first"
        sequential = self._opened.manifest.route.kind == "sequential"
        carried = sequential and state is not None
        self._context = dataclasses.replace(self._context, carried=carried)
        outcome = await self._session.run(RoundRequest(round_, self._parameters, state))
        if isinstance(outcome, Failed):
            return outcome
        assert outcome.outputs is not None, "a station's round has outputs"
        if len(outcome.outputs) <= LARGE:
            return self._check(outcome.outputs, outcome.logs)
        return await asyncio.to_thread(self._check, outcome.outputs, outcome.logs)

    def _check(self, outputs: Bytes, logs: bytes) -> Checked | Failed:
        # numpy and pyarrow come with the first train, not with an idle station.
        from branchline.sandbox.inside.values import PayloadError, decode_payload, prepare_payload

        try:
            payload = decode_payload(outputs, max_bytes=self._house.limits.output_bytes)
        except PayloadError as error:
            return Failed(FailureReason.BAD_OUTPUT, str(error), logs)
        findings = check_outputs(self._opened.manifest.outputs, payload, self._context)
        decision = decide(findings, self._house.policy)
        if not findings.payload:
            return Checked(b"", findings, decision, logs)
        # Encoded anew: bits that are no values (padding, bits under nulls) do not leave.
        encoded = prepare_payload(findings.payload)
        leaving = outputs if encoded.is_in(outputs) else gather(encoded)
        return Checked(leaving, findings, decision, logs)

    def account(self, values: int) -> None:
        """Add released numbers to the journey's account, which bounds all its rounds together."""
        released = self._context.released_values_so_far + values
        self._context = dataclasses.replace(self._context, released_values_so_far=released)

    @property
    def record(self) -> dict[str, Any]:
        """Which engine ran, what it enforced and what was used, as plain JSON values."""
        assert self._session is not None, "started first"
        plain: dict[str, Any] = msgspec.to_builtins(self._session.record)
        return plain

    @property
    def enforced(self) -> Digest:
        """Digest of the engine's name and of everything it enforced."""
        record = self.record
        return digest_of_json({"engine": record["engine"], "enforced": record["enforced"]})

    async def close(self) -> None:
        """End the sandbox and remove everything the run laid down."""
        if self._session is not None:
            await self._session.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self) -> dict[str, Any]:
        import pyarrow as pa

        loaded = {}
        for name, path in self._tables.items():
            with pa.memory_map(str(path)) as source:
                loaded[name] = pa.ipc.open_file(source).read_all()
        return loaded


def _codes(opened: OpenBundle) -> dict[str, dict[str, tuple[Any, ...]]]:
    return {
        table.name: {column.name: tuple(column.codes) for column in table.columns if column.codes}
        for table in opened.manifest.needs
    }


def findings_digest(findings: Findings) -> Digest:
    """Name findings by what they say, the evidence included."""
    return digest_of_json(findings_as_json(findings))


def findings_as_json(findings: Findings) -> list[dict[str, Any]]:
    """Write findings for the output checker."""
    return [
        {
            "output": finding.output,
            "kind": finding.kind or "",
            "verdict": finding.verdict,
            "rule": finding.rule,
            "reason": finding.safe_reason,
            "evidence": {key: str(value) for key, value in finding.evidence.items()},
        }
        for finding in findings.findings
    ]
