"""Whose folder it is that a ``ledger`` command was given, and what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from branchline.cli.frame import working
from branchline.foundation.errors import NotAllowed, NotFound, Unavailable

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings, Known
    from branchline.study.document import StudyDocument

Kind = Literal["central", "station", "person"]

HOME = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=None,
    show_default="the researcher's, else the station's, else central's usual one",
    help="The folder of a researcher, a station or a central service.",
)
OFFLINE = click.option("--offline", is_flag=True, help="Use what is here; ask central for nothing.")


def folder_of(home: Path | None) -> tuple[Path, Kind]:
    """Return the folder to use, and whose it is.

    Raises:
        NotFound: It is nobody's, or none was given and there is none in its usual place.
    """
    for folder in [home] if home is not None else _usual():
        if (kind := _kind(folder)) is not None:
            return folder, kind
    where = home or "The usual place"
    raise NotFound(
        f"{where} is no folder of a researcher, a station or a central service",
        advice="Give one with --home",
    )


def update(folder: Path, kind: Kind) -> None:
    """Bring the owner's copy of the ledger up to date, if central answers."""
    import asyncio

    from branchline.foundation.clock import SystemClock

    try:
        with working("asking central"):
            if kind == "station":
                from branchline.station.holdings import fetch_cosigned
                from branchline.station.settings import StationHome

                asyncio.run(fetch_cosigned(StationHome(folder), SystemClock()))
            elif kind == "person":
                from branchline.workbench.holdings import sync
                from branchline.workbench.home import WorkbenchHome

                person = WorkbenchHome(folder)
                asyncio.run(sync(person, person.central(), SystemClock()))
    except Unavailable as error:
        click.echo(f"{error.refused}. What follows is as of the last time.", err=True)


def holdings(home: Path | None, *, offline: bool = False) -> Holdings:
    """Return what the folder's owner has of the ledger, brought up to date if central answers."""
    from branchline.foundation.clock import SystemClock

    folder, kind = folder_of(home)
    if not offline:
        update(folder, kind)
    if kind == "central":
        from branchline.central.holdings import holdings as of_central

        return of_central(folder)
    if kind == "station":
        from branchline.station.holdings import holdings as of_station
        from branchline.station.settings import StationHome

        return of_station(StationHome(folder), SystemClock())
    from branchline.workbench.holdings import holdings as of_person
    from branchline.workbench.home import WorkbenchHome

    person = WorkbenchHome(folder)
    return of_person(person, person.central())


def study_of(held: Holdings, name: str | None) -> StudyDocument:
    """Return the study whose witnesses count: the one named, or the only one.

    Raises:
        NotFound: The owner of the folder has no such study, or several and none was named.
    """
    found = [study for study in held.studies if name in (None, study.id)]
    if len({study.id for study in found}) == 1:
        return found[-1]
    names = ", ".join(sorted({study.id for study in held.studies})) or "none"
    raise NotFound(
        f"{name!r} is no study known here" if name else "It is not clear which study is meant",
        advice=f"Name one with --study; known here: {names}",
    )


def position_of(held: Holdings, text: str) -> int:
    """Return where an entry stands that is named by its position, digest, or its act's id.

    Raises:
        NotFound: There is none in the copy at hand.
    """
    from branchline.foundation.digest import digest_of

    if text.isdigit():
        held.copy.leaf(int(text))
        return int(text)
    wanted = text
    if not text.startswith("sha256:"):
        ids = {each.act.id: name for name, each in held.by_leaf.items() if each.act is not None}
        wanted = ids.get(text, "")
    for position, leaf in held.copy.leaves():
        if digest_of(leaf) == wanted:
            return position
    raise NotFound(
        f"No entry {text!r} is among the {held.copy.checkpoint.size} of the ledger",
        advice="Look at 'branchline ledger tail'",
    )


def own_entry(held: Holdings, position: int) -> Known:
    """Return an entry of the owner's own by its position.

    Raises:
        NotAllowed: Somebody else signed it.
        NotFound: There is none, or it is not kept here.
    """
    from branchline.foundation.digest import digest_of

    leaf = held.copy.leaf(position)
    kid, name = held.signer(leaf)
    if kid != held.parties[held.name].id:
        raise NotAllowed(
            f"Entry {position} is signed by {name or f'key {kid[:12]}'}, not by {held.name}",
            advice="Only whoever signed an entry can disclose or erase its fields; ask there",
        )
    known = held.by_leaf.get(digest_of(leaf))
    if known is None:
        raise NotFound(f"Entry {position} was signed with these keys, but is not kept here")
    return known


def _kind(folder: Path) -> Kind | None:
    if (folder / "station.toml").is_file():
        return "station"
    if (folder / "workbench.json").is_file():
        return "person"
    return "central" if (folder / "origin").is_file() else None


def _usual() -> list[Path]:
    found = []
    for variable, ending in (("HOME", ""), ("STATION", "-station"), ("CENTRAL", "-central")):
        named = os.environ.get(f"BRANCHLINE_{variable}")
        found.append(Path(named).resolve() if named else Path.home() / f".branchline{ending}")
    return found
