"""``branchline station study``: what this site allows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb, wants_json, working
from branchline.cli.station.home import BY, HOME, opened, station_store
from branchline.cli.studies import study_as_json, study_as_text

if TYPE_CHECKING:
    from branchline.cli.station.site import SeenStudy, Site
    from branchline.study.duo import Verdict


@click.group(no_args_is_help=True)
def study() -> None:
    """Approve studies, and withdraw."""


@verb(study, "list", "branchline station study list")
@HOME
def list_(home: Path) -> Answer:
    """List the studies this station approved."""
    found = station_store(opened(home)).approvals()
    rows = [
        (a.study, "withdrawn" if a.withdrawn else "approved", ", ".join(a.datasets), a.digest)
        for a in found
    ]
    columns = ("study", "is", "datasets", "digest")
    text = table(columns, rows, "No study was approved here yet.")
    data = [
        {"study": a.study, "withdrawn": a.withdrawn, "datasets": a.datasets, "digest": a.digest}
        for a in found
    ]
    return Answer({"studies": data}, text)


@verb(study, "show", "branchline station study show pancreatitis")
@click.argument("name")
@HOME
def show(name: str, home: Path) -> Answer:
    """Show a study that names this station, every signature checked."""
    with working("fetching the study"):
        seen = asyncio.run(_site(home).look(name))
    return Answer(_as_json(seen), _as_text(seen))


@verb(
    study,
    "approve",
    "branchline station study approve pancreatitis --by 'A. Weber, data steward'",
)
@click.argument("name")
@click.option("--dataset", "datasets", multiple=True, help="Only this one; repeatable.")
@click.option("--yes", is_flag=True, help="Approve without being asked.")
@BY
@HOME
def approve(name: str, datasets: tuple[str, ...], yes: bool, by: str, home: Path) -> Answer:
    """Allow a study to use datasets of this station.

    Fetches the study, checks every signature and that it pins this station's own keys, shows
    what it is about, and asks. Trains of the study may come from then on.
    """
    site = _site(home)
    with working("fetching the study"):
        seen = asyncio.run(site.look(name))
    terms = site.terms(seen, datasets)
    fits = site.fits(seen, terms)
    if not yes:
        if wants_json():
            raise click.UsageError("With --json nobody can be asked; give --yes")
        click.echo(lines(_as_text(seen), _fits(terms, fits)))
        click.confirm(f"Approve it here for {', '.join(terms)}?", abort=True)
    with working("signing"):
        approval = asyncio.run(site.approve(seen, terms, by))
    data = {**_as_json(seen), "approved": list(approval.datasets), "by": by, "fits": fits}
    text = lines(
        f"{name}: {seen.document.title}",
        f"purpose   {seen.document.purpose}",
        _fits(terms, fits),
        f"approved  here for {', '.join(approval.datasets)}, by {by}; study {approval.digest}",
    )
    return Answer(data, text)


@verb(study, "withdraw", "branchline station study withdraw pancreatitis --by 'A. Weber'")
@click.argument("name")
@click.option("--reason", default="", help="Why, for everyone concerned.")
@BY
@HOME
def withdraw(name: str, reason: str, by: str, home: Path) -> Answer:
    """Take this station's approval back; no train of the study is let in from then on."""
    with working("withdrawing"):
        approval = asyncio.run(_site(home).withdraw(name, by, reason))
    data = {"study": name, "withdrawn": True, "by": by, "digest": approval.digest}
    return Answer(data, f"{name} is withdrawn here, by {by}")


def _site(home: Path) -> Site:
    from branchline.cli.station.site import Site
    from branchline.foundation.clock import SystemClock

    return Site(opened(home), SystemClock())


def _as_json(seen: SeenStudy) -> dict[str, Any]:
    shown = study_as_json(seen.document, seen.digest, seen.standing)
    return {**shown, "asked": list(seen.asked.datasets)}


def _as_text(seen: SeenStudy) -> str:
    asked = f"here it asks for {', '.join(seen.asked.datasets)}; all signatures hold"
    return lines(study_as_text(seen.document, seen.digest, seen.standing), asked)


_VERDICTS = {
    "allow": "allow the purpose",
    "deny": "forbid the purpose: no train will be let in",
    "human": "need a person's judgement: no train will be let in until they are settled",
}


def _fits(terms: Mapping[str, tuple[str, ...]], fits: Mapping[str, Verdict]) -> str:
    return lines(
        *(f"dataset   {name}: its terms {' '.join(terms[name])} {_VERDICTS[fits[name]]}"
          for name in terms)
    )  # fmt: skip
