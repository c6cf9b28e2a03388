"""``branchline ledger prove``: all entries of a topic, and proof that there are no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb, working
from branchline.cli.ledger.homes import HOME, OFFLINE, holdings
from branchline.foundation.errors import Corrupt

if TYPE_CHECKING:
    from branchline.journey.holdings import Holdings
    from branchline.ledger.completeness import Found


@verb(None, "prove", "branchline ledger prove --dataset trial --home /srv/branchline/station")
@click.option("--dataset", metavar="NAME", help="Everything that was done upon a dataset.")
@click.option("--topic", metavar="NAME", help="A topic by its name; see --list.")
@click.option("--list", "listed", is_flag=True, help="List the topics whose secrets are here.")
@OFFLINE
@HOME
def prove(
    dataset: str | None, topic: str | None, listed: bool, home: Path | None, offline: bool
) -> Answer:
    """Prove that these are all entries of a topic.

    Without an option: everything that the owner of the folder did. The whole copy of the ledger is
    read and hashed. Numbers without an entry, and entries that somebody else put in, are named;
    exits with 6 if the topic is not complete.
    """
    held = holdings(home, offline=offline)
    if listed:
        return _list(held)
    with working("reading the ledger"):
        found = held.topic(f"dataset/{dataset}" if dataset else topic or "own")
        report = held.prove(found)
    entries = [_entry(held, each) for each in report.entries]
    incidents = [incident.says for incident in report.incidents]
    data = {
        "topic": found.name,
        "complete": report.complete,
        "covered": report.covered,
        "count": report.count,
        "entries": entries,
        "incidents": incidents,
    }
    rows = [tuple(str(each[name]) for name in ("number", "position", "at", "act", "about"))
            for each in entries]  # fmt: skip
    verdict = (
        f"These {len(entries)} are all entries of {found.name} among the first {report.covered}."
        if report.complete
        else f"{found.name} is not complete among the first {report.covered} entries."
    )
    columns = ("number", "entry", "at", "act", "about")
    text = lines(table(columns, rows, ""), *incidents, verdict)
    return Answer(data, text, 0 if report.complete else Corrupt.exit_code)


def _list(held: Holdings) -> Answer:
    rows = [(each.name, str(len(each.positions))) for each in held.topics()]
    data = {"topics": [{"topic": name, "entries": int(count)} for name, count in rows]}
    return Answer(data, table(("topic", "entries"), rows, "No topic was begun here."))


def _entry(held: Holdings, found: Found) -> dict[str, Any]:
    from branchline.foundation.digest import digest_of
    from branchline.journey.acts import kind_of

    known = held.by_leaf.get(digest_of(found.leaf))
    act = None if known is None else known.act
    return {
        "number": found.number,
        "position": found.position,
        "id": digest_of(found.leaf),
        "at": "" if act is None else act.at,
        "act": "" if act is None else kind_of(act),
        "about": getattr(act, "journey", None) or getattr(act, "study", None) or "",
    }
