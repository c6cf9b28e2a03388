"""What the demo found, and whether that is what was promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from branchline.demo.check import Check, Tampering
from branchline.demo.data import SMALLEST
from branchline.demo.pooled import TOLERANCE, Cell, Estimate, Pooled, largest_difference
from branchline.foundation.digest import Digest
from branchline.foundation.errors import BranchlineError
from branchline.journey.verify import Outcome, StepReport


class DemoFailed(BranchlineError):
    """The demo ran to its end and did not find what it promises."""

    code = "demo-failed"


class Kept(msgspec.Struct, frozen=True):
    """A contribution that did not leave its hospital, or not whole, and the reason it gave."""

    train: str
    hospital: str
    reason: str


class Federated(msgspec.Struct, frozen=True):
    """What the two trains brought back.

    Args:
        estimates: The regression's coefficients.
        n: Patients it rests on.
        log_likelihood: At the estimates.
        rounds: Newton steps.
        hospitals: Hospitals it rests on, by name, from the journey's signed acts.
        table: Patients by treatment and outcome.
        table_hospitals: How many hospitals the table rests on.
        table_left_out: How many it leaves out because cells of theirs were suppressed.
    """

    estimates: tuple[Estimate, ...]
    n: int
    log_likelihood: float
    rounds: int
    hospitals: tuple[str, ...]
    table: tuple[Cell, ...]
    table_hospitals: int
    table_left_out: int


class Verified(msgspec.Struct, frozen=True):
    """The offline verification of one train's result, step by step."""

    train: str
    steps: tuple[StepReport, ...]


class DemoReport(msgspec.Struct, frozen=True):
    """Everything that the demo shows.

    Args:
        federated: What came back from the hospitals.
        pooled: The same from all patients in one place.
        pooled_table: Their table, over the hospitals whose own tables are whole.
        withheld: Contributions kept back.
        suppressed: Contributions with cells left out.
        seconds: How long each phase took.
        verification: Both results, verified offline.
        weaker: Weaker limits that had to be accepted on this machine, by this user.
        checks: What each of four parties checked of one journey, with its own keys alone.
        tampering: What was changed on a copy of central's disk, and how the audit named it.
        image: The image the trains ran in; None for this machine's own Python.
    """

    federated: Federated
    pooled: Pooled
    pooled_table: tuple[Cell, ...]
    withheld: tuple[Kept, ...]
    suppressed: tuple[Kept, ...]
    seconds: dict[str, float]
    verification: tuple[Verified, ...]
    weaker: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    tampering: Tampering | None = None
    image: Digest | None = None

    @property
    def largest_relative_difference(self) -> float:
        """The largest relative difference between federated and pooled estimates."""
        return largest_difference(self.federated.estimates, self.pooled.estimates)

    def as_json(self) -> dict[str, Any]:
        """Return the one object that ``--json`` prints."""
        shown: dict[str, Any] = msgspec.to_builtins(
            {
                "estimates": self.federated.estimates,
                "pooled": self.pooled.estimates,
                "largest_relative_difference": self.largest_relative_difference,
                "n": self.federated.n,
                "rounds": self.federated.rounds,
                "hospitals": self.federated.hospitals,
                "table": self.federated.table,
                "pooled_table": self.pooled_table,
                "withheld": self.withheld,
                "suppressed": self.suppressed,
                "weaker_limits": self.weaker,
                "environment": {"image": self.image, "reproducible": self.image is not None},
                "seconds": {phase: round(s, 3) for phase, s in self.seconds.items()},
                "verification": self.verification,
                "checks": self.checks,
                "tampering": self.tampering,
            }
        )
        return shown

    def require(self) -> None:
        """Refuse a demo that does not keep its promises.

        Raises:
            DemoFailed: It names every promise broken.
        """
        broken = list(self._broken())
        if broken:
            raise DemoFailed(
                "The demo does not keep its promises: " + "; ".join(broken),
                advice="Run it again with --keep DIR and look at the logs there",
                detail=self.as_json(),
            )

    def _broken(self) -> Iterator[str]:
        if not self.largest_relative_difference <= TOLERANCE:  # also if it is no number
            yield (
                f"federated and pooled estimates differ by {self.largest_relative_difference:.1e}; "
                f"at most {TOLERANCE:.0e} is promised"
            )
        if self.federated.n != self.pooled.n:
            yield f"the regression rests on {self.federated.n} patients; expected {self.pooled.n}"
        if self.federated.table != self.pooled_table:
            yield "the outcome table is not the pooled one"
        for check in self.checks:
            if not check.holds:
                yield f"{check.party} ({check.by}): {check.says}"
        if self.tampering is not None and not self.tampering.named:
            yield f"nobody noticed that {self.tampering.done}"
        yield from self._not_withheld()
        for verified in self.verification:
            for step in verified.steps:
                if step.outcome is not Outcome.PASSED:
                    yield f"{verified.train}: step {step.number} is {step.outcome}: {step.reason}"

    def _not_withheld(self) -> Iterator[str]:
        for verified in self.verification:
            hospitals = [kept.hospital for kept in self.withheld if kept.train == verified.train]
            if hospitals != [SMALLEST]:
                names = ", ".join(hospitals) or "none"
                yield f"{verified.train}: withheld at {names}; expected at {SMALLEST} alone"
