"""The demo's report on paper: federated beside pooled, what was kept back, what was verified."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from branchline.demo.check import Tampering
from branchline.demo.pooled import TOLERANCE, Cell
from branchline.demo.report import DemoReport
from branchline.journey.verify import Outcome, StepReport


def print_report(report: DemoReport, console: Console) -> None:
    """Print the whole report."""
    console.print()
    console.print(_regression(report))
    console.print(_agreement(report))
    console.print()
    console.print(_outcomes(report))
    console.print()
    console.print(_kept(report))
    console.print()
    console.print(_seconds(report))
    console.print(_environment(report))
    if report.weaker:
        console.print(
            Text(
                "This user has no control groups. The demo accepted weaker limits, for each process "
                f"alone: {', '.join(report.weaker)}. A station is refused until its administrator "
                "accepts them by name."
            )
        )
    for verified in report.verification:
        console.print()
        console.print(Text(f"Verification of {verified.train}, offline", "bold"))
        for step in verified.steps:
            console.print(_step(step))
    if report.checks:
        console.print()
        console.print(_checks(report))
    if report.tampering is not None:
        console.print(_tampering(report.tampering))


def _regression(report: DemoReport) -> Table:
    federated = report.federated
    table = _table(
        Text(
            f"Pancreatitis after ERCP: logistic regression over {federated.n} patients of "
            f"{len(federated.hospitals)} hospitals, {federated.rounds} rounds"
        ),
    )
    table.add_column("")
    for heading in ("odds ratio", "coefficient", "pooled", "std. error", "pooled"):
        table.add_column(heading, justify="right")
    for ours, theirs in zip(federated.estimates, report.pooled.estimates, strict=True):
        table.add_row(
            ours.term.replace("_", " "),
            f"{ours.odds_ratio:.3f}",
            f"{ours.coefficient:.6f}",
            f"{theirs.coefficient:.6f}",
            f"{ours.standard_error:.6f}",
            f"{theirs.standard_error:.6f}",
        )
    return table


def _agreement(report: DemoReport) -> Text:
    difference = report.largest_relative_difference
    equal = difference <= TOLERANCE
    verdict = "equal" if equal else "NOT EQUAL"
    return Text(
        f"Federated and pooled are {verdict}: largest relative difference {difference:.1e}, "
        f"at most {TOLERANCE:.0e} promised",
        "green" if equal else "bold red",
    )


def _outcomes(report: DemoReport) -> Table:
    federated = report.federated
    table = _table(
        Text(
            f"Outcome by treatment over {federated.table_hospitals} hospitals "
            f"({federated.table_left_out} left out because of suppressed cells)"
        ),
    )
    table.add_column("treatment")
    for heading in ("pancreatitis", "none", "share", "pooled"):
        table.add_column(heading, justify="right")
    pooled = _by_arm(report.pooled_table)
    for arm, (ill, well) in _by_arm(federated.table).items():
        share = f"{ill / (ill + well):.1%}" if ill + well else "-"
        table.add_row(arm, str(ill), str(well), share, " / ".join(map(str, pooled[arm])))
    return table


def _by_arm(cells: tuple[Cell, ...]) -> dict[str, tuple[int, int]]:
    counts = {(cell.rx, cell.outcome): cell.n for cell in cells}
    return {arm: (counts[arm, "yes"], counts[arm, "no"]) for arm, _ in counts}


def _kept(report: DemoReport) -> Table:
    table = _table(Text("What stayed at its hospital"))
    for heading in ("hospital", "train", "", "reason given"):
        table.add_column(heading)
    kinds = [("withheld", kept) for kept in report.withheld]
    kinds += [("in part", kept) for kept in report.suppressed]
    for what, kept in kinds:
        table.add_row(kept.hospital, kept.train, what, Text(kept.reason))
    return table


def _environment(report: DemoReport) -> Text:
    if report.image is None:
        return Text(
            "The trains ran on this machine's own Python: not reproducible, and the study says so."
        )
    return Text(
        f"The trains ran in the image {report.image}: the same packages give it anywhere, bit for "
        "bit. Here all parties share one store of images."
    )


def _seconds(report: DemoReport) -> Table:
    table = _table(Text("Where the time went"), footer=True)
    table.add_column("phase", footer="all")
    total = sum(report.seconds.values())
    table.add_column("seconds", footer=f"{total:.1f}", justify="right")
    for phase, seconds in report.seconds.items():
        table.add_row(phase, f"{seconds:.1f}")
    return table


def _step(step: StepReport) -> Text:
    marks = {Outcome.PASSED: ("ok", "green"), Outcome.FAILED: ("FAILED", "bold red")}
    mark, style = marks.get(step.outcome, ("not reached", "yellow"))
    text = Text.assemble(f"{step.number:3}. {step.says} ", (mark, style))
    return text.append(f": {step.reason}") if step.reason else text


def _checks(report: DemoReport) -> Table:
    table = _table(Text("One journey, checked by four parties, each with its own keys alone"))
    for heading in ("party", "", "found", "repeat it with"):
        table.add_column(heading)
    for check in report.checks:
        mark = Text("ok", "green") if check.holds else Text("FAILED", "bold red")
        table.add_row(check.party, mark, Text(check.says), Text(check.by))
    return table


def _tampering(tampering: Tampering) -> Text:
    text = Text.assemble(("Tampering with a copy of central's disk: ", "bold"), tampering.done)
    for sentence in tampering.named:
        text.append(f"\n  noticed: {sentence}")
    return text if tampering.named else text.append("\n  NOT NOTICED", "bold red")


def _table(title: Text, *, footer: bool = False) -> Table:
    # Without frames, so that it can be copied.
    title.stylize("bold")
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_footer=footer)
