"""``branchline ledger tail|show``: entries, as far as the owner of the folder can open them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from branchline.cli.frame import Answer, lines, table, verb
from branchline.cli.ledger.asking import Own
from branchline.cli.ledger.grants import FROM, GRANT, open_with
from branchline.cli.ledger.homes import HOME, OFFLINE, folder_of, holdings, position_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from branchline.foundation.digest import Digest
    from branchline.journey.holdings import Holdings
    from branchline.ledger.beside import Beside


@verb(None, "tail", "branchline ledger tail --number 50")
@click.option("--number", "-n", default=20, show_default=True, help="How many.")
@OFFLINE
@HOME
def tail(number: int, home: Path | None, offline: bool) -> Answer:
    """List the newest entries.

    Of entries that the owner of the folder cannot open only what everybody sees is shown: who
    signed, and how many topics it is in.
    """
    held = holdings(home, offline=offline)
    size = held.copy.checkpoint.size
    found = [
        _brief(held, position, leaf) for position, leaf in held.copy.leaves(max(0, size - number))
    ]
    rows = [
        (
            str(each["position"]),
            str(each["at"]),
            str(each["by"]) or str(each["key"])[:12],
            str(each["act"]) or "·",
            str(each["about"]),
            str(each["tags"]),
        )
        for each in found
    ]
    columns = ("entry", "at", "by", "act", "about", "topics")
    text = lines(
        table(columns, rows, "The ledger is empty."),
        f"{size} entries of {held.copy.checkpoint.origin}",
    )
    return Answer({"size": size, "entries": found}, text)


@verb(None, "show", "branchline ledger show 57 --save .")
@click.argument("entry")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Write the entry and its receipt as files into this folder.",
)
@GRANT
@FROM
@OFFLINE
@HOME
def show(
    entry: str,
    save: Path | None,
    grant: Path | None,
    giver: str | None,
    home: Path | None,
    offline: bool,
) -> Answer:
    """Show one entry with its receipt.

    ENTRY is its position, its digest, or the id of its act. With a grant, what it opens is shown, too.
    The files written are POSITION.sd-jwt (the entry with its open fields) and POSITION.tlog-proof
    (its receipt), which other tools read; and, if central is asked, POSITION.beside (the same fields
    as they lie at central, encrypted: for 'ledger verify --grant').
    """
    held = holdings(home, offline=offline)
    position = position_of(held, entry)
    leaf = held.copy.leaf(position)
    receipt = held.copy.receipt(position)
    if grant is not None:
        open_with(held, grant, giver, [leaf], home, offline=offline)
    found = {**_brief(held, position, leaf), **_whole(held, leaf), "receipt": receipt.text}
    if save is not None:
        own = Own(*folder_of(home), offline=offline)
        _write(save, held, position, leaf, own.beside([found["id"]]))
    fields = [f"  {name:<16}{value}" for name, value in found["fields"].items()]
    fields += [f"  ({name:<15}erased by whoever signed the entry)" for name in found["erased"]]
    text = lines(
        f"entry     {position} of {held.copy.checkpoint.size}  {found['id']}",
        f"signed by {found['by'] or 'somebody unknown here'}  key {found['key']}",
        f"topics    {', '.join(found['topics']) or 'none known here'} ({found['tags']} in all)",
        "fields" if fields else "fields    none that can be opened here",
        *fields,
        "receipt",
        receipt.text.rstrip("\n"),
    )
    return Answer(found, text)


def _brief(held: Holdings, position: int, leaf: bytes) -> dict[str, Any]:
    """Return what can be said of an entry in one line."""
    from branchline.foundation.digest import digest_of
    from branchline.journey.acts import kind_of
    from branchline.ledger.entry import leaf_tags
    from branchline.ledger.proof.note import parse_key
    from branchline.ledger.statements import KIND as STATEMENT
    from branchline.ledger.statements import stated_in

    kid, name = held.signer(leaf)
    known = held.by_leaf.get(digest_of(leaf))
    act = None if known is None else known.act
    about = getattr(act, "journey", None) or getattr(act, "study", None) or ""
    kind = "" if act is None else kind_of(act)
    if act is None and (covered := stated_in(leaf, position, parse_key(held.log_vkey))) is not None:
        kind, about = STATEMENT, f"the first {covered} entries"
    return {
        "position": position,
        "id": digest_of(leaf),
        "key": kid,
        "by": name,
        "at": "" if act is None else act.at,
        "act": kind,
        "about": about,
        "tags": len(leaf_tags(leaf)),
    }


def _whole(held: Holdings, leaf: bytes) -> dict[str, Any]:
    """Return an entry's open fields, the classes erased, and its topics of this party."""
    from branchline.foundation.digest import digest_of
    from branchline.journey.erasing import erased_parts
    from branchline.ledger.entry import leaf_tags, open_entry
    from branchline.ledger.topics import tag_of

    known = held.by_leaf.get(digest_of(leaf))
    fields, erased = {}, []
    if known is not None and known.keys is not None:
        fields = open_entry(known.entry, known.keys)
        erased = sorted(erased_parts(known.entry, known.keys, held.erasures()))
    tags = set(leaf_tags(leaf))
    found = [
        f"{topic.name} {number}"
        for topic in held.topics()
        for number in range(len(topic.positions))
        if tag_of(topic.secret, number) in tags
    ]
    return {"fields": fields, "erased": erased, "topics": found}


def _write(
    folder: Path,
    held: Holdings,
    position: int,
    leaf: bytes,
    besides: Mapping[Digest, Beside],
) -> None:
    from branchline.foundation.digest import digest_of
    from branchline.foundation.durable import write_durably

    known = held.by_leaf.get(digest_of(leaf))
    disclosures = () if known is None else known.entry.disclosures
    presented = "~".join((leaf.decode("ascii", "replace"), *disclosures, ""))
    write_durably(folder / f"{position}.sd-jwt", presented.encode())
    write_durably(folder / f"{position}.tlog-proof", held.copy.receipt(position).text.encode())
    for beside in besides.values():
        write_durably(folder / f"{position}.beside", beside.data)
