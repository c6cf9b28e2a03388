"""``branchline environment survey``: what many people's environments have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, table, verb, wants_json

if TYPE_CHECKING:
    from branchline.environment.survey import Report

_SHOWN = 15
_LAYERS = ("10", "50", "100", "500")
_KINDS = {"python": "Python", "conda": "conda", "apt": "Debian", "r": "R", "julia": "Julia"}


@verb(None, "survey", "branchline environment survey ./binder.sqlite --layer 100")
@click.argument(
    "sources",
    type=click.Path(path_type=Path, exists=True),
    nargs=-1,
    required=True,
    metavar="FILE.sqlite|DIR...",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="N|FILE",
    help="A layer to judge: the N most used packages, or those a file lists, one on each line.",
)
def survey(sources: tuple[Path, ...], layers: tuple[str, ...]) -> Answer:
    """Report what many environments ask for, and how far a shared layer would serve them.

    Reads the published Binder launch dataset (an SQLite file), or folders of repositories. Every
    spec file is read as strictly as for a lock; those that cannot be read are counted by reason.
    """
    from time import perf_counter

    from branchline.environment.survey import parse_layer
    from branchline.environment.survey import survey as run

    wanted = [parse_layer(text, _read) for text in layers or _LAYERS]
    begun = perf_counter()
    with _counting() as progress:
        report = run(sources, wanted, progress=progress)
    seconds = perf_counter() - begun
    return Answer(_as_json(report, seconds), _as_text(report, seconds))


def _read(path: str) -> str:
    from branchline.foundation.errors import Refused

    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"{path!r} is neither a number nor a file that can be read",
            advice="Write --layer 100, or --layer and the name of a file that lists packages",
        ) from error


@contextmanager
def _counting() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many environments are done."""
    import sys

    if wants_json() or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("environments"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("environments", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _as_json(report: Report, seconds: float) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain | {"seconds": round(seconds, 3)}


def _as_text(report: Report, seconds: float) -> str:
    number = report.environments
    sections = [
        f"{number} environments in {seconds:.1f} s, {report.distinct} different packages",
        _shares("file", report.files, number),
        _shares("pack that wins", report.winners, number),
        _shares("version", dict(list(report.versions.items())[:_SHOWN]), number),
        _shares("can be locked", report.lockable, number),
        *_packages(report),
        _coverage(report),
        _faults(report),
        _years(report),
        _clean(report),
    ]
    return "\n\n".join(section for section in sections if section)


def _shares(heading: str, counts: dict[str, int], of: int) -> str:
    rows = [(name, str(n), _percent(n, of)) for name, n in counts.items()]
    return table((heading, "environments", "share"), rows, "")


def _packages(report: Report) -> Iterator[str]:
    for kind, used in report.packages.items():
        counts = {each.package: each.environments for each in used[:_SHOWN]}
        yield _shares(_KINDS[kind], counts, report.environments)
    if report.missing:
        yield f"Each count may lack {report.missing}: there are more packages than are counted"


def _coverage(report: Report) -> str:
    rows = [
        (each.layer, str(each.packages), _hundredths(each.full), _hundredths(each.mean))
        for each in report.coverage
    ]
    columns = ("layer", "packages", "serves wholly", "serves on average")
    of = f"of {report.whole} environments that were read whole and ask for a package"
    return f"{table(columns, rows, '')}\n{of}"


def _faults(report: Report) -> str:
    rows = [(each.file, each.reason, str(each.files)) for each in report.faults]
    return table(("cannot be read", "why", "files"), rows, "Every file could be read")


def _years(report: Report) -> str:
    rows = [
        (
            each.year,
            str(each.launches),
            str(each.environments),
            ", ".join(used.package.partition(":")[2] for used in each.packages[:5]),
        )
        for each in report.years
    ]
    return table(("year", "launches", "environments", "most used"), rows, "")


def _clean(report: Report) -> str:
    if report.clean is None:
        return ""
    same = _percent(report.clean.equal, report.clean.environments)
    return f"The dataset's own clean lists name the same Python packages in {same}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _hundredths(share: int) -> str:
    return f"{share / 100:.1f} %"
