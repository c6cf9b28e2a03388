"""``branchline ledger grants``, and what other commands share that are given a grant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.ledger.asking import Own
from branchline.cli.ledger.homes import HOME, OFFLINE, folder_of, holdings
from branchline.foundation.errors import Corrupt, NotFound, Refused

if TYPE_CHECKING:
    from branchline.cli.ledger.disclose import Item
    from branchline.foundation.keys import PublicKeys
    from branchline.journey.holdings import Holdings
    from branchline.ledger.entry import Entry
    from branchline.ledger.grants import Grant

_WIDTH = 100

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
GRANT = click.option("--grant", type=FILE, help="Open what this grant lets you see.")
FROM = click.option("--from", "giver", metavar="PARTY",
                    help="Who made the grant, if no study of yours names that party.")  # fmt: skip


@verb(None, "grants", "branchline ledger grants auditor.grant --from north")
@click.argument("files", nargs=-1, required=True, type=FILE)
@FROM
@OFFLINE
@HOME
def grants(files: tuple[Path, ...], giver: str | None, home: Path | None, offline: bool) -> Answer:
    """Show what a grant opens, and open it.

    Each FILE has to be made for the owner of the folder; one that was passed on is refused. Lists the
    entries of the ledger that it opens, each with the fields. What opens classes is encrypted at
    central and asked for there; with --offline only single fields are opened.
    """
    held = holdings(home, offline=offline)
    own = _owner(home, offline=offline)
    found = [_look(held, own, file, giver) for file in files]
    text = [line for each in found for line in _lines(each)]
    return Answer({"grants": found}, lines(*text))


def open_with(
    held: Holdings,
    file: Path,
    giver: str | None,
    leaves: Sequence[bytes],
    home: Path | None,
    *,
    offline: bool,
) -> None:
    """Add to what is known of entries what a grant opens of them.

    Raises:
        Corrupt: The grant is not for the owner of the folder, or not what it says.
        Refused: It opens nothing of one of the entries.
        NotFound: It is not known whose it is.
    """
    from branchline.journey.granting import opened_by
    from branchline.journey.holdings import Known
    from branchline.ledger.entry import Entry

    own = _owner(home, offline=offline)
    grant, keys, name = opened(held, own, file, giver)
    closed = [Entry(leaf.decode("ascii", "replace")) for leaf in leaves]
    besides = own.beside([each.id for each in closed if grant.is_actors(each)])
    for each in closed:
        shown = opened_by(grant, each, besides.get(each.id))
        known = held.by_leaf.get(each.id)
        more = () if known is None else known.entry.disclosures
        both = Entry(each.jws, tuple(dict.fromkeys((*more, *shown.disclosures))))
        held.by_leaf[each.id] = Known(both, name, keys)


def opened(
    held: Holdings, own: Own, file: Path, giver: str | None
) -> tuple[Grant, PublicKeys, str]:
    """Open a grant; returns it with the keys and the name of whoever made it.

    Raises:
        Corrupt: It is not for the owner of the folder, or not what it says.
        NotFound: It is not known whose it is.
    """
    from branchline.ledger.grants import MAX_GRANT, granted_by, open_grant

    if file.stat().st_size > 2 * MAX_GRANT:
        raise Refused(f"{file} is no grant: it is too large")
    data, identity = file.read_bytes(), own.identity
    try:
        kid = granted_by(data, identity)
    except Corrupt as error:
        raise Corrupt(
            f"{file} is no grant for {held.name}: {error.refused}",
            advice="A grant is for one party only; ask whoever made it for one of your own",
        ) from error
    name = held.names.get(kid) or giver
    if name is None:
        raise NotFound(
            f"{file} is signed with the key {kid[:12]}, which is nobody's that is known here",
            advice="Say who made it, with --from PARTY",
        )
    keys = own.keys_of(held, name)
    if keys.id != kid:
        raise Corrupt(f"{file} was not made by {name}, but with the key {kid[:12]}")
    return open_grant(data, identity, keys), keys, name


def _owner(home: Path | None, *, offline: bool) -> Own:
    folder, kind = folder_of(home)
    return Own(folder, kind, offline=offline)


def _look(held: Holdings, own: Own, file: Path, giver: str | None) -> dict[str, Any]:
    from branchline.cli.ledger.disclose import said_of

    grant, keys, name = opened(held, own, file, giver)
    items: list[Item] = [*grant.classes, *grant.entries, *grant.fields]
    return {
        "file": str(file),
        "by": name,
        "key": keys.id,
        "at": grant.at,
        "opens": [said_of(item) for item in items],
        "entries": [_entry(keys, *each) for each in _located(held, own, grant)],
    }


def _located(held: Holdings, own: Own, grant: Grant) -> list[tuple[int, Entry]]:
    """Return where the entries stand of which the grant opens anything, with what it opens."""
    from branchline.foundation.digest import digest_of
    from branchline.ledger.entry import Entry
    from branchline.ledger.grants import open_granted

    named = {key.entry for key in grant.entries} | {field.entry for field in grant.fields}
    theirs = [
        (position, Entry(leaf.decode("ascii")))
        for position, leaf in held.copy.leaves()
        if held.signer(leaf)[0] == grant.actor and (grant.classes or digest_of(leaf) in named)
    ]
    besides = own.beside([entry.id for _, entry in theirs])
    shown = [(at, open_granted(entry, besides.get(entry.id), grant)) for at, entry in theirs]
    return [(at, entry) for at, entry in shown if entry.disclosures]


def _entry(keys: PublicKeys, position: int, entry: Entry) -> dict[str, Any]:
    from branchline.ledger.entry import open_entry

    return {"position": position, "id": entry.id, "fields": open_entry(entry, keys)}


def _lines(found: dict[str, Any]) -> list[str]:
    rows = [(str(each["position"]), _short(each["fields"])) for each in found["entries"]]
    return [
        f"{found['file']}: from {found['by']} (key {found['key'][:12]}), {found['at']}",
        *(f"  {each['says']}" for each in found["opens"]),
        table(("entry", "open fields"), rows, "No entry of the ledger at hand is opened by it."),
    ]


def _short(fields: dict[str, Any]) -> str:
    text = "  ".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
