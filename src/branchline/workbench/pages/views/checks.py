"""What is expected of data and models, and how it went last."""

from __future__ import annotations

from dataclasses import dataclass

from branchline.checks.results import Result
from branchline.foundation.errors import BranchlineError, NotFound
from branchline.workbench.checking import standing
from branchline.workbench.pages.desk import Opened
from branchline.workbench.pages.shown.terminal import plain
from branchline.workbench.pages.views.frame import Frame, frame

_FINDINGS = 8


@dataclass(frozen=True)
class ShownCheck:
    """One check.

    Args:
        name: Its name.
        kind: data or model.
        required: Whether nothing is packed or merged without it.
        on: When it is run by itself.
        state: passed, failed or never run.
        findings: What did not hold last.
        more: How many more findings there are.
        metrics: What was measured last.
    """

    name: str
    kind: str
    required: bool
    on: str
    state: str
    findings: tuple[str, ...] = ()
    more: int = 0
    metrics: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ChecksPage:
    """Every check, and what stands in the way.

    Args:
        frame: What stands around it.
        checks: In the order they are written.
        unmet: Why nothing can be packed or merged; empty if it can.
        absent: Whether there are no checks yet.
        problem: Why they cannot be read; empty if they can.
    """

    frame: Frame
    checks: tuple[ShownCheck, ...] = ()
    unmet: tuple[str, ...] = ()
    absent: bool = False
    problem: str = ""


def checks_page(opened: Opened) -> ChecksPage:
    """Return what the page of checks shows."""
    around = frame(opened, "checks", "Checks")
    try:
        found = standing(opened.project)
    except NotFound:
        return ChecksPage(around, absent=True)
    except BranchlineError as error:
        return ChecksPage(around, problem=plain(str(error)))
    if not found.checks.every:
        return ChecksPage(around, absent=True)
    shown = tuple(
        _shown(
            name,
            "data" if name in found.checks.data else "model",
            check.required,
            ", ".join(check.on),
            found.results.get(name),
        )
        for name, check in found.checks.every.items()
    )
    return ChecksPage(around, shown, tuple(plain(each) for each in found.unmet))


def _shown(name: str, kind: str, required: bool, on: str, last: Result | None) -> ShownCheck:
    if last is None:
        return ShownCheck(name, kind, required, on, "never run")
    return ShownCheck(
        name,
        kind,
        required,
        on,
        "passed" if last.passed else "failed",
        tuple(plain(each.sentence) for each in last.findings[:_FINDINGS]),
        max(0, len(last.findings) - _FINDINGS),
        tuple((plain(each), f"{value:.6g}") for each, value in last.metrics.items()),
    )
